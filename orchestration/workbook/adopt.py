"""Add an edited workbook to the seeds, as a new configuration version."""

import csv
import difflib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from orchestration.durable import sync
from orchestration.locking import writer_lock
from orchestration.scorecard import SEEDS, ConfigurationError, Fault, Seeds, load_seeds
from orchestration.scorecard.faults import message
from orchestration.scorecard.lint import lint
from orchestration.settings import Settings
from orchestration.workbook import WorkbookError
from orchestration.workbook.read import Draft, SheetRow, read_workbook
from orchestration.workbook.rules import FIXED_SEEDS, RULE_SEEDS, VERSIONS, Rules, changes, rules_of, version_names

_MAX_CHANGES_SHOWN = 40
_LINE = re.compile(r"\bline (\d+)")

# What a seed's file is to hold, and which of its lines are rows of the workbook.
Drafted = tuple[bytes, Mapping[int, SheetRow | None]]


def import_workbook(settings: Settings, path: Path, active: bool = False) -> list[str]:
    """Append the workbook's rules to the seeds under the name that its sheet New version gives. All of it or nothing is written.

    Args:
        active: the version comes into force on its day, whatever status the workbook names.

    Returns:
        What was done and how the rules differ from those that the workbook was made from, in lines for a person.

    Raises:
        WorkbookError: the workbook cannot be used; one line per fault, with sheet, cell and remedy. Nothing was written.
        ConfigurationError: the seeds themselves are not valid.
        WriterBusy: a run is reading the seeds.
    """
    draft = read_workbook(path)
    with writer_lock(settings, f"import of {path.name}"):
        seeds = load_seeds(settings.seeds_dir)
        name = draft.version.cells["config_version"]
        is_taken = name in version_names(seeds)
        _check_rows(draft, seeds)
        with tempfile.TemporaryDirectory() as folder:
            # Called like the seeds' folder, since messages name it.
            trial = Path(folder) / settings.seeds_dir.absolute().name
            shutil.copytree(settings.seeds_dir, trial)
            drafted = _append(trial, draft, f"{name} (of {path.name})" if is_taken else name, "active" if active else None)
            merged = _load_trial(trial, draft, drafted)
            new = rules_of(merged, merged[VERSIONS][-1]["config_version"])
        base = rules_of(seeds, draft.base)
        differences = list(changes(base, new))
        if not differences:
            return [f"{path.name}: nothing changed: its rules are those of version {draft.base}. Nothing was written"]
        if is_taken and not list(changes(rules_of(seeds, name), new)):
            return [f"{path.name}: nothing changed: version {name} has these rules already. Nothing was written"]
        if is_taken:
            raise WorkbookError(
                f"{path.name}: {draft.version.place('config_version')}: version {name!r} is in {seeds.file(VERSIONS)} already, with other "
                "rules. Give the new version a name of its own"
            )
        replace_seeds(settings.seeds_dir, {seed: content for seed, (content, rows) in drafted.items() if rows})
    return _report(seeds, new, merged, differences, draft)


def _check_rows(draft: Draft, seeds: Seeds) -> None:
    """Refuse rows that came, went or changed their name where the workbook has a row for each of the version's."""
    if draft.base not in version_names(seeds):
        found = f"was made from version {draft.base!r}, which is no longer in {seeds.file(VERSIONS)}"
        raise WorkbookError(f"{draft.path.name}: {found}. Write a new workbook with make scorecard")
    base = rules_of(seeds, draft.base)
    faults = []
    for seed in FIXED_SEEDS:
        key = SEEDS[seed].key[1:]
        expected = {tuple(row[column] for column in key): None for row in base[seed]}
        given = {tuple(row.cells[column] for column in key): row for row in draft.rows[seed]}
        missing = [names for names in expected if names not in given]
        strange = {names: row for names, row in given.items() if names not in expected}
        for names, row in strange.items():
            likely = difflib.get_close_matches(" ".join(names), [" ".join(other) for other in missing], n=1)
            hint = f"Did you mean {likely[0]!r}?" if likely else "Write a new workbook with make scorecard, or give the row back its name"
            faults.append(f"{row.place(key[-1])}: {' '.join(names)!r} is not a row of {seed} in version {draft.base}. {hint}")
        if not strange:
            sheets = {names[0]: row.sheet for names, row in given.items()}
            faults += [
                f"sheet {sheets.get(names[0], names[0])!r}: the row of {' '.join(names[1:]) or names[0]} is missing "
                f"({seed} of version {draft.base}). "
                f"Undo its removal{'; weight 0 switches it off' if 'weight' in SEEDS[seed].columns else ''}"
                for names in missing
            ]
    if faults:
        raise WorkbookError("\n".join(f"{draft.path.name}: {fault}" for fault in faults))


def _append(folder: Path, draft: Draft, name: str, status: str | None) -> dict[str, Drafted]:
    """Write the workbook's rows below those of the seeds in a folder."""
    drafted = {}
    for seed in (VERSIONS, *RULE_SEEDS):
        file = folder / f"{seed}.csv"
        rows = []
        for row in draft.rows[seed]:
            cells = row.cells | {"config_version": name}
            rows.append((row, cells | {"status": status} if seed == VERSIONS and status else cells))
        _refuse_what_has_no_column(draft, seed, file)
        drafted[seed] = with_rows(file.read_bytes(), rows)
        file.write_bytes(drafted[seed][0])
    return drafted


