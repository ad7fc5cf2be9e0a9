"""The sheets that show what the rules make of real accounts, by the formulas of docs/scoring.md, "Scorecards" and "Tiers"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from xlsxwriter.utility import xl_rowcol_to_cell

from orchestration.plain_text import one_line
from orchestration.publish.tiers import TIER_LABELS
from orchestration.shared import DIMENSIONS
from orchestration.workbook.book import Book, Sheet, literal
from orchestration.workbook.rule_sheets import (
    CAP_CARD,
    CAP_KEY,
    CAP_METRIC,
    CAP_OPERATOR,
    CAP_RANK,
    CAP_SAMPLES,
    CAP_SCORE,
    CAP_THRESHOLD,
    EFFECT_ROW,
    RuleCells,
)
from orchestration.workbook.rule_sheets import LABEL as LABEL_OF_CARD
from orchestration.workbook.rules import Metric, Rules
from orchestration.workbook.samples import Sample, Samples

SAMPLES, DETAILS = "Samples", "Sample details"
ALL_NEEDED = "all accounts needed"
TO_FIX = "see To fix"
_BLUE = "#2F6DB5"
_NAME_LIMIT = 80

# Columns of the details.
ACCOUNT, DIMENSION, LABEL, VALUE, UNIT, STATE, SCORE, EFFECTIVE, POINTS, PUBLISHED, DIFFERENCE = range(1, 12)
_APPLICABLE, _SCORED, _BASE, _METRIC, _PEERS, _LESS, _EQUAL, _MEAN, _DEVIATION = range(12, 21)
# Columns of the samples.
(
    S_ACCOUNT, S_CARD, S_STAGE, S_PUBLISHED, S_SCORE, S_DIFFERENCE, S_PUBLISHED_TIER, S_TIER, S_CHANGES, S_PUBLISHED_COVERAGE, S_COVERAGE,
    S_PUBLISHED_CAP, S_CAP,
) = range(1, 14)  # fmt: skip
_UNCAPPED, _CAP_CODE, _BINDS = range(14, 17)


@dataclass(frozen=True)
class Block:
    """The rows of a sample on the sheet of details.

    Attributes:
        is_same: its published score comes from the very rules that the workbook starts from, so it is what the formulas give.
    """

    sample: Sample
    first: int
    last: int
    is_same: bool


def details_sheet(
    book: Book, samples: Samples, rules: Rules, metrics: Mapping[str, Metric], hashes: Mapping[tuple[str, str], str], cells: RuleCells
) -> tuple[Sheet, list[Block]]:
    """One line for each metric of each sample: its value as published, and its score and points by the rules of this workbook."""
    widths = {"B": 26, "C": 14, "D": 30, "E": 11, "F": 16, "G": 15, "H": 11, "I": 11, "J": 11, "K": 11, "L": 11}
    sheet = book.sheet(DETAILS, _BLUE, widths)
    sheet.line("Sample details", "title", 1)
    sheet.line("The points of an account, added to the neutral 50, make its score before caps. The arrow at a heading filters.", column=1)
    sheet.next_row += 1
    heads = {
        ACCOUNT: "Account", DIMENSION: "Dimension", LABEL: "What counts", VALUE: "Value", UNIT: "Unit", STATE: "State",
        SCORE: "Score (0 to 100)", EFFECTIVE: "Weight in the score", POINTS: "Points", PUBLISHED: "Points as published",
        DIFFERENCE: "Difference",
    }  # fmt: skip
    head = sheet.heads(heads)
    sheet.worksheet.freeze_panes(head + 1, LABEL + 1)
    blocks = []
    for sample in samples.accounts:
        card = sample.account["scorecard_key"]
        is_same = sample.account["rules_hash"] == hashes[rules.version, card]
        first = sheet.next_row
        on_card = [metrics[row["metric_key"]] for row in rules.of_card("scorecard_metrics", card)]
        by_dimension = {
            dimension: [metric for metric in on_card if metric.dimension_key == dimension]
            for dimension in DIMENSIONS
            if (card, dimension) in cells.dimensions
        }
        last = first + sum(map(len, by_dimension.values())) - 1
        for dimension, members in by_dimension.items():
            dimension_rows = (sheet.next_row, sheet.next_row + len(members) - 1)
            for metric in members:
                _metric_row(sheet, sample, metric, is_same, (first, last), dimension_rows, cells.dimensions[card, dimension], cells)
        blocks.append(Block(sample, first, last, is_same))
    sheet.worksheet.autofilter(head, ACCOUNT, max(head, sheet.next_row - 1), DIFFERENCE)
    book.colour_differences(sheet.worksheet, f"L{head + 2}:L{sheet.next_row + 1}")
    sheet.worksheet.set_column(_APPLICABLE, _DEVIATION, None, None, {"hidden": True})
    return sheet, blocks


def _metric_row(
    sheet: Sheet,
    sample: Sample,
    metric: Metric,
    is_same: bool,
    account_rows: tuple[int, int],
    dimension_rows: tuple[int, int],
    dimension_weight: str,
    cells: RuleCells,
) -> None:
    row, published = sheet.next_row, sample.metrics[metric.key]
    rule = cells.metrics[sample.account["scorecard_key"], metric.key]
    value = published["value"] if published["state"] == "measured" else None
    sheet.mark(row)
    for column, text in {
        ACCOUNT: shown_name(sample), DIMENSION: metric.dimension_key.capitalize(), LABEL: metric.label, UNIT: metric.unit,
        STATE: published["state"].replace("_", " "), _METRIC: metric.key,
    }.items():  # fmt: skip
        sheet.text(row, column, text, "key" if column == UNIT else "label")
    sheet.value(row, VALUE, value, "whole" if value is None or value == int(value) else "decimal")
    peers = {_PEERS: "peers", _LESS: "peers_less", _EQUAL: "peers_equal", _MEAN: "peers_mean", _DEVIATION: "peers_deviation"}
    for column, name in peers.items():
        sheet.value(row, column, published[name] if value is not None else None, "hidden")

    def here(column: int) -> str:
        return xl_rowcol_to_cell(row, column, col_abs=True)

    def over(rows: tuple[int, int], column: int) -> str:
        return f"SUM({xl_rowcol_to_cell(rows[0], column, True, True)}:{xl_rowcol_to_cell(rows[1], column, True, True)})"

    sheet.formula(row, SCORE, _score(here, rule, cells), (published["normalized_score"] if is_same else None), "score")
    # docs/scoring.md, "Weights and points": what has no meaning leaves its weight to its dimension, what is not known to everything known.
    applicable = f'IF({here(STATE)}="not applicable",0,N({rule["weight"]}))'
    sheet.formula(row, _APPLICABLE, applicable, None, "hidden")
    weights = over(dimension_rows, _APPLICABLE)
    sheet.formula(row, _BASE, f"IF({weights}>0,N({dimension_weight})*{here(_APPLICABLE)}/{weights},0)", None, "hidden")
    scored = f"IF(ISERROR({here(SCORE)}),{here(SCORE)},IF(ISNUMBER({here(SCORE)}),{here(_BASE)},0))"
    sheet.formula(row, _SCORED, scored, None, "hidden")
    effective = f"IF({here(_SCORED)}>0,{here(_SCORED)}/{over(account_rows, _SCORED)},0)"
    sheet.formula(row, EFFECTIVE, effective, published["effective_weight"] if is_same else None, "share")
    points = f"IF({here(_SCORED)}>0,{here(EFFECTIVE)}*({here(SCORE)}-50),0)"
    sheet.formula(row, POINTS, points, published["points"] if is_same else None, "points")
    sheet.value(row, PUBLISHED, published["points"], "points")
    sheet.formula(row, DIFFERENCE, f"{here(POINTS)}-{here(PUBLISHED)}", 0 if is_same else None, "points")
    sheet.next_row += 1


def _score(here: Any, rule: Mapping[str, str], cells: RuleCells) -> str:
    """docs/scoring.md, "Normalization": the score of a value, or what the missing policy makes of a state without one."""
    value, method, worst, best = here(VALUE), rule["method"], rule["worst"], rule["best"]
    linear = f"MAX(0,MIN(100,100*({value}-{worst})/({best}-{worst})))"
    bands, card_key = cells.bands, rule["card"]
    mine = f"({bands['card']}={card_key})*({bands['metric']}={rule['key']})*ISNUMBER({bands['bound']})"
    below = f"SUMPRODUCT({mine}*({bands['bound']}<=ROUND({value},9)))"
    band = f'IF({below}=0,0,INDEX({bands["score"]},MATCH({card_key}&"|"&{rule["key"]}&"|"&{below},{bands["key"]},0)))'
    rank = f"100*({here(_LESS)}+({here(_EQUAL)}-1)/2)/({here(_PEERS)}-1)"
    curve = f"100/(1+EXP(-1.702*({value}-{here(_MEAN)})/{here(_DEVIATION)}))"

    def directed(score: str) -> str:
        return f'IF({rule["better"]}="higher",{score},IF({rule["better"]}="lower",100-{score},NA()))'

    by_method = (
        f'IF({method}="bands",{band},IF({method}="percentile",IF({here(_PEERS)}=1,50,{directed(rank)}),'
        f'IF({method}="zscore",IF({here(_DEVIATION)}=0,50,{directed(curve)}),{linear})))'
    )
    policy = f'IF({rule["policy"]}="neutral",50,IF({rule["policy"]}="worst",0,""))'
    return f'IF({here(STATE)}="not applicable","",IF({here(STATE)}="measured",{by_method},{policy}))'


def cap_columns(caps: Sheet, details: Sheet, blocks: list[Block], cells: RuleCells) -> None:
    """Hidden columns on the sheet of caps, one for each sample: the most that a cap leaves, where its condition holds.

    A billionth for each smaller name of a cap is added, so that the least number is the cap that counts (docs/scoring.md, "Caps").
    """
    for position, block in enumerate(blocks):
        column = CAP_SAMPLES + position
        card = cells.cards[block.sample.account["scorecard_key"]]["key"]
        for row in range(cells.caps[0], cells.caps[1] + 1):
            found = f"MATCH({caps.ref(row, CAP_METRIC)},{details.range(block.first, block.last, _METRIC)},0)"
            state = f"INDEX({details.range(block.first, block.last, STATE)},{found})"
            value = f"ROUND(INDEX({details.range(block.first, block.last, VALUE)},{found}),9)"
            operator, threshold, most = (caps.ref(row, column) for column in (CAP_OPERATOR, CAP_THRESHOLD, CAP_SCORE))
            holds = (
                f'IF({operator}="!=",{value}<>{threshold},OR(AND(LEFT({operator},1)="<",{value}<{threshold}),'
                f'AND(LEFT({operator},1)=">",{value}>{threshold}),AND(RIGHT({operator},1)="=",{value}={threshold})))'
            )
            is_tested = f'AND({caps.ref(row, CAP_CARD)}={card},{state}="measured",COUNT({threshold},{most})=2)'
            leaves = f'IF({is_tested},IF({holds},{most}+{caps.ref(row, CAP_RANK)}/1E9,""),"")'
            caps.formula(row, column, f'IFERROR({leaves},"")', None, "hidden")
    if blocks:
        caps.worksheet.set_column(CAP_SAMPLES, CAP_SAMPLES + len(blocks) - 1, None, None, {"hidden": True})


def samples_sheet(
    book: Book,
    sheet: Sheet,
    samples: Samples,
    details: Sheet,
    blocks: list[Block],
    caps: Sheet,
    card_sheets: Iterable[Sheet],
    cells: RuleCells,
) -> None:
    """One line for each sample: score, tier, coverage and cap as published, and by the rules of this workbook."""
    sheet.line("Sample accounts", "title", 1)
    if samples.why_none is not None:
        sheet.line(samples.why_none, column=1)
        return
    versions = ", ".join(sorted({sample.account["config_version"] for sample in samples.accounts}))
    sheet.line(
        f"As published for {samples.day} (version {versions}), and as the yellow cells of this workbook score the same values.", column=1
    )
    sheet.line("The tier is that of the day's score alone; what people see follows when it has held for the days to confirm.", column=1)
    summary = sheet.next_row
    sheet.next_row += 3
    heads = {
        S_ACCOUNT: "Account", S_CARD: "Scorecard", S_STAGE: "Stage", S_PUBLISHED: "Published score", S_SCORE: "Score with this workbook",
        S_DIFFERENCE: "Difference", S_PUBLISHED_TIER: "Published tier", S_TIER: "Tier with this workbook", S_CHANGES: "Changes",
        S_PUBLISHED_COVERAGE: "Published coverage", S_COVERAGE: "Coverage with this workbook", S_PUBLISHED_CAP: "Published cap",
        S_CAP: "Cap with this workbook",
    }  # fmt: skip
    first = sheet.heads(heads) + 1
    sheet.worksheet.freeze_panes(first, S_ACCOUNT + 1)
    for position, block in enumerate(blocks):
        _sample_row(sheet, block, CAP_SAMPLES + position, details, caps, cells)
    is_same = all(block.is_same for block in blocks)
    last = sheet.next_row - 1
    rows = f"{first + 1}:{{}}{last + 1}"
    book.colour_differences(sheet.worksheet, "G" + rows.format("G"))
    book.colour_tiers(sheet.worksheet, "H" + rows.format("I"))
    sheet.worksheet.set_column(_UNCAPPED, _BINDS, None, None, {"hidden": True})
    _summary(sheet, summary, first, last, blocks, is_same, cells)
    mean, count = fmean(sample.account["health_score"] for sample in samples.accounts), len(samples.accounts)
    shows = f"Sample accounts: mean score {mean:.1f} as published, {mean:.1f} with this workbook; 0 of {count} change their tier"
    for card_sheet in card_sheets:
        _effect(card_sheet, sheet, summary, shows if is_same else None)
    _chart(book, sheet, first, last)


def _sample_row(sheet: Sheet, block: Block, cap_column: int, details: Sheet, caps: Sheet, cells: RuleCells) -> None:
    row, account, is_same = sheet.next_row, block.sample.account, block.is_same
    card = cells.cards[account["scorecard_key"]]
    sheet.mark(row)
    sheet.text(row, S_ACCOUNT, shown_name(block.sample))
    sheet.text(row, S_CARD, account["scorecard_key"])
    sheet.text(row, S_STAGE, account["stage"])
    sheet.value(row, S_PUBLISHED, account["health_score"], "score")
    sheet.text(row, S_PUBLISHED_TIER, TIER_LABELS[account["raw_tier"]], "member")
    sheet.value(row, S_PUBLISHED_COVERAGE, account["coverage"], "share")
    sheet.text(row, S_PUBLISHED_CAP, account["cap_key"] or "", "member")

    def here(column: int) -> str:
        return xl_rowcol_to_cell(row, column, col_abs=True)

    def published(column: str) -> Any:
        return account[column] if is_same else None

    states, weights = (details.range(block.first, block.last, column) for column in (STATE, _BASE))
    codes, most, names = (caps.range(*cells.caps, column) for column in (cap_column, CAP_SCORE, CAP_KEY))
    applicable = f'SUMPRODUCT(({states}<>"not applicable")*{weights})'
    sheet.formula(row, _UNCAPPED, f"50+SUM({details.range(block.first, block.last, POINTS)})", None, "hidden")
    sheet.formula(row, _CAP_CODE, f'IF(COUNT({codes})=0,"",MIN({codes}))', None, "hidden")
    which = f"MATCH({here(_CAP_CODE)},{codes},0)"
    sheet.formula(row, _BINDS, f'IF({here(_CAP_CODE)}="",FALSE,ROUND({here(_UNCAPPED)},9)>INDEX({most},{which}))', None, "hidden")
    sheet.formula(row, S_CAP, f'IFERROR(IF({here(_BINDS)},INDEX({names},{which}),""),"")', published("cap_key") or "", "member")
    # Noise of floating-point arithmetic ends at 9 decimals; ROUND is half away from zero.
    score = f"ROUND(ROUND(IF({here(_BINDS)},INDEX({most},{which}),{here(_UNCAPPED)}),9),1)"
    sheet.formula(row, S_SCORE, f'IFERROR({score},"{TO_FIX}")', published("health_score"), "score")
    sheet.formula(row, S_DIFFERENCE, f'IFERROR({here(S_SCORE)}-{here(S_PUBLISHED)},"")', 0 if is_same else None, "points")
    coverage = f'IF({applicable}=0,0,SUMPRODUCT(({states}="measured")*{weights})/{applicable})'
    sheet.formula(row, S_COVERAGE, coverage, published("coverage"), "share")
    tiers = cells.tiers[account["scorecard_key"]]
    by_score = literal(tiers[-1][0])
    for tier, starts in reversed(tiers[:-1]):
        by_score = f"IF({here(S_SCORE)}>={starts},{literal(tier)},{by_score})"
    tier = (
        f'IF(NOT(ISNUMBER({here(S_SCORE)})),"{TO_FIX}",IF(ROUND({here(S_COVERAGE)},9)<{card["min_coverage"]},{literal(TIER_LABELS["unknown"])},'
        f'IF({card["tier_mode"]}="quantile","{ALL_NEEDED}",{by_score})))'
    )
    is_quantile = block.sample.account["raw_tier"] != "unknown" and cells.quantile[account["scorecard_key"]]
    shown = ALL_NEEDED if is_quantile else TIER_LABELS[account["raw_tier"]]
    sheet.formula(row, S_TIER, tier, shown if is_same else None, "member")
    changes = f'IF(OR({here(S_TIER)}={here(S_PUBLISHED_TIER)},{here(S_TIER)}="{ALL_NEEDED}",{here(S_TIER)}="{TO_FIX}"),"","tier changes")'
    sheet.formula(row, S_CHANGES, changes, "" if is_same else None, "check")
    sheet.next_row += 1


def _summary(sheet: Sheet, row: int, first: int, last: int, blocks: list[Block], is_same: bool, cells: RuleCells) -> None:
    """What the changes do to all samples together, and whether something is still to fix."""
    published, scores, changed = (sheet.range(first, last, column) for column in (S_PUBLISHED, S_SCORE, S_CHANGES))
    mean = fmean(block.sample.account["health_score"] for block in blocks)
    sheet.mark(row)
    sheet.mark(row + 1)
    sheet.text(row, S_ACCOUNT, "Mean of these accounts", "group")
    for column in range(S_CARD, S_CAP + 1):
        sheet.value(row, column, None, "group")
    sheet.formula(row, S_PUBLISHED, f"AVERAGE({published})", mean, "group_score")
    sheet.formula(row, S_SCORE, f'IFERROR(AVERAGE({scores}),"{TO_FIX}")', mean if is_same else None, "group_score")
    difference = f"{xl_rowcol_to_cell(row, S_SCORE)}-{xl_rowcol_to_cell(row, S_PUBLISHED)}"
    sheet.formula(row, S_DIFFERENCE, f'IFERROR({difference},"")', 0 if is_same else None, "group_points")
    count = f'COUNTIF({changed},"tier changes")&" of {len(blocks)} change their tier"'
    sheet.formula(row, S_TIER, count, f"0 of {len(blocks)} change their tier" if is_same else None, "group")
    faults = "+".join(f"SUMPRODUCT(--(LEN({checks})>0))" for checks in cells.checks.values())
    warning = " lines of the scorecards are not in order: see their column To fix. Scores here may be wrong until then."
    message = f'IF({faults}=0,"",{faults}&"{warning}")'
    sheet.formula(row + 1, S_ACCOUNT, message, "", "check")


def _effect(card_sheet: Sheet, sheet: Sheet, summary: int, shows: str | None) -> None:
    """The line of a scorecard's sheet that says what its changes do, so that nobody has to leave it to see."""
    published, score, tiers = (sheet.ref(summary, column) for column in (S_PUBLISHED, S_SCORE, S_TIER))
    means = f'FIXED({published},1)&" as published, "&IFERROR(FIXED({score},1),{score})'
    card_sheet.formula(EFFECT_ROW, LABEL_OF_CARD, f'"Sample accounts: mean score "&{means}&" with this workbook; "&{tiers}', shows, "bold")


def _chart(book: Book, sheet: Sheet, first: int, last: int) -> None:
    chart = book.file.add_chart({"type": "bar"})
    for column, colour in ((S_PUBLISHED, "#A9B4BF"), (S_SCORE, "#2F6DB5")):
        chart.add_series(
            {
                "name": [sheet.title, first - 1, column],
                "categories": [sheet.title, first, S_ACCOUNT, last, S_ACCOUNT],
                "values": [sheet.title, first, column, last, column],
                "fill": {"color": colour},
                "gap": 60,
            }
        )
    chart.set_x_axis({"min": 0, "max": 100, "major_gridlines": {"visible": True, "line": {"color": "#E0E0E0"}}})
    chart.set_y_axis({"reverse": True})
    chart.set_legend({"position": "top"})
    chart.set_size({"width": 900, "height": 120 + 34 * (last - first + 1)})
    sheet.worksheet.insert_chart(last + 2, S_ACCOUNT, chart, {"description": "Published score and score with this workbook, by account"})


def shown_name(sample: Sample) -> str:
    """An account's name as one line of printable text: names are anybody's input."""
    return one_line(sample.account["account_name"], _NAME_LIMIT)
