"""Write the workbook of one configuration version."""

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from xlsxwriter.exceptions import XlsxFileError

from orchestration.scorecard import load_seeds, scorecard_rules
from orchestration.settings import Settings
from orchestration.workbook import WorkbookError
from orchestration.workbook.book import FORMAT, INDEX_SHEET, KIND, Book, Sheet
from orchestration.workbook.rule_sheets import (
    BANDS,
    CAPS,
    NEW_VERSION,
    TIERS,
    Lists,
    RuleCells,
    bands_sheet,
    caps_sheet,
    card_formulas,
    card_sheet,
    new_version_sheet,
    tiers_sheet,
)
from orchestration.workbook.rules import (
    Metric,
    Rules,
    catalogue,
    checked_version,
    next_name,
    rules_of,
    version_names,
    version_on,
)
from orchestration.workbook.sample_sheets import DETAILS, SAMPLES, cap_columns, details_sheet, samples_sheet
from orchestration.workbook.samples import Samples, newest_day, open_mart, read_samples

README = "Read me"
DEFAULT_NAME = "scorecard.xlsx"
_GREY, _BLUE = "#8A949E", "#2F6DB5"
_SAMPLE_WIDTHS = {"B": 26, "C": 13, "D": 12, "E": 11, "F": 13, "G": 11, "H": 11, "I": 20, "J": 13, "K": 11, "L": 13, "M": 15, "N": 15}
_LINE = 105
_TITLE_LIMIT = 31  # characters of a sheet's title, by the file format

# Heading and text of each line of the first sheet.
_READ_ME = (
    (
        "What this is",
        "The rules by which every customer gets a health score from 0 to 100, and a few real customers to try changes on. "
        "Nothing here changes the real scores by itself.",
    ),
    ("What to do", "1. Open the sheet of a scorecard. Change yellow cells: weights, worst and best values, methods."),
    (
        "",
        "2. Look at the sheet Samples: published score and tier beside those that your changes give. "
        "Sample details shows every point of them.",
    ),
    ("", "3. Fill in the sheet New version: a name, the day from which it holds, your name and the reason."),
    ("", "4. Save the file and hand it to whoever runs the pipeline: make scorecard-import FILE=scorecard.xlsx"),
    ("", "It is then a candidate: scored beside the rules in force and never shown as the score, until somebody makes it active."),
    (
        "How a score comes about",
        "Each metric becomes a score from 0 (bad) to 100 (good); 50 is neutral. A metric's share of the whole is its dimension's share "
        "times its own share among the metrics of the dimension. Weights need not add up to anything: 2 counts twice as much as 1, and 0 "
        "switches off.",
    ),
    ("", "Metrics for which an account has no data are left out, and the weight goes to the others of the dimension."),
    (
        "Method",
        "linear: from the worst value (score 0) to the best value (score 100) in a straight line. "
        "The worst value may be the greater one, as with days late.",
    ),
    (
        "",
        "bands: the score of the band that the value lies in (sheet Bands). percentile: the rank among the accounts of the scorecard. "
        "zscore: the distance from their mean.",
    ),
    (
        "Without data",
        "What a metric counts where the account has no data: exclude leaves it out, neutral counts 50, worst counts 0. "
        "Where a metric has no meaning for an account it is always left out.",
    ),
    ("Least data for a tier", "The share of the weight that must really be measured. Below it the tier is Unknown instead of a guess."),
    (
        "Tiers by",
        "threshold: by the score (sheet Tiers). quantile: by the place among all accounts. That place depends on every account, so this "
        "workbook cannot show it: import the version as a candidate and look at candidate_scores_history.",
    ),
    (
        "What cannot be changed here",
        "Which accounts a scorecard is for, and which metrics are on it. Add them in the files of the folder seeds, at first with "
        "weight 0, and write this workbook anew after the next run.",
    ),
    ("Locked cells", "Only yellow cells can be changed, so that no formula breaks by accident. There is no password."),
)


@dataclass(frozen=True)
class Written:
    """A workbook that was written: the version that it starts from, how many scorecards that has, and the sample accounts."""

    path: Path
    version: str
    scorecards: int
    samples: Samples

    def sentences(self) -> str:
        """What was written, and what to do with it, for people."""
        shown = self.samples.why_none or f"{len(self.samples.accounts)} sample accounts of {self.samples.day}."
        here = self.path.absolute()
        name = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else self.path
        return (
            f"{name}: version {self.version} with {self.scorecards} scorecards. {shown}\n"
            f"Change the yellow cells, save, then: make scorecard-import FILE={name}"
        )