def _refuse_what_has_no_column(draft: Draft, seed: str, file: Path) -> None:
    """A seed may lack a column that was added later, but then its file cannot take what the workbook says there."""
    with open(file, encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream))
    for column, cell in SEEDS[seed].columns.items():
        if not cell.may_lack or column in header:
            continue
        for row in draft.rows[seed]:
            text = row.cells.get(column, "")
            if text and text not in (str(cell.default), f"{cell.default:g}"):
                raise WorkbookError(
                    f"{draft.path.name}: {row.place(column)}: {column} is {text}, but {file.parent.name}/{file.name} has no such column. "
                    "Add it to the header, with a blank cell in every row, and import again"
                )


def with_rows(content: bytes, rows: Iterable[tuple[SheetRow | None, Mapping[str, str]]]) -> Drafted:
    """A file with rows below its own, in its own order of columns and with its own line ends; not a byte of it changes."""
    text = content.decode("utf-8-sig")
    ending = next((ending for ending in ("\r\n", "\n", "\r") if ending in text), "\n")
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    header = next(csv.reader(io.StringIO(plain)))
    gap = "" if plain.endswith("\n") else ending
    line = plain.count("\n") + (2 if gap else 1)
    added = io.StringIO(gap)
    places: dict[int, SheetRow | None] = {}
    added.seek(0, io.SEEK_END)
    for row, cells in rows:
        places[line] = row
        record = io.StringIO()
        csv.writer(record, lineterminator="\n").writerow([cells.get(column, "") for column in header])
        line += record.getvalue().count("\n")
        added.write(record.getvalue().removesuffix("\n") + ending)
    return (content + added.getvalue().encode() if places else content), places


def _load_trial(trial: Path, draft: Draft, drafted: Mapping[str, Drafted]) -> Seeds:
    """Check the seeds as they would be; faults name the workbook's cells instead of lines of files."""
    try:
        seeds = load_seeds(trial)
        # What a run would refuse. Other versions may have faults that this one is to end.
        mistakes = [fault for fault in lint(seeds, date.min) if fault.is_error and fault.line in drafted.get(fault.seed, (b"", {}))[1]]
        if mistakes:
            raise ConfigurationError(message(seeds, mistakes), mistakes)
        return seeds
    except ConfigurationError as error:
        # The version's name is in one cell of the workbook, and in every row of the files.
        told = [fault for fault in error.faults if fault.seed == VERSIONS or fault.column != "config_version"]
        lines = [_in_workbook(fault, draft, drafted) for fault in told]
        raise WorkbookError("\n".join(lines)) from error


def _in_workbook(fault: Fault, draft: Draft, drafted: Mapping[str, Drafted]) -> str:
    rows = drafted[fault.seed][1] if fault.seed in drafted else {}

    def place(match: re.Match[str]) -> str:
        other = rows.get(int(match[1]))
        return other.place(None) if other else f"{fault.seed}.csv {match[0]}"

    text = _LINE.sub(place, fault.text)
    row = rows.get(fault.line) if fault.line is not None else None
    return f"{draft.path.name}: {row.place(fault.column)}: {text}" if row else f"{draft.path.name}: {fault.seed}: {text}"


def replace_seeds(seeds_dir: Path, contents: Mapping[str, bytes]) -> None:
    """Replace files all together: each is written whole beside the old one first, and a failure puts back what was replaced.

    The versions come last: until then no run takes the new rows, it refuses them as rows of an unknown version.
    """
    files = {(seeds_dir / f"{seed}.csv").resolve(): content for seed, content in contents.items() if seed != VERSIONS}
    files[(seeds_dir / f"{VERSIONS}.csv").resolve()] = contents[VERSIONS]
    old = {file: file.read_bytes() for file in files}
    try:
        for file, content in files.items():
            _write_beside(file, content)
        for file in files:
            os.replace(_beside(file), file)
    except OSError as error:
        for file, content in old.items():
            _beside(file).unlink(missing_ok=True)
            if file.read_bytes() != content:
                _write_beside(file, content)
                os.replace(_beside(file), file)
        raise WorkbookError(f"{error.filename or seeds_dir}: {error.strerror}. The seeds are as they were") from error
    sync(seeds_dir)


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}.new")


def _write_beside(file: Path, content: bytes) -> None:
    _beside(file).write_bytes(content)
    shutil.copymode(file, _beside(file))
    sync(_beside(file))


def _report(seeds: Seeds, new: Rules, merged: Seeds, differences: list[str], draft: Draft) -> list[str]:
    row = merged[VERSIONS][-1]
    files = [f"{seed}.csv" for seed in (VERSIONS, *RULE_SEEDS) if seed == VERSIONS or new[seed]]
    what = f"version {new.version} ({row['status']}, from {row['valid_from']})"
    lines = [f"{draft.path.name}: {what} added to {seeds.folder.name}/: {', '.join(files)}"]
    lines.append(f"{len(differences)} difference{'s' * (len(differences) != 1)} from version {draft.base}:")
    lines += [f"  {difference}" for difference in differences[:_MAX_CHANGES_SHOWN]]
    if len(differences) > _MAX_CHANGES_SHOWN:
        lines.append(f"  and {len(differences) - _MAX_CHANGES_SHOWN} more")
    if row["status"] == "candidate":
        remedy = "To put it in force, set its status in config_versions.csv to active."
        lines.append(f"Run the pipeline, then compare in candidate_scores_history. {remedy}")
    return lines
