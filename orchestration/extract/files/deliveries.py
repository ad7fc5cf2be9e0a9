"""The deliveries of a `files` source: which files there are, of which day, and the files at hand."""

import glob
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from orchestration.contract import TABLES
from orchestration.extract.errors import SourceError
from orchestration.extract.files.object_store import StoredObject, address_of, fetch, list_objects
from orchestration.settings import Settings
from orchestration.sources import DAY, EPOCH_DAY, FilesSource

_DAY_GLOBS = {DAY: "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]", EPOCH_DAY: "[0-9]*"}
_DAY_TEXTS = {DAY: re.compile(r"\d{4}-\d{2}-\d{2}"), EPOCH_DAY: re.compile(r"(?<!\d)(?:\d{10}|\d{13})(?!\d)")}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR_LAST = re.compile(r"(?<![0-9])([0-9]{1,2})[-_. ]([0-9]{1,2})[-_. ]([0-9]{4})(?![0-9])")
_MONTH_NAMED = re.compile(
    rf"(?:(?<![0-9])([0-9]{{1,2}})[-_. ]?)?(?<![a-z])({'|'.join(_MONTHS)})[a-z]*[-_. ]?([0-9]{{4}})(?![0-9])", re.IGNORECASE
)

Format = Literal["csv", "jsonl", "parquet"]
# What a name says; the first bytes decide.
_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "csv",
    ".zip": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
# Not known, but often delivered: the first bytes say what to do.
_OTHER_SPREADSHEETS = (".xls", ".xlsm", ".xlsb", ".ods")


