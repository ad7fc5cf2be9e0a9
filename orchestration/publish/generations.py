"""Generations on disk: `published/generations/<n>/`, and the link `published/current` that readers follow.

A generation never changes once it has its number. Readers that have one open keep it, even after its removal.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.durable import sync
from orchestration.errors import UserError
from orchestration.integrity import FileEntry, find_damaged, hash_file, read_stamped, stamped
from orchestration.settings import Settings
from orchestration.warehouse import connect, first_line, literal

FORMAT = 2
MANIFEST = "manifest.json"
DATABASE = "health.duckdb"
PARQUET = "parquet"

_BUILDING = ".building-"
_REMOVING = ".removing-"
_LINK = ".current-"

_log = logging.getLogger(__name__)


class PublishError(UserError):
    """Nothing was published or rolled back; what was current is current. The message is one line."""


class DamagedGeneration(PublishError):
    """A generation is not what its manifest says."""


@dataclass(frozen=True)
class Manifest:
    """What a generation holds, as it was sealed.

    Attributes:
        format: version of this layout; a greater one than `FORMAT` was written by a newer version of the product.
        generation: the folder's number.
        previous: the generation that was current before; where `rollback` goes.
        run_id: the run that published it.
        published_at: ISO timestamp.
        first_as_of_date, last_as_of_date: ISO days; None when no account was scored.
        configuration_hash: of the seeds that it was scored with.
        rows: per table; for a table that `health.duckdb` holds in part, the rows there.
        columns: per table, (name, DuckDB type).
        days: as-of day -> fingerprint of its rows in account_health_history.
        files: path in the generation -> size and hash of every file but this one.
    """

    format: int
    generation: int
    previous: int | None
    run_id: str
    published_at: str
    first_as_of_date: str | None
    last_as_of_date: str | None
    configuration_hash: str
    rows: dict[str, int]
    columns: dict[str, list[list[str]]]
    days: dict[str, str]
    files: dict[str, FileEntry]

    @property
    def newest_day(self) -> date | None:
        """The last scored day."""
        return None if self.last_as_of_date is None else date.fromisoformat(self.last_as_of_date)


def generations_folder(settings: Settings) -> Path:
    return settings.published / "generations"


def generation_path(settings: Settings, number: int) -> Path:
    return generations_folder(settings) / str(number)


def require_current(settings: Settings) -> int:
    """The current generation.

    Raises:
        PublishError: nothing is published yet, or as `current_generation`.
    """
    number = current_generation(settings)
    if number is None:
        raise PublishError(f"{settings.published / 'current'}: nothing is published yet. Run the pipeline first")
    return number


def list_generations(settings: Settings) -> list[int]:
    """The numbers of the generations on disk, ascending."""
    folder = generations_folder(settings)
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit() and entry.is_dir())


def current_generation(settings: Settings) -> int | None:
    """The number that `published/current` points to; None before the first publishing.

    Raises:
        PublishError: `current` is not a link to a generation, so somebody else put it there.
    """
    link = settings.published / "current"
    if not os.path.lexists(link):
        return None
    target = os.readlink(link) if link.is_symlink() else ""
    name = Path(target).name
    if not name.isdigit():
        raise PublishError(f"{link}: no link to a generation. Move it away; the next run makes the link anew")
    return int(name)


@contextmanager
def open_published(settings: Settings, generation: int | Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the `health.duckdb` of a generation for reading, under the limits of the settings.

    Args:
        generation: its number, or its folder: one that is being built, or the link `published/current`.

    Raises:
        duckdb.Error: it cannot be opened.
    """
    folder = generation_path(settings, generation) if isinstance(generation, int) else generation
    # Not in the data folder: a reader holds no writer lock, and a run that starts empties the folder there.
    with (
        TemporaryDirectory(prefix="health-mart-", ignore_cleanup_errors=True) as spilled,
        connect(settings, folder / DATABASE, read_only=True, temp_dir=Path(spilled)) as mart,
    ):
        yield mart


