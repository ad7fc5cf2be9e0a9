"""The log of published revisions on disk: `<data_dir>/revisions/<first>-<last>-<hash>.parquet`, truth that nothing rebuilds.

A part holds what the generations from `first` to `last` added, and is named after its content: so damage shows, and so does a part
that is missing, since each begins where the one before ends. The newest part is replaced by a longer one until it has
`PART_ROWS` rows. Every generation has copies of all parts, in files of their own: what the log has lost or holds damaged comes
back from there.

A part enters the log when readers see its generation: a crash on either side of the flip loses nothing and counts nothing twice.
"""

import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.durable import sync
from orchestration.integrity import hash_file
from orchestration.publish.generations import (
    PARQUET,
    PublishError,
    current_generation,
    generation_path,
    list_generations,
    read_manifest,
)
from orchestration.settings import Settings
from orchestration.warehouse import connect, literal

FOLDER = f"{PARQUET}/published_revisions"
PART_ROWS = 100_000
_PART = re.compile(r"(\d{8})-(\d{8})-([0-9a-f]{32})\.parquet")
# An older version wrote one file for each generation.
_OLD_PART = re.compile(r"(\d{8})\.parquet")
_OLD_COPY = re.compile(rf"{FOLDER}/generation=(\d+)/part\.parquet")
_TEMPORARY = ".tmp-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Part:
    """A file of the log: what the generations `first` to `last` added. `digest`: the first half of its SHA-256."""

    first: int
    last: int
    digest: str

    @property
    def name(self) -> str:
        return f"{self.first:08d}-{self.last:08d}-{self.digest}.parquet"

    def is_at(self, path: Path) -> bool:
        """Whether the path holds this part, undamaged."""
        try:
            return hash_file(path).sha256.startswith(self.digest)
        except OSError:
            return False


def part_of(path: Path, first: int, last: int) -> Part:
    """The part that a file is."""
    return Part(first, last, hash_file(path).sha256[:32])


def next_number(settings: Settings) -> int:
    """One more than any generation that is or was current, so that numbers only ever grow, also where only the log is left."""
    logged = [part.last for part in _parts_in(settings.revisions)]
    return max([0, current_generation(settings) or 0, *list_generations(settings), *logged]) + 1


def settle(settings: Settings) -> list[Part]:
    """Bring the log in order: what a killed run could not enter, what is lost or damaged, and what an older version wrote.

    Returns:
        Its parts in order, each compared with its hash.

    Raises:
        PublishError: a part is lost or damaged and no generation has a copy.
    """
    log = settings.revisions
    for path in _strays(log):
        _log.warning("%s: is not a file of the log of published revisions and is ignored; remove it", path)
    _take_over_old_parts(settings)
    parts = []
    for part, place in find_parts(settings):
        if place is None:
            raise PublishError(_without_copy(log / part.name))
        if place.parent != log:
            _log.warning("%s: was lost, damaged, or left out by a killed run, and is restored from %s", log / part.name, place)
            _enter(log, part, place)
        parts.append(part)
    _remove(log, parts)
    return parts


def enter(settings: Settings, generation: int) -> None:
    """Bring what a generation added into the log, as soon as readers see it."""
    folder = generation_path(settings, generation) / FOLDER
    for part in _parts_in(folder):
        if part.last == generation:
            _enter(settings.revisions, part, folder / part.name)
            _remove(settings.revisions, [part])


def find_parts(settings: Settings) -> list[tuple[Part, Path | None]]:
    """The parts that the log should have, in order, each with a whole copy: in the log, else in a generation; None without any.

    Raises:
        PublishError: the names show that one is missing.
    """
    log, current = settings.revisions, current_generation(settings)
    names = set(_parts_in(log)) | (set() if current is None else _parts_of(settings, current))
    # Generations of the current one's past; one that was built and never seen is not a place to look for names.
    others = [number for number in reversed(list_generations(settings)) if number != current]
    places = [log, *(generation_path(settings, number) / FOLDER for number in [current, *others] if number is not None)]
    found: list[tuple[Part, Path | None]] = []
    expected, end = 1, max((part.last for part in names), default=0)
    while expected <= end:
        part = max((part for part in names if part.first == expected), default=None, key=lambda part: part.last)
        if part is None:
            after = min((part.first for part in names if part.first > expected), default=end + 1)
            raise PublishError(_without_copy(log / f"{expected:08d}-{after - 1:08d}-....parquet"))
        found.append((part, next((place / part.name for place in places if part.is_at(place / part.name)), None)))
        expected = part.last + 1
    return found


def log_faults(settings: Settings) -> tuple[int, list[str]]:
    """The number of files that the log has or should have, and what is wrong with each, with the remedy. Changes nothing."""
    log = settings.revisions
    files: dict[Path, Path | None] = {}
    faults: list[str] = []
    for number, places in _old_parts(settings).items():
        path = log / f"{number:08d}.parquet"
        whole = _whole_old(places)
        files[path] = path if path in whole else next(iter(whole), None)
    try:
        files |= {log / part.name: place for part, place in find_parts(settings)}
    except PublishError as error:
        faults.append(str(error))
    for path, place in files.items():
        if place is None:
            faults.append(_without_copy(path))
        elif place != path:
            faults.append(f"{path}: lost or damaged. The next run restores it from {place}")
    return len(files), faults