# Number of a delivery -> what a person should know about its files.
Notes = dict[int, list[str]]


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; `label` is its path as a person knows it, relative to the configuration where it can be.

    `format` is what its name or the configuration says; `opened` looks at the bytes. A file in an object store (`stored`) is at `path` only
    while it is `at_hand`. Of a file outside the folder of the configuration (`is_foreign`, links followed) no message shows content:
    whoever may put a link into the folder must not learn what it leads to. Nor does one of a table of people (`is_personal`).
    """

    path: Path
    label: str
    format: Format
    stored: StoredObject | None = None
    is_foreign: bool = False
    is_personal: bool = False
    encoding: str | None = None
    sheet: str | None = None

    @property
    def hides_content(self) -> bool:
        return self.is_foreign or self.is_personal

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.stored is None else self.stored.size


@dataclass(frozen=True)
class Delivery:
    """The files of one delivery day, oldest first (`oldest_first`); of the whole source (`day` is None) where the path has no `{day}`."""

    day: date | None
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class NumberedFile:
    """A file with its place in the order of extraction and the number of its delivery."""

    file: SourceFile
    number: int
    delivery: int


def find_deliveries(settings: Settings, name: str, source: FilesSource) -> list[Delivery]:
    """The deliveries of a source with a path, oldest first. Lists folders; opens no file.

    Raises:
        SourceError: no file matches, a file is of no known format, or a `{day}` is not a date.
    """
    assert source.path is not None
    where = f"sources.{name}.path"
    token = source.day_token
    pattern = source.path if source.is_remote else str(settings.resolve(source.path))
    matching = pattern if token is None else pattern.replace(token, _DAY_GLOBS[token])
    found = _stored_files if source.is_remote else _local_files
    files = found(settings, name, source, matching)
    if not files:
        place = "in the object store" if source.is_remote else f"in {settings.config_file.parent}"
        is_folder = not source.is_remote and Path(pattern).is_dir()
        remedy = f"It is a folder: write {source.path.rstrip('/')}/*" if is_folder else "Fix the path"
        raise SourceError(f"{where}: no file matches {source.path} ({place}). {remedy}")
    if token is None:
        return [Delivery(None, tuple(files))]
    by_day: dict[date, list[SourceFile]] = {}
    for file in files:
        by_day.setdefault(_delivery_day(where, pattern, token, file), []).append(file)
    return [Delivery(day, tuple(by_day[day])) for day in sorted(by_day)]


def _local_files(settings: Settings, name: str, source: FilesSource, pattern: str) -> list[SourceFile]:
    found = {str(path): path for path in _glob(pattern) if path.is_file()}
    folder = settings.config_file.parent.resolve()
    # Thousands of files share a few folders: each is followed once.
    inside = {parent: parent.resolve().is_relative_to(folder) for parent in {path.parent for path in found.values()}}
    return [
        SourceFile(
            path,
            _label(settings, path),
            _format(name, source, path),
            is_foreign=_is_foreign(path, folder, inside[path.parent]),
            is_personal=TABLES[name].is_personal,
            encoding=source.encoding,
            sheet=source.sheet,
        )
        for path in (found[name] for name in oldest_first(found))
    ]


def _is_foreign(path: Path, folder: Path, is_parent_inside: bool) -> bool:
    return not (path.resolve().is_relative_to(folder) if path.is_symlink() else is_parent_inside)


def _stored_files(settings: Settings, name: str, source: FilesSource, pattern: str) -> list[SourceFile]:
    folder = settings.temp_dir / "fetched" / name
    stored = {one.key: one for one in list_objects(name, source, pattern)}
    return [
        SourceFile(
            folder / one.key,
            address_of(source, one.key),
            _format(name, source, Path(one.key)),
            one,
            is_personal=TABLES[name].is_personal,
            encoding=source.encoding,
            sheet=source.sheet,
        )
        for one in (stored[key] for key in oldest_first(stored))
    ]


@contextmanager
def at_hand(name: str, source: FilesSource | None, files: Iterable[SourceFile]) -> Iterator[None]:
    """Fetch those of the files that are in an object store, and remove the copies at the end.

    Raises:
        SourceUnavailable: the store does not give one.
    """
    fetched: list[Path] = []
    try:
        for file in files:
            if file.stored is not None and source is not None:
                fetched.append(file.path)
                fetch(name, source, file.stored.key, file.path)
        yield
    finally:
        for path in fetched:
            path.unlink(missing_ok=True)


def oldest_first(names: Collection[str]) -> list[str]:
    """Paths in the order in which their names say that they were written.

    Numbers in names are compared as numbers, and what follows a name (`subs (1).csv`) comes after it. Dates with the year at the end are
    compared by year, month and day; whether the day or the month comes first is known where one of the names has a number over 12.
    """
    days_first = any(int(found[1]) > 12 for name in names for found in _YEAR_LAST.finditer(name))
    days_first = days_first and not any(int(found[2]) > 12 for name in names for found in _YEAR_LAST.finditer(name))
    by_year = r"\3-\2-\1" if days_first else r"\3-\1-\2"

    def key(name: str) -> list[list[str | int]]:
        dated = _MONTH_NAMED.sub(lambda found: f"{found[3]}-{_MONTHS.index(found[2].lower())}-{found[1] or 0}", name)
        *folders, file = Path(_YEAR_LAST.sub(by_year, dated)).parts
        stem = file.removesuffix(".gz")
        stem = stem.removesuffix(Path(stem).suffix)
        parts = [re.split(r"([0-9]+)", part.casefold()) for part in (*folders, stem)]
        return [*([int(text) if at % 2 else text for at, text in enumerate(part)] for part in parts), [name]]

    return sorted(names, key=key)


def _glob(pattern: str) -> list[Path]:
    """Matching paths; a name that exists as it is written is not a pattern, whatever brackets are in it."""
    if Path(pattern).is_file():
        return [Path(pattern)]
    return [Path(path) for path in glob.glob(pattern, recursive=True)]


def _label(settings: Settings, path: Path) -> str:
    try:
        return path.relative_to(settings.config_file.parent).as_posix()
    except ValueError:
        return path.name


def _format(name: str, source: FilesSource, path: Path) -> Format:
    if source.format is not None:
        return source.format
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in _OTHER_SPREADSHEETS:
        return "csv"
    if suffix not in _FORMATS or (suffix == ".parquet" and path.name.lower().endswith(".gz")):
        known = ", ".join(_FORMATS)
        raise SourceError(
            f"sources.{name}.path: {path.name} is of no known format; there is {known}, text also with .gz. "
            f"Rename it, name only the right files in the path (such as *.csv), or say with sources.{name}.format what it is"
        )
    return _FORMATS[suffix]


def _delivery_day(where: str, pattern: str, token: str, file: SourceFile) -> date:
    place = str(file.path) if file.stored is None else file.label
    for text in _DAY_TEXTS[token].findall(place):
        if fnmatchcase(place, pattern.replace(token, text)):
            try:
                return date.fromisoformat(text) if token == DAY else _epoch_day(text)
            except ValueError:
                raise SourceError(f"{where}: {file.label}: {text} is not a date. Rename or remove the file") from None
    if token == EPOCH_DAY:
        raise SourceError(f"{where}: {file.label} holds no unix timestamp of a day. Fix the path")
    raise SourceError(f"{where}: {file.label} names more than one day. Use the same day throughout its path")


def _epoch_day(text: str) -> date:
    seconds = int(text) // (1000 if len(text) == 13 else 1)
    return datetime.fromtimestamp(seconds, UTC).date()


def content_hash(paths: Iterable[Path]) -> str:
    """A hash of the names and the bytes of files."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