def read_manifest(settings: Settings, number: int) -> Manifest:
    """Read a generation's manifest.

    Raises:
        DamagedGeneration: it is missing or cannot be read.
        PublishError: a newer version of the product wrote it.
    """
    path = generation_path(settings, number) / MANIFEST
    try:
        content = read_stamped(path)
        if content["format"] > FORMAT:
            raise PublishError(
                f"{path}: format {content['format']} was written by a newer version; this one reads up to {FORMAT}. "
                "Update this installation"
            )
        files = {name: FileEntry(**entry) for name, entry in content.pop("files").items()}
        return Manifest(files=files, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedGeneration(f"{path}: no readable manifest ({error})") from error


def verify(settings: Settings, number: int) -> Manifest:
    """Compare every file of a generation with its manifest.

    Raises:
        DamagedGeneration: a file is missing, of another size or of another content; the message names the first one.
        PublishError: a newer version of the product wrote the generation.
    """
    manifest = read_manifest(settings, number)
    folder = generation_path(settings, number)
    damaged = find_damaged(folder, manifest.files, settings.pipeline.threads)
    if damaged:
        raise DamagedGeneration(f"{folder / min(damaged)}: is not what was published (size or hash differs from {MANIFEST})")
    log = folder / f"{DATABASE}.wal"
    if log.exists():
        raise DamagedGeneration(f"{log}: a write-ahead log beside a published file; remove it")
    return manifest


def is_as_sealed(folder: Path, name: str, entry: FileEntry) -> bool:
    """Whether a file of a generation has its size and was not written since the manifest was."""
    try:
        found, sealed = (folder / name).stat(), (folder / MANIFEST).stat()
    except OSError:
        return False
    return found.st_size == entry.bytes and found.st_mtime_ns <= sealed.st_mtime_ns


def remove_half_built(settings: Settings) -> None:
    """Remove what dead runs left behind: generations half built or half removed, links that nobody follows."""
    folder = generations_folder(settings)
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name.startswith((_BUILDING, _REMOVING)):
            shutil.rmtree(entry)
    for entry in settings.published.iterdir():
        if entry.name.startswith(_LINK):
            entry.unlink()


def start_building(settings: Settings) -> Path:
    """Remove what dead runs left behind and make a new folder to build in."""
    remove_half_built(settings)
    folder = generations_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    building = folder / f"{_BUILDING}{os.getpid()}"
    building.mkdir()
    return building


def seal(building: Path, files: Iterable[str]) -> dict[str, FileEntry]:
    """Make new files read-only, sync them to disk and hash them.

    Args:
        building: the folder of the generation.
        files: names of the new files in it; those linked from an older generation are sealed already.
    """
    entries = {}
    for name in files:
        path = building / name
        path.chmod(0o444)
        sync(path)
        entries[name] = hash_file(path)
    return entries


def install(settings: Settings, building: Path, manifest: Manifest) -> Path:
    """Give a built folder its number. Readers do not see it before `flip`."""
    path = building / MANIFEST
    path.write_text(stamped(asdict(manifest)), encoding="utf-8")
    path.chmod(0o444)
    sync(path)
    for folder, _, _ in os.walk(building, topdown=False):
        sync(Path(folder))
    target = generation_path(settings, manifest.generation)
    os.rename(building, target)
    sync(target.parent)
    return target


def flip(settings: Settings, number: int) -> None:
    """Let `published/current` point to the generation, in one step."""
    point(settings.published / "current", Path("generations") / str(number))


def point(link: Path, target: Path) -> None:
    """Let a link point to another folder, in one step."""
    temporary = link.with_name(f".{link.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
    sync(link.parent)


def prune(settings: Settings) -> None:
    """Remove all but the last `pipeline.keep_generations` generations, and those with names that are no longer allowed; never the current
    one."""
    present, current = list_generations(settings), current_generation(settings)
    named = with_names(settings, present) - {current}
    if named:
        listed = ", ".join(map(str, sorted(named)))
        _log.warning("[privacy] contact_names is off: generations with names of people are removed, no rollback leads there: %s", listed)
    keep = {*present[-settings.pipeline.keep_generations :], current} - named
    for number in present:
        if number not in keep:
            # A removal that is cut short must not leave half a generation under its number.
            doomed = generations_folder(settings) / f"{_REMOVING}{number}"
            os.rename(generation_path(settings, number), doomed)
            shutil.rmtree(doomed)


def with_names(settings: Settings, generations: Iterable[int]) -> set[int]:
    """Those that have names of contacts, where `[privacy] contact_names` does not allow any."""
    if settings.privacy.contact_names:
        return set()
    files = [generation_path(settings, number) / PARQUET / "account_contacts.parquet" for number in generations]
    found = set()
    with connect(settings) as connection:
        for file in filter(Path.exists, files):
            query = f"from read_parquet({literal(file)}) where coalesce(contact_id, contact_name, contact_email) is not null limit 1"
            try:
                if connection.execute(query).fetchall():
                    found.add(int(file.parts[-3]))
            except duckdb.Error as error:
                _log.warning("%s: cannot be read, so nobody knows whether it has names of people: %s", file, first_line(error))
    return found


def rollback(settings: Settings, to: int | None = None) -> int:
    """Let `published/current` point to the generation that was current before, after checking its hashes.

    Call it under the writer lock.

    Args:
        settings: where the generations are.
        to: another generation to go to.

    Returns:
        The generation that is current now.

    Raises:
        PublishError: there is no such generation, or it is damaged, or a newer version wrote it.
    """
    present = list_generations(settings)
    current = current_generation(settings)
    if current is None:
        raise PublishError(f"{settings.published / 'current'}: nothing is published yet, so nothing can be rolled back")
    target = _previous(settings, current, present) if to is None else to
    if target not in present:
        listed = ", ".join(map(str, present)) or "none"
        raise PublishError(
            f"{generations_folder(settings)}: there is no generation "
            f"{'before the current ' + str(current) if target is None else target} to roll back to; on disk: {listed}"
        )
    verify(settings, target)
    flip(settings, target)
    _log.info("rolled back from generation %s to %s", current, target)
    return target


def _previous(settings: Settings, current: int, present: list[int]) -> int | None:
    """What readers saw before the current generation: by its manifest, else the next older one on disk."""
    try:
        manifest = read_manifest(settings, current)
        if manifest.previous in present or manifest.previous is None:
            return manifest.previous
    except PublishError as error:
        _log.warning("%s", error)
    return max((number for number in present if number < current), default=None)


def link(source: Path, target: Path) -> None:
    """Let a file that never changes be in a second place, too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links, as in some containers' volumes: the copy costs space, nothing else.
        shutil.copy2(source, target)
        sync(target)
