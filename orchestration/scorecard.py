"""The scorecard seeds as data: their columns, the checks before anything runs, and the hash that names a configuration.

`seeds/*.csv` are edited by people in spreadsheets, so every fault is told as one line with file, line, what was found
and what to do. Cells are read as dbt reads them (Python's CSV rules; blank or `null` is null): what passes here loads
there.
"""

import csv
import difflib
import hashlib
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from orchestration.playbooks import Field, Part, all_fields, split_reason

Kind = Literal["text", "number", "integer", "boolean", "date"]

DIMENSIONS = ("adoption", "commercial", "support", "voice", "outcomes")
STAGES = ("onboarding", "renewing", "mature")
OPERATORS = ("<", "<=", ">", ">=", "=", "!=")
# From best to worst, with the thresholds of specification section 6.
DEFAULT_TIERS: Mapping[str, Mapping[str, float]] = {
    "healthy": {"min_score": 70.0, "min_percentile": 0.75},
    "at_risk": {"min_score": 40.0, "min_percentile": 0.25},
    "poor": {"min_score": 0.0, "min_percentile": 0.0},
}

# Keeps sums and products of weights, anchors and thresholds finite in doubles.
_NUMBER_LIMIT = 1e15
_INTEGER_LIMIT = 2**31 - 1
_MAX_FAULTS_SHOWN = 50

