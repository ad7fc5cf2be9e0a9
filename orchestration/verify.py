"""Read everything that is stored, and say what is intact, what is damaged and what to do about it; change nothing."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestration.contract import TABLES
from orchestration.extract import LakeError, SourceError
from orchestration.extract.connectors.stripe.journal import read_journal
from orchestration.extract.lake.manifest import damaged_manifests, find_faults, read_manifest
from orchestration.integrity import Damaged, hash_files, read_stamped
from orchestration.locking import writer_lock
from orchestration.publish import PublishError, current_generation
from orchestration.publish.generations import DATABASE, generation_path, list_generations
from orchestration.publish.generations import read_manifest as read_published
from orchestration.publish.revision_log import log_faults
from orchestration.settings import Settings
from orchestration.warehouse import WarehouseBusy, has_log, scan

_LANDED_AGAIN = "The next run lands it again from the source, or says what to do"


@dataclass(frozen=True)
class Report:
    """What was looked at, and what of it is damaged: one line each, with the remedy."""

    looked_at: list[str]
    damaged: list[str]


def verify_everything(settings: Settings) -> Report:
    """Compare lake, revisions and generations with the hashes that were noted when they were written, and read the warehouse.

    Raises:
        WriterBusy: a run was at work for longer than `lock_timeout_seconds`.
    """
    if not settings.data_dir.is_dir():
        return Report([f"{settings.data_dir}: nothing is stored yet"], [])
    looked_at, damaged = [], []
    with writer_lock(settings, "verify"):
        for look in (_lake, _notes, _revisions, _generations, _warehouse):
            what, found = look(settings)
            looked_at.append(what)
            damaged += found
    return Report(looked_at, damaged)


def _lake(settings: Settings) -> tuple[str, list[str]]:
    lake, threads = settings.lake, settings.pipeline.threads
    damaged: list[str] = []
    tables = files = unknown = 0
    for name in TABLES:
        try:
            manifest = read_manifest(lake, name)
        except LakeError as error:
            damaged.append(str(error))
            continue
        if manifest is None:
            continue
        damaged += [f"{path}: lost or damaged. The next run restores it from its copy" for path in damaged_manifests(lake, name)]
        owners = {path: key for key, one in manifest.deliveries.items() for path in manifest.paths_of(one)}
        for path, fault in find_faults(lake, manifest, threads).items():
            remedy = _LANDED_AGAIN
            if manifest.mode == "events" and fault == "damaged" and path in owners:
                rows = manifest.deliveries[owners[path]].loaded
                remedy = (
                    "Restore it from a backup. Without one, remove it and run again: it lands anew if the source still has the delivery "
                    f"{owners[path]}, else its {rows} rows no longer count"
                )
            damaged.append(f"{lake / path}: {fault}. {remedy}")
        tables, files = tables + 1, files + len(manifest.paths())
        unknown += len(set(manifest.paths()) - manifest.checksums.keys())
    without = f", {unknown} of them without a hash until their table lands again" if unknown else ""
    return f"lake: {tables} tables, {files} files{without}", damaged


def _notes(settings: Settings) -> tuple[str, list[str]]:
    """The journals and the small files of state beside the tables."""
    damaged: list[str] = []
    journals = sorted((settings.lake / "journal" / "stripe").glob("*/"))
    for folder in journals:
        try:
            read_journal(folder)
        except SourceError as error:
            damaged.append(str(error))
    notes = [(path, "The next run reads the source whole and writes it anew") for path in settings.lake.glob("journal/zendesk/*.json")]
    notes.append((settings.lake / "scored_days.json", "The next run writes it anew from the days that were published"))
    for path, remedy in notes:
        try:
            read_stamped(path)
        except FileNotFoundError:
            continue
        except (Damaged, OSError) as error:
            damaged.append(f"{path}: damaged ({error}). {remedy}")
    return f"journals and notes: {len(journals)} journals, {len(notes)} notes", damaged


def _revisions(settings: Settings) -> tuple[str, list[str]]:
    parts, damaged = log_faults(settings)
    return f"published revisions: {parts} file{'' if parts == 1 else 's'}", damaged


def _generations(settings: Settings) -> tuple[str, list[str]]:
    damaged: list[str] = []
    try:
        current = current_generation(settings)
    except PublishError as error:
        return "generations: not looked at", [str(error)]
    numbers = list_generations(settings)
    if current is not None and current not in numbers:
        damaged.append(f"{settings.published / 'current'}: generation {current} is lost. Run again, or roll back with --to")
    listed: list[tuple[int, str, str]] = []
    for number in numbers:
        folder = generation_path(settings, number)
        try:
            files = read_published(settings, number).files
        except PublishError as error:
            damaged.append(f"{error}. {_generation_remedy(folder, number == current, DATABASE, True)}")
            continue
        if (folder / f"{DATABASE}.wal").exists():
            damaged.append(f"{folder / DATABASE}.wal: a write-ahead log beside a published file. Remove it")
        listed += [(number, name, entry.sha256) for name, entry in files.items()]
    # Generations share files: each is read once.
    inodes = {(number, name): _inode(generation_path(settings, number) / name) for number, name, _ in listed}
    paths = {inode: generation_path(settings, number) / name for (number, name), inode in inodes.items() if inode}
    hashes = hash_files(paths, settings.pipeline.threads)
    for number, name, sha256 in listed:
        inode, folder = inodes[number, name], generation_path(settings, number)
        if not inode or hashes[inode].sha256 != sha256:
            remedy = _generation_remedy(folder, number == current, name, is_lost=not inode)
            damaged.append(f"{folder / name}: {'damaged' if inode else 'lost'}. {remedy}")
    return f"generations: {len(numbers)}, {len(paths)} files", damaged


def _inode(path: Path) -> str | None:
    return f"{path.stat().st_dev}-{path.stat().st_ino}" if path.is_file() else None


def _generation_remedy(folder: Path, is_current: bool, name: str, is_lost: bool) -> str:
    if not is_current:
        return f"Remove the folder {folder}: nobody can roll back to it"
    # A run compares what it copies; a file that it would only link must be seen to be missing.
    return "Run again: it is written anew" if name == DATABASE or is_lost else "Remove the file and run again: it is written anew"


def _warehouse(settings: Settings) -> tuple[str, list[str]]:
    if not settings.warehouse.exists():
        return "warehouse: none", []
    if has_log(settings.warehouse):
        return "warehouse: not read", [f"{settings.warehouse}: a write-ahead log is beside it. The next run rebuilds it from the lake"]
    with TemporaryDirectory(prefix="health-verify-", ignore_cleanup_errors=True) as spilled:
        try:
            fault = scan(settings, Path(spilled))
        except WarehouseBusy as busy:
            return "warehouse: not read", [str(busy)]
    found = [] if fault is None else [f"{settings.warehouse}: {fault}. Remove it: the next run rebuilds it from the lake"]
    return "warehouse: all tables", found


def show_faults(settings: Settings) -> int:
    """Print what was looked at and what is damaged: the command `health verify`; 1 if something is damaged, else 0."""
    report = verify_everything(settings)
    for line in report.looked_at:
        print(f"looked at {line}")
    for line in report.damaged:
        print(f"damaged: {line}")
    print(f"{len(report.damaged)} damaged" if report.damaged else "everything is intact")
    return 1 if report.damaged else 0