def _without_copy(path: Path) -> str:
    return (
        f"{path}: this part of the log of published revisions is lost or damaged, and no generation has a whole copy. Restore it from a "
        f"backup. Without one, move {path.parent} and the folder published away: the next run begins a new log"
    )


def _parts_in(folder: Path) -> list[Part]:
    found = (_PART.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ()))
    return sorted(Part(int(match[1]), int(match[2]), match[3]) for match in found if match)


def _parts_of(settings: Settings, generation: int) -> set[Part]:
    """The parts that a generation has, or had when it was sealed."""
    try:
        listed = [Path(name) for name in read_manifest(settings, generation).files]
    except PublishError:
        listed = []
    matches = (_PART.fullmatch(path.name) for path in listed if str(path.parent) == FOLDER)
    sealed = {Part(int(match[1]), int(match[2]), match[3]) for match in matches if match}
    return sealed | set(_parts_in(generation_path(settings, generation) / FOLDER))


def _strays(log: Path) -> list[Path]:
    names = log.iterdir() if log.is_dir() else ()
    return sorted(
        path
        for path in names
        if not _PART.fullmatch(path.name) and not _OLD_PART.fullmatch(path.name) and not path.name.startswith(_TEMPORARY)
    )


def _enter(log: Path, part: Part, source: Path) -> None:
    """Copy a part into the log, where it is whole or not at all. No link: damage to one copy must leave the other."""
    log.mkdir(parents=True, exist_ok=True)
    temporary = log / f"{_TEMPORARY}{part.name}"
    shutil.copyfile(source, temporary)
    temporary.chmod(0o444)
    sync(temporary)
    if not part.is_at(temporary):
        raise PublishError(f"{source}: could not be copied to {log} undamaged. Run again")
    temporary.replace(log / part.name)
    sync(log)


def _remove(log: Path, parts: Iterable[Part]) -> None:
    """Remove the parts that one of these, which are in the log, has taken the place of, and half-made copies."""
    for old in _parts_in(log):
        if any(part != old and part.first <= old.first and old.last <= part.last for part in parts):
            (log / old.name).unlink()
    for path in log.glob(f"{_TEMPORARY}*"):
        path.unlink()


# -- the log of an older version: one file per generation, of which the generations have links


def _old_parts(settings: Settings) -> dict[int, dict[Path, str | None]]:
    """By generation that added it: where an older version's files are, with the hash that a manifest states."""
    log, current = settings.revisions, current_generation(settings)
    taken_over = max((part.last for part in _parts_in(log)), default=0)
    found: dict[int, dict[Path, str | None]] = {}
    for path in log.iterdir() if log.is_dir() else ():
        if match := _OLD_PART.fullmatch(path.name):
            found.setdefault(int(match[1]), {})[path] = None
    if not found and taken_over:
        return {}
    for number in sorted(list_generations(settings), key=lambda number: (number == current, number), reverse=True):
        try:
            files = read_manifest(settings, number).files
        except PublishError:
            continue
        for name, entry in files.items():
            match = _OLD_COPY.fullmatch(name)
            # A name that only another generation knows may be of one that was never seen.
            if match and (number == current or int(match[1]) in found):
                places = found.setdefault(int(match[1]), {})
                places[generation_path(settings, number) / name] = None
                found[int(match[1])] = {path: stated or entry.sha256 for path, stated in places.items()}
    return {number: places for number, places in sorted(found.items()) if number > taken_over}


def _whole_old(places: Mapping[Path, str | None]) -> list[Path]:
    return [path for path, stated in places.items() if path.is_file() and stated in (None, hash_file(path).sha256)]


def _take_over_old_parts(settings: Settings) -> None:
    """Copy an older version's files into parts; the files are removed when all of them are in."""
    log, old = settings.revisions, _old_parts(settings)
    if old:
        first = max((part.last for part in _parts_in(log)), default=0) + 1
        batch: list[Path] = []
        rows = 0
        with connect(settings) as connection:
            for number, places in old.items():
                whole = _whole_old(places)
                if not whole:
                    raise PublishError(_without_copy(log / f"{number:08d}.parquet"))
                batch.append(whole[0])
                rows += connection.execute(f"select count(*) from {parquet(whole[:1])}").fetchall()[0][0]
                if rows >= PART_ROWS or number == max(old):
                    log.mkdir(parents=True, exist_ok=True)
                    merged = log / f"{_TEMPORARY}{number}"
                    connection.execute(
                        f"copy (from {parquet(batch)} order by as_of_date, account_id, revision) to {literal(merged)} "
                        "(format parquet, compression zstd)"
                    )
                    _enter(log, part_of(merged, first, number), merged)
                    first, batch, rows = number + 1, [], 0
    for path in log.iterdir() if log.is_dir() else ():
        if _OLD_PART.fullmatch(path.name):
            path.unlink()


def parquet(paths: Iterable[Path]) -> str:
    """SQL for what files of the log hold."""
    listed = ", ".join(literal(path) for path in paths)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