_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# A spreadsheet or data frame writes an integer column with blanks as 3.0.
_INTEGER = re.compile(r"-?\d+(\.0*)?", re.ASCII)
_KEY = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class ConfigurationError(ValueError):
    """The scorecard seeds cannot be used; the message has one line per fault, with file, line and remedy.

    Attributes:
        faults: the same faults as data, for who knows the rows from elsewhere than from the files.
    """

    def __init__(self, message: str, faults: "Sequence[Fault]" = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Cell:
    """What one column of a seed may hold.

    Attributes:
        default: what a blank cell means; only for columns that are not required.
        above: like `minimum`, but the bound itself is refused.
        may_lack: the whole column may be missing, which is as if every cell of it were blank.
    """

    kind: Kind = "text"
    required: bool = True
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    default: Any = None
    may_lack: bool = False


@dataclass(frozen=True)
class Seed:
    """One seed file.

    Attributes:
        key: columns in which no two rows may agree.
        references: (columns, seed): the values of these columns must stand in a row of that seed.
        required: whether the file must be there.
        has_rows: whether the file must have a row.
    """

    columns: Mapping[str, Cell]
    key: tuple[str, ...]
    references: tuple[tuple[tuple[str, ...], str], ...] = ()
    required: bool = True
    has_rows: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a seed: the line on which it begins, and its typed values (None where blank)."""

    line: int
    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]

    def take(self, columns: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple(self.values[column] for column in columns)


@dataclass(frozen=True)
class Fault:
    """`line` is None where a file, or a row that is not there, is at fault; `column` where no single cell is."""

    seed: str
    line: int | None
    text: str
    column: str | None = None


@dataclass(frozen=True)
class Seeds:
    """The rows of all seeds, by name of the seed."""

    folder: Path
    rows: Mapping[str, list[Row]]

    def __getitem__(self, name: str) -> list[Row]:
        return self.rows[name]

    def file(self, name: str) -> str:
        """How messages call a seed's file: `seeds/metrics.csv`."""
        return f"{self.folder.absolute().name}/{name}.csv"


_TEXT = Cell()
_OPTIONAL_TEXT = Cell(required=False)
_DAY = Cell("date")
_NUMERIC = Cell("number")
_OPTIONAL_NUMERIC = Cell("number", required=False)
# The models add weights as exact decimals of 22 places: within these bounds that is finer than a double.
_SMALLEST_WEIGHT, _GREATEST_WEIGHT = 1e-6, 1e6
_WEIGHT = Cell("number", minimum=0, maximum=_GREATEST_WEIGHT)
_SCORE = Cell("number", minimum=0, maximum=100)

_CARD = ("config_version", "scorecard_key")
_CARD_METRIC = (*_CARD, "metric_key")
# Columns that say nothing about how accounts are scored.
_WORDS = ("label", "reason", "colour")
_OF_VERSION = (("config_version",), "config_versions")
_OF_CARD = (_CARD, "scorecards")
_OF_METRIC = (("metric_key",), "metrics")
_NOUNS = {
    "config_version": "version",
    "scorecard_key": "scorecard",
    "metric_key": "metric",
    "playbook_key": "playbook",
}


def _on_card(**columns: Cell) -> dict[str, Cell]:
    return {"config_version": _TEXT, "scorecard_key": _TEXT, **columns}


SEEDS: Mapping[str, Seed] = {
    "config_versions": Seed(
        {
            "config_version": _TEXT,
            "valid_from": _DAY,
            "status": Cell(choices=("active", "candidate")),
            "author": _OPTIONAL_TEXT,
            "note": _OPTIONAL_TEXT,
        },
        key=("config_version",),
    ),
    "metrics": Seed(
        {
            "metric_key": _TEXT,
            "dimension_key": Cell(choices=DIMENSIONS),
            "label": _OPTIONAL_TEXT,
            "unit": _OPTIONAL_TEXT,
            "higher_is_better": Cell("boolean", required=False),
            "description": _OPTIONAL_TEXT,
        },
        key=("metric_key",),
        has_rows=True,
    ),
    "scorecards": Seed(
        _on_card(
            label=_OPTIONAL_TEXT,
            priority=Cell("integer"),
            segment=_TEXT,
            stage=Cell(choices=("*", *STAGES)),
            min_coverage=Cell("number", required=False, minimum=0, maximum=1, default=0.5),
            confirm_days=Cell("integer", required=False, minimum=1, default=3),
            tier_mode=Cell(required=False, choices=("threshold", "quantile"), default="threshold"),
            tier_margin=Cell("number", required=False, minimum=0, maximum=100, default=3.0, may_lack=True),
        ),
        key=_CARD,
        references=(_OF_VERSION,),
        has_rows=True,
    ),
    "scorecard_dimensions": Seed(
        _on_card(dimension_key=Cell(choices=DIMENSIONS), weight=_WEIGHT),
        key=(*_CARD, "dimension_key"),
        references=(_OF_VERSION, _OF_CARD),
        has_rows=True,
    ),
    "scorecard_metrics": Seed(
        _on_card(
            metric_key=_TEXT,
            weight=_WEIGHT,
            method=Cell(required=False, choices=("linear", "bands", "percentile", "zscore"), default="linear"),
            worst=_OPTIONAL_NUMERIC,
            best=_OPTIONAL_NUMERIC,
            missing_policy=Cell(required=False, choices=("exclude", "neutral", "worst"), default="exclude"),
        ),
        key=_CARD_METRIC,
        references=(_OF_VERSION, _OF_CARD, _OF_METRIC),
        has_rows=True,
    ),
    "metric_bands": Seed(
        _on_card(metric_key=_TEXT, lower_bound=_NUMERIC, score=_SCORE),
        key=(*_CARD_METRIC, "lower_bound"),
        references=(_OF_VERSION, _OF_CARD, _OF_METRIC, (_CARD_METRIC, "scorecard_metrics")),
    ),
    "score_caps": Seed(
        _on_card(
            cap_key=_TEXT,
            metric_key=_TEXT,
            operator=Cell(choices=OPERATORS),
            threshold=_NUMERIC,
            max_score=_SCORE,
            reason=_OPTIONAL_TEXT,
        ),
        key=(*_CARD, "cap_key"),
        references=(_OF_VERSION, _OF_CARD, _OF_METRIC),
    ),
    "tiers": Seed(
        _on_card(
            tier=Cell(choices=tuple(DEFAULT_TIERS)),
            colour=_OPTIONAL_TEXT,
            min_score=_OPTIONAL_NUMERIC,
            min_percentile=_OPTIONAL_NUMERIC,
        ),
        key=(*_CARD, "tier"),
        references=(_OF_VERSION, _OF_CARD),
    ),
    "fx_rates": Seed(
        {"currency": _TEXT, "valid_from": _DAY, "rate": Cell("number", above=0)},
        key=("currency", "valid_from"),
    ),
    "playbooks": Seed(
        {
            "playbook_key": _TEXT,
            "label": _OPTIONAL_TEXT,
            "priority": _OPTIONAL_NUMERIC,
            "reason_template": _OPTIONAL_TEXT,
        },
        key=("playbook_key",),
        required=False,
    ),
    "playbook_conditions": Seed(
        {"playbook_key": _TEXT, "field": _TEXT, "operator": Cell(choices=OPERATORS), "value": _OPTIONAL_TEXT},
        key=("playbook_key", "field", "operator", "value"),
        references=((("playbook_key",), "playbooks"),),
        required=False,
    ),
}


def validate_seeds(seeds_dir: Path) -> None:
    """Check the scorecard configuration before anything runs.

    Rules that look at several rows are checked once every cell is sound, so that one wrong cell is one fault.

    Args:
        seeds_dir: folder of the seed files (specification, section 9).

    Raises:
        ConfigurationError: with one line per fault.
    """
    load_seeds(seeds_dir)


def configuration_hash(seeds_dir: Path) -> str:
    """SHA-256 (hex) over what the seeds say.

    Order of rows and columns, line endings, quoting, and whether a default is left blank or written out make no
    difference.

    Raises:
        ConfigurationError: the seeds are not valid.
    """
    content = {
        name: sorted(json.dumps(row.values, sort_keys=True, default=date.isoformat) for row in rows)
        for name, rows in load_seeds(seeds_dir).rows.items()
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def scorecard_rules(seeds_dir: Path) -> dict[tuple[str, str], str]:
    """The rules of each scorecard by (config_version, scorecard_key), as SHA-256 (hex) of what decides its scores and tiers.

    Two scorecards of one hash and name score alike; labels, reasons, the versions' dates and other scorecards make no difference.

    Raises:
        ConfigurationError: the seeds are not valid.
    """
    seeds = load_seeds(seeds_dir)
    metrics = {row["metric_key"]: row.take(("dimension_key", "higher_is_better")) for row in seeds["metrics"]}
    names = [name for name, seed in SEEDS.items() if set(_CARD) <= seed.columns.keys()]
    by_card = {name: _by_card(seeds[name]) for name in names}
    rules = {}
    for card in seeds["scorecards"]:
        key = card.take(_CARD)
        content = {
            name: sorted(
                json.dumps(
                    {column: value for column, value in row.values.items() if column not in _WORDS}
                    | {"metric": metrics.get(row.values.get("metric_key"))},
                    sort_keys=True,
                )
                for row in by_card[name][key]
            )
            for name in names
        }
        rules[key] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return rules


@dataclass(frozen=True)
class Playbook:
    """A playbook of the seeds, ready to be evaluated.

    Attributes:
        priority: the smaller, the more urgent; None comes last.
        reason: the pieces of its reason, in order.
        conditions: (field, operator, the number or text compared with); all must hold.
        fields: every field that the reason or a condition names.
    """

    key: str
    label: str
    priority: float | None
    reason: list[Part]
    conditions: list[tuple[Field, str, float | str]]
    fields: list[Field]


def read_playbooks(seeds_dir: Path) -> list[Playbook]:
    """The playbooks of the seeds; none where the team has no such files.

    Raises:
        ConfigurationError: the seeds are not valid.
    """
    seeds = load_seeds(seeds_dir)
    fields = _playbook_fields(seeds)
    conditions: dict[str, list[tuple[Field, str, float | str]]] = defaultdict(list)
    for row in seeds["playbook_conditions"]:
        field_ = fields[row["field"]]
        compared = row["value"] if field_.is_text else _parse_number(row["value"].strip())
        conditions[row["playbook_key"]].append((field_, row["operator"], compared))
    playbooks = []
    for row in seeds["playbooks"]:
        key, reason = row["playbook_key"], split_reason(row["reason_template"] or "")
        shown = [fields[part.field] for part in reason if part.field is not None]
        compared_fields = [field_ for field_, _, _ in conditions[key]]
        playbooks.append(Playbook(key, row["label"] or key, row["priority"], reason, conditions[key], shown + compared_fields))
    return playbooks


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
        raise ConfigurationError(_message(Seeds(seeds_dir, {name: rows}), faults))
    return rows


def load_seeds(seeds_dir: Path) -> Seeds:
    """All seeds, checked; blank cells that have a default hold it.

    Raises:
        ConfigurationError: the seeds are not valid; one line per fault.
    """
    if not seeds_dir.is_dir():
        raise ConfigurationError(f"{seeds_dir}: no such folder. Set pipeline.seeds_dir to the folder of the seeds")
    reader = _Reader(seeds_dir)
    seeds = Seeds(seeds_dir, {name: reader.read(name, seed) for name, seed in SEEDS.items()})
    faults = reader.faults + list(_reference_faults(seeds, reader.torn))
    if not faults:
        faults = [fault for rule in _RULES for fault in rule(seeds)]
    if faults:
        raise ConfigurationError(_message(seeds, faults), faults)
    return seeds


def _message(seeds: Seeds, faults: list[Fault]) -> str:
    lines = []
    for fault in faults[:_MAX_FAULTS_SHOWN]:
        line = "" if fault.line is None else f" line {fault.line}"
        lines.append(f"{seeds.file(fault.seed)}{line}: {fault.text}")
    if len(faults) > _MAX_FAULTS_SHOWN:
        lines.append(f"{len(faults) - _MAX_FAULTS_SHOWN} more faults are not listed. Mend these first")
    return "\n".join(lines)


def _show(value: Any) -> str:
    """A value as found, on one line whatever it holds: quoted, escaped and cut."""
    text = value if isinstance(value, str) else f"{value:.15g}" if isinstance(value, float) else str(value)
    return repr(text if len(text) <= 60 else text[:60] + "...")


def _suggest(found: str, known: Collection[str]) -> str:
    # Signs are too short for likeness to mean anything: `=>` is as near to `>` as to `>=`.
    close = difflib.get_close_matches(found[:200], known, n=1) if any(map(str.isalnum, found)) else []
    return f"Did you mean {_show(close[0])}?" if close else ""


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
            self._tear(name, data.count(b"\n", 0, error.start) + 1, "no valid UTF-8. Save the file as CSV UTF-8")
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
            self._tear(name, line, f"no valid CSV: {error}. Mend the quotes of this row")
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
                _suggest(column, [name for name in seed.columns if name not in header])
                or f"Remove it; the columns are {', '.join(seed.columns)}"
            )
            self._tear(name, 1, f"unknown column {_show(column)}. {hint}")
        for column in missing:
            self._tear(name, 1, f"column {column} is missing. Add it; the header has {_show(', '.join(header))}")
        for column in doubled:
            self._tear(name, 1, f"column {column} stands there more than once. Keep one")
        return not (missing or unknown or doubled)

    def _row(self, name: str, seed: Seed, line: int, cells: dict[str, str]) -> Row:
        values = {}
        for column, cell in seed.columns.items():
            try:
                values[column] = _parse(cell, cells.get(column, ""))
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
                named = ", ".join(f"{column} {_show(value)}" for column, value in zip(seed.key, key, strict=True))
                self._fault(name, row.line, f"{named} stands there twice, first on line {first[same]}. Remove one")
            first.setdefault(same, row.line)


def _parse(cell: Cell, text: str) -> Any:
    """The typed value of a cell.

    Raises:
        ValueError: what is wrong and what to do, to follow the name of the column.
    """
    stripped = text.strip()
    if stripped.lower() in ("", "null"):
        if cell.required:
            raise ValueError("is blank. Fill it in")
        return cell.default
    if cell.required and cell.kind == "text" and text != stripped:
        raise ValueError(f"{_show(text)} has white space around it. Remove it")
    value = _PARSERS[cell.kind](text if cell.kind == "text" else stripped)
    if value is None:
        raise ValueError(f"{_show(text)} is no {_KINDS[cell.kind]}")
    if cell.choices and value not in cell.choices:
        hint = _suggest(value, cell.choices) or "Choose one of them"
        raise ValueError(f"{_show(text)} is none of {', '.join(cell.choices)}. {hint}")
    if cell.kind in ("number", "integer"):
        _check_range(cell, value)
    return value


def _parse_number(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value + 0.0 if math.isfinite(value) else None  # + 0.0 turns -0.0 into 0.0


def _parse_integer(text: str) -> int | None:
    return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) and len(text) <= 20 else None


def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _parse_boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


_PARSERS: Mapping[Kind, Callable[[str], Any]] = {
    "text": str,
    "number": _parse_number,
    "integer": _parse_integer,
    "date": _parse_date,
    "boolean": _parse_boolean,
}
_KINDS: Mapping[Kind, str] = {
    "text": "text",
    "number": "finite number. Write digits with a decimal point, such as 1.25",
    "integer": "whole number. Write digits only, such as 3",
    "date": "date. Write it as YYYY-MM-DD",
    "boolean": "boolean. Write true or false",
}


def _check_range(cell: Cell, value: float) -> None:
    limit = _NUMBER_LIMIT if cell.kind == "number" else _INTEGER_LIMIT
    low = -limit if cell.minimum is None else cell.minimum
    high = limit if cell.maximum is None else cell.maximum
    if cell.above is not None and value <= cell.above:
        raise ValueError(f"{_show(value)} is not above {cell.above:g}. Give a greater number")
    if value < low:
        raise ValueError(f"{_show(value)} is below {low:g}. Give a number from {low:g} to {high:g}")
    if value > high:
        raise ValueError(f"{_show(value)} is above {high:g}. Give a number from {low:g} to {high:g}")


def _reference_faults(seeds: Seeds, torn: set[str]) -> Iterator[Fault]:
    """Rows that name a version, scorecard, metric or playbook that is not there."""
    references = {reference for seed in SEEDS.values() for reference in seed.references}
    known = {(columns, target): {row.take(columns) for row in seeds[target]} for columns, target in references}
    for name, seed in SEEDS.items():
        for row in seeds[name]:
            dangling: set[str] = set()
            for columns, target in seed.references:
                key = row.take(columns)
                # A part that is blank, or that dangles by itself, has been told already.
                if target in torn or None in key or dangling.intersection(columns) or key in known[columns, target]:
                    continue
                dangling.add(columns[-1])
                parts = zip(columns, key, strict=True)
                found, *owners = reversed([f"{_NOUNS[column]} {_show(value)}" for column, value in parts])
                alike = sorted({other[-1] for other in known[columns, target] if other[:-1] == key[:-1]})
                remedy = _suggest(key[-1], alike) or "Add it there, or correct this row"
                text = f"{' of '.join([found, *owners])} is not in {seeds.file(target)}. {remedy}"
                yield Fault(name, row.line, text, columns[-1])


def _of_card(row: Row) -> str:
    return f"scorecard {_show(row['scorecard_key'])} of version {_show(row['config_version'])}"


def _by_card(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row.take(_CARD)].append(row)
    return groups


def _metric_faults(seeds: Seeds) -> Iterator[Fault]:
    """Metric keys are columns of the models."""
    for row in seeds["metrics"]:
        if not _KEY.fullmatch(row["metric_key"]):
            text = f"metric_key {_show(row['metric_key'])} is no name of a column. Use a-z, 0-9 and _, a letter first"
            yield Fault("metrics", row.line, text)


def _version_faults(seeds: Seeds) -> Iterator[Fault]:
    active = [row for row in seeds["config_versions"] if row["status"] == "active"]
    if not active:
        yield Fault("config_versions", None, "no version is active. Set the status of one to active")
    first: dict[date, Row] = {}
    for row in active:
        other = first.setdefault(row["valid_from"], row)
        if other is not row:
            both = f"{_show(other['config_version'])} (line {other.line}) and {_show(row['config_version'])}"
            text = f"the active versions {both} are both valid from {row['valid_from']}. Change one date or status"
            yield Fault("config_versions", row.line, text, "valid_from")


def _matching_faults(seeds: Seeds) -> Iterator[Fault]:
    """Accounts that two scorecards claim with equal priority, or that none can match."""
    by_version: dict[str, list[Row]] = {row["config_version"]: [] for row in seeds["config_versions"]}
    for row in seeds["scorecards"]:
        by_version[row["config_version"]].append(row)
    for version, cards in by_version.items():
        for position, card in enumerate(cards):
            for other in cards[:position]:
                if card["priority"] == other["priority"] and _overlap(card, other):
                    both = f"{_show(other['scorecard_key'])} (line {other.line}) and {_show(card['scorecard_key'])}"
                    text = f"the scorecards {both} of version {_show(version)} have priority {card['priority']}"
                    yield Fault("scorecards", card.line, f"{text} and can match the same account. Change one priority")
        covered = {card["stage"] for card in cards if card["segment"] == "*"}
        bare = [] if "*" in covered else [stage for stage in STAGES if stage not in covered]
        if bare:
            text = f"version {_show(version)} has no scorecard with segment * for stage {', '.join(bare)}"
            yield Fault("scorecards", None, f"{text}, so accounts could stay without a score. Add one")


def _overlap(card: Row, other: Row) -> bool:
    return all("*" in (card[part], other[part]) or card[part] == other[part] for part in ("segment", "stage"))


def _weight_faults(seeds: Seeds) -> Iterator[Fault]:
    for seed in ("scorecard_dimensions", "scorecard_metrics"):
        for row in seeds[seed]:
            if 0 < row["weight"] < _SMALLEST_WEIGHT:
                found = f"weight {row['weight']:g} is below {_SMALLEST_WEIGHT:g} but not 0"
                yield Fault(seed, row.line, f"{found}. Give 0, or a greater weight: only the proportions count", "weight")
    dimension_of = {row["metric_key"]: row["dimension_key"] for row in seeds["metrics"]}
    dimensions = _by_card(seeds["scorecard_dimensions"])
    metrics = _by_card(seeds["scorecard_metrics"])
    for card in seeds["scorecards"]:
        key = card.take(_CARD)
        weights = {row["dimension_key"]: row["weight"] for row in dimensions[key]}
        weighed = [row for row in metrics[key] if row["weight"] > 0]
        for row in weighed:
            dimension = dimension_of[row["metric_key"]]
            if dimension not in weights:
                found = f"metric {_show(row['metric_key'])} of the dimension {_show(dimension)} cannot count"
                cause = f"{_of_card(row)} has no such row in {seeds.file('scorecard_dimensions')}"
                remedy = "Add it, or set the metric's weight to 0"
                yield Fault("scorecard_metrics", row.line, f"{found}: {cause}. {remedy}", "weight")
        if not any(weights.get(dimension_of[row["metric_key"]], 1) > 0 for row in weighed):
            text = f"{_of_card(card)} has no metric of positive weight in a dimension of positive weight"
            yield Fault("scorecards", card.line, f"{text}. Give one a weight")


def _method_faults(seeds: Seeds) -> Iterator[Fault]:
    directed = {row["metric_key"] for row in seeds["metrics"] if row["higher_is_better"] is not None}
    banded = {row.take(_CARD_METRIC) for row in seeds["metric_bands"]}
    for row in seeds["scorecard_metrics"]:
        metric, method, worst, best = row.take(("metric_key", "method", "worst", "best"))
        named = f"metric {_show(metric)} has the method {method}"
        if method == "linear" and (worst is None or best is None):
            blank = " and ".join(column for column in ("worst", "best") if row[column] is None)
            column = "worst" if worst is None else "best"
            yield Fault("scorecard_metrics", row.line, f"{named}, but {blank} is blank. Fill it in", column)
        elif method == "linear" and worst == best:
            text = f"{named}, but worst and best are both {_show(worst)}. Make them differ"
            yield Fault("scorecard_metrics", row.line, text, "best")
        elif method == "bands" and row.take(_CARD_METRIC) not in banded:
            text = f"{named}, but {_of_card(row)} has none in {seeds.file('metric_bands')}. Add one"
            yield Fault("scorecard_metrics", row.line, text, "method")
        elif method in ("percentile", "zscore") and metric not in directed:
            text = f"{named}, but its higher_is_better in {seeds.file('metrics')} is blank"
            yield Fault("scorecard_metrics", row.line, f"{text}. Write true or false there", "method")


def _tier_faults(seeds: Seeds) -> Iterator[Fault]:
    """Scores without a tier and tiers without a score, in the mode that the scorecard uses."""
    tiers = _by_card(seeds["tiers"])
    for card in seeds["scorecards"]:
        column = "min_percentile" if card["tier_mode"] == "quantile" else "min_score"
        found = {row["tier"]: row for row in tiers[card.take(_CARD)]}
        falling = [
            (row, default[column] if row[column] is None else row[column])
            for tier, default in DEFAULT_TIERS.items()
            if (row := found.get(tier))
        ]
        for (row, start), lower in zip(falling, [*falling[1:], None], strict=False):
            fault = _tier_fault(column, start, lower)
            if fault:
                text = f"tier {_show(row['tier'])} has {column} {_show(start)}, {fault}"
                yield Fault("tiers", row.line, text, column)


def _tier_fault(column: str, start: float, lower: tuple[Row, float] | None) -> str | None:
    """What is wrong with where a tier starts, given the next lower tier and its start, if there is one."""
    if column == "min_score" and not 0 <= start <= 100:
        return "which is no score. Give a number from 0 to 100"
    if column == "min_percentile" and not 0 <= start < 1:
        return "above which no account can stand. Give a share from 0 to below 1"
    if lower is None:
        return "but is the lowest tier of its scorecard: what lies below has no tier. Set it to 0" if start else None
    lower_row, lower_start = lower
    worse = f"{_show(lower_row['tier'])} (line {lower_row.line})"
    if start <= lower_start:
        return f"not above the {_show(lower_start)} of {worse}. Let them fall from healthy over at_risk to poor"
    if column == "min_score" and _next_score(lower_start) >= start:
        return f"which leaves no score with one decimal for {worse}. Set it higher"
    return None


def _playbook_fields(seeds: Seeds) -> dict[str, Field]:
    return all_fields([row["metric_key"] for row in seeds["metrics"]], DIMENSIONS)


def _playbook_faults(seeds: Seeds) -> Iterator[Fault]:
    """Fields that nobody computes, values of the wrong kind, and playbooks that would hold for every account."""
    fields = _playbook_fields(seeds)
    conditioned = set()
    for row in seeds["playbook_conditions"]:
        conditioned.add(row["playbook_key"])
        fault = _condition_fault(fields, *row.take(("field", "operator", "value")))
        if fault:
            yield Fault("playbook_conditions", row.line, fault)
    for row in seeds["playbooks"]:
        if row["playbook_key"] not in conditioned:
            text = f"playbook {_show(row['playbook_key'])} has no condition, so it would hold for every account"
            yield Fault("playbooks", row.line, f"{text}. Add one in {seeds.file('playbook_conditions')}")
        try:
            parts = split_reason(row["reason_template"] or "")
        except ValueError as error:
            yield Fault("playbooks", row.line, f"reason_template {error}")
            continue
        for part in parts:
            if part.field is not None and part.field not in fields:
                yield Fault("playbooks", row.line, f"reason_template shows {_unknown_field(part.field, fields)}")


def _condition_fault(fields: Mapping[str, Field], name: str, operator: str, value: str | None) -> str | None:
    if name not in fields:
        return _unknown_field(name, fields)
    field_ = fields[name]
    if value is None:
        return "value is blank. Fill it in"
    if not field_.is_text:
        return None if _parse_number(value.strip()) is not None else f"value {_show(value)} is no {_KINDS['number']}"
    if operator not in ("=", "!="):
        return f"operator {_show(operator)} does not compare texts. Use = or != with {name}"
    if field_.choices and value not in field_.choices:
        hint = _suggest(value, field_.choices) or "Choose one of them"
        return f"value {_show(value)} is none of {', '.join(field_.choices)}. {hint}"
    return None


def _unknown_field(name: str, fields: Mapping[str, Field]) -> str:
    hint = _suggest(name, fields.keys()) or "Name a metric, or a field that README.md lists under playbooks"
    return f"field {_show(name)}, which nothing computes. {hint}"


def _next_score(start: float) -> float:
    """The lowest published score, which has one decimal, from `start` on."""
    return math.ceil(Decimal(repr(start)) * 10) / 10


_RULES: tuple[Callable[[Seeds], Iterator[Fault]], ...] = (
    _metric_faults,
    _version_faults,
    _matching_faults,
    _weight_faults,
    _method_faults,
    _tier_faults,
    _playbook_faults,
)
