"""Reads the seed files into typed rows, and refuses all of them while anything is wrong with one."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration.scorecard.cells import parse
from orchestration.scorecard.faults import ConfigurationError, Fault, message, show, suggest
from orchestration.scorecard.rules import RULES, reference_faults
from orchestration.scorecard.schema import SEEDS, Row, Seed, Seeds


def load_seeds(seeds_dir: Path) -> Seeds:
    """All seeds, checked; blank cells that have a default hold it.

    Raises:
        ConfigurationError: the seeds are not valid; one line per fault.
    """
    if not seeds_dir.is_dir():
        raise ConfigurationError(f"{seeds_dir}: no such folder. Set pipeline.seeds_dir to the folder of the seeds")
    reader = _Reader(seeds_dir)
    seeds = Seeds(seeds_dir, {name: reader.read(name, seed) for name, seed in SEEDS.items()})
    faults = reader.faults + list(reference_faults(seeds, reader.torn))
    if not faults:
        faults = [fault for rule in RULES for fault in rule(seeds)]
    if faults:
        raise ConfigurationError(message(seeds, faults), faults)
    return seeds


def read_seed(seeds_dir: Path, name: str, seed: Seed, rule: Callable[[list[Row]], Iterator[Fault]]) -> list[Row]:
    """Read and check a seed on which no score depends, so that it is part of no hash.

    Args:
        rule: looks at whole rows, once every cell is sound.

    Raises:
        ConfigurationError: with one line per fault.
    """
    reader = _Reader(seeds_dir)
    rows = reader.read(name, seed)
    faults = reader.faults or list(rule(rows))
    if faults:
        raise ConfigurationError(message(Seeds(seeds_dir, {name: rows}), faults))
    return rows


@dataclass
class _Reader:
    """Reads seed files into typed rows and gathers what is wrong with single files, rows and cells.

    `torn` names the files of which rows may be missing in what was read: nothing can be said about references to them.
    """

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    torn: set[str] = field(default_factory=set)

    def read(self, name: str, seed: Seed) -> list[Row]:
        known = len(self.faults)
        text = self._text(name, seed)
        rows = self._rows(name, seed, text) if text is not None else []
        if seed.has_rows and not rows and len(self.faults) == known:
            self._fault(name, None, "no row below the header. Add at least one")
        self._check_keys(name, seed, rows)
        return rows

    def _fault(self, name: str, line: int | None, text: str, column: str | None = None) -> None:
        self.faults.append(Fault(name, line, text, column))

    def _tear(self, name: str, line: int | None, text: str) -> None:
        self.torn.add(name)
        self._fault(name, line, text)

    def _text(self, name: str, seed: Seed) -> str | None:
        path = self.folder / f"{name}.csv"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            if seed.required:
                self._tear(name, None, f"no such file. Add it, with the columns {', '.join(seed.columns)}")
            return None
        except OSError as error:
            self._tear(name, None, f"cannot be read: {error.strerror}. Make it a readable file")
            return None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._tear(name, data.count(b"\n", 0, error.start) + 1, "not valid UTF-8. Save the file as CSV UTF-8")
            return None
        if "\0" in text:
            self._tear(name, text.count("\n", 0, text.index("\0")) + 1, "holds a NUL character. Remove it")
            return None
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _rows(self, name: str, seed: Seed, text: str) -> list[Row]:
        # Cells longer than csv's limit of 131,072 characters end in csv.Error: nobody wrote them by hand.
        reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
        header: list[str] | None = None
        rows = []
        line = 1
        try:
            for cells in reader:
                if header is None:
                    header = cells
                    if not self._check_header(name, seed, header):
                        return []
                elif not any(cell.strip() for cell in cells):
                    self._fault(name, line, "blank row. Remove it")
                elif len(cells) != len(header):
                    found = f"{len(cells)} cells, where the header has {len(header)}"
                    self._tear(name, line, f"{found}. Put quotes around a cell that holds a comma")
                else:
                    rows.append(self._row(name, seed, line, dict(zip(header, cells, strict=True))))
                line = reader.line_num + 1
        except csv.Error as error:
            self._tear(name, line, f"not valid CSV: {error}. Fix the quotes of this row")
            return rows
        if header is None:
            self._tear(name, None, f"empty. Add the header {','.join(seed.columns)}")
        return rows

    def _check_header(self, name: str, seed: Seed, header: list[str]) -> bool:
        if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
            self._tear(name, 1, "columns are not separated by commas. Save the file as comma-separated CSV")
            return False
        missing = [column for column, cell in seed.columns.items() if column not in header and not cell.may_lack]
        unknown = [column for column in header if column not in seed.columns]
        doubled = sorted({column for column in header if header.count(column) > 1} - set(unknown))
        for column in unknown:
            hint = (
                suggest(column, [name for name in seed.columns if name not in header])
                or f"Remove it; the columns are {', '.join(seed.columns)}"
            )
            self._tear(name, 1, f"unknown column {show(column)}. {hint}")
        for column in missing:
            self._tear(name, 1, f"column {column} is missing. Add it; the header has {show(', '.join(header))}")
        for column in doubled:
            self._tear(name, 1, f"column {column} is duplicated. Keep one")
        return not (missing or unknown or doubled)

    def _row(self, name: str, seed: Seed, line: int, cells: dict[str, str]) -> Row:
        values = {}
        for column, cell in seed.columns.items():
            try:
                values[column] = parse(cell, cells.get(column, ""))
            except ValueError as error:
                values[column] = None
                self._fault(name, line, f"{column} {error}", column)
        return Row(line, values)

    def _check_keys(self, name: str, seed: Seed, rows: list[Row]) -> None:
        first: dict[tuple[Any, ...], int] = {}
        for row in rows:
            if any(row[column] is None and seed.columns[column].required for column in seed.key):
                continue
            key = row.take(seed.key)
            # Currencies are compared in upper case.
            same = tuple(value.upper() for value in key[:1]) + key[1:] if name == "fx_rates" else key
            if same in first:
                named = ", ".join(f"{column} {show(value)}" for column, value in zip(seed.key, key, strict=True))
                self._fault(name, row.line, f"{named} is duplicated, first on line {first[same]}. Remove one")
            first.setdefault(same, row.line)