def write_workbook(settings: Settings, path: Path, version: str | None = None) -> Written:
    """Write the workbook, with sample accounts from the published mart where there is one.

    Args:
        path: where to; a file that is there already stays, since somebody may have edited it.
        version: the configuration version to start from; by default the one in force on the newest published day.

    Raises:
        WorkbookError: the file is there already, the version is not, or the mart cannot be read.
        ConfigurationError: the seeds are not valid.
    """
    if path.exists():
        raise WorkbookError(f"{path}: is there already, perhaps with somebody's changes. Import it, move it away, or name another file")
    seeds = load_seeds(settings.seeds_dir)
    with open_mart(settings) as mart:
        day = newest_day(mart)
        rules = rules_of(seeds, checked_version(seeds, version) if version else version_on(seeds, day))
        metrics = catalogue(seeds)
        weighed = {(row["scorecard_key"], row["dimension_key"]) for row in rules["scorecard_dimensions"]}
        shown = {
            card["scorecard_key"]: {
                row["metric_key"]
                for row in rules.of_card("scorecard_metrics", card["scorecard_key"])
                if (card["scorecard_key"], metrics[row["metric_key"]].dimension_key) in weighed
            }
            for card in rules["scorecards"]
        }
        samples = read_samples(mart, day, shown)
    valid_from = day + timedelta(days=1) if day else settings.pipeline.start_date
    name = next_name(rules.version, version_names(seeds))
    hashes = scorecard_rules(seeds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            book = Book(str(unfinished))
            _lay_out(book, rules, metrics, samples, hashes, name, valid_from)
            book.file.close()
            os.replace(unfinished, path)
    except (OSError, XlsxFileError) as error:
        raise WorkbookError(f"{path}: cannot be written: {error}. Name another file or make room") from error
    return Written(path, rules.version, len(rules["scorecards"]), samples)


def _lay_out(
    book: Book,
    rules: Rules,
    metrics: Mapping[str, Metric],
    samples: Samples,
    hashes: Mapping[tuple[str, str], str],
    name: str,
    valid_from: date,
) -> None:
    """All sheets, in the order of their tabs."""
    cells = RuleCells()
    cards = [card["scorecard_key"] for card in rules["scorecards"]]
    on_cards = [f"{row['scorecard_key']}|{row['metric_key']}" for row in rules["scorecard_metrics"]]
    counts = {"D": len(cards), "E": len(metrics), "F": len(metrics), "G": len(on_cards)}
    lists = Lists(*(f"{INDEX_SHEET}!${column}$1:${column}${count}" for column, count in counts.items()))
    _read_me(book)
    card_sheets = {
        card["scorecard_key"]: card_sheet(book, title, card, rules, metrics)
        for card, title in zip(rules["scorecards"], _titles(cards), strict=True)
    }
    bands = bands_sheet(book, rules, metrics, lists, cells)
    caps = caps_sheet(book, rules, metrics, lists, cells)
    tiers = tiers_sheet(book, rules, cells)
    for card, sheet in card_sheets.items():
        card_formulas(sheet, card, rules, metrics, cells)
    editable = [*card_sheets.values(), bands, caps, tiers, new_version_sheet(book, name, valid_from, rules.version)]
    overview = book.sheet(SAMPLES, _BLUE, _SAMPLE_WIDTHS)
    details, blocks = details_sheet(book, samples, rules, metrics, hashes, cells)
    cap_columns(caps, details, blocks, cells)
    samples_sheet(book, overview, samples, details, blocks, caps, card_sheets.values(), cells)
    _index(book, rules.version, editable, cards, metrics, on_cards)


def _read_me(book: Book) -> None:
    sheet = book.sheet(README, _GREY, {"B": 30, "C": _LINE})
    sheet.line("The health scorecard", "title", 1)
    sheet.next_row += 1
    for head, text in _READ_ME:
        row = sheet.line(text, "wrap")
        sheet.text(row, 1, head, "bold")
        # Not every program fits the height of a row to wrapped text.
        sheet.worksheet.set_row(row, 16 * math.ceil(len(text) / _LINE))
    sheet.worksheet.activate()


def _index(book: Book, version: str, editable: list[Sheet], cards: list[str], metrics: Mapping[str, Metric], on_cards: list[str]) -> None:
    """The hidden sheet by which `read` knows the workbook, and the lists of dropdowns."""
    sheet = book.sheet(INDEX_SHEET, _GREY)
    sheet.text(0, 0, KIND)
    sheet.value(0, 1, FORMAT)
    sheet.text(1, 0, "made from version")
    sheet.text(1, 1, version)
    for row, other in enumerate(editable):
        sheet.text(2 + row, 0, "sheet")
        sheet.text(2 + row, 1, other.title)
    for column, texts in enumerate((cards, list(metrics), [metric.label for metric in metrics.values()], on_cards), 3):
        for row, text in enumerate(texts):
            sheet.text(row, column, text)
    sheet.worksheet.hide()


def _titles(cards: list[str]) -> list[str]:
    """A title for each scorecard's sheet: its key, as far as titles allow."""
    taken = {title.lower() for title in (README, BANDS, CAPS, TIERS, NEW_VERSION, SAMPLES, DETAILS, INDEX_SHEET, "history")}
    titles = []
    for card in cards:
        stem = "".join(letter if letter.isprintable() and letter not in "[]:*?/\\" else "_" for letter in card).strip("'") or "scorecard"
        title, number = stem[:_TITLE_LIMIT].rstrip("'"), 2
        while title.lower() in taken:
            title, number = f"{stem[: _TITLE_LIMIT - 4]} {number}", number + 1
        taken.add(title.lower())
        titles.append(title)
    return titles
