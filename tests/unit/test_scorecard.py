"""Every check of the scorecard seeds, with the line it names, and what the configuration hash does and does not see."""

import csv
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration import alert_rules
from orchestration.scorecard import SEEDS, ConfigurationError, configuration_hash, load_seeds
from orchestration.settings import DBT_PROJECT, PROJECT_ROOT

SHIPPED = PROJECT_ROOT / "seeds"

# A small valid configuration. Blank cells are those with a default.
SMALL = {
    "config_versions": """\
config_version,valid_from,status,author,note
v1,2026-01-01,active,ann,first
v2,2026-03-01,active,ann,"second,
with a new line"
v3,2026-03-01,candidate,bob,
""",
    "metrics": """\
metric_key,dimension_key,label,unit,higher_is_better,description
active_days_28d,adoption,Active days,days,true,
days_late_180d,commercial,Days late,days,false,
days_to_renewal,commercial,Days to renewal,days,,
""",
    "scorecards": """\
config_version,scorecard_key,label,priority,segment,stage,min_coverage,confirm_days,tier_mode
v1,all,All,1,*,*,,,
v2,start,Start,2,*,onboarding,0.4,1,quantile
v2,smb,Small,2,smb,mature,0.4,3.0,threshold
v2,all,All,1,*,*,0.5,3,threshold
v3,all,All,1,*,*,0.5,3,threshold
""",
    "scorecard_dimensions": """\
config_version,scorecard_key,dimension_key,weight
v1,all,adoption,2
v2,start,adoption,1
v2,smb,adoption,1
v2,all,adoption,1
v2,all,commercial,0
v3,all,commercial,1
""",
    "scorecard_metrics": """\
config_version,scorecard_key,metric_key,weight,method,worst,best,missing_policy
v1,all,active_days_28d,1,,0,20,
v2,start,active_days_28d,1,percentile,,,neutral
v2,smb,active_days_28d,1,bands,,,exclude
v2,all,active_days_28d,1,zscore,,,worst
v2,all,days_late_180d,0,linear,30,0,exclude
v3,all,days_late_180d,1,linear,30,0,exclude
""",
    "metric_bands": """\
config_version,scorecard_key,metric_key,lower_bound,score
v2,smb,active_days_28d,5,40
v2,smb,active_days_28d,10,100
""",
    "score_caps": """\
config_version,scorecard_key,cap_key,metric_key,operator,threshold,max_score,reason
v1,all,late,days_late_180d,>=,30,39,Pays late
""",
    "tiers": """\
config_version,scorecard_key,tier,colour,min_score,min_percentile
v2,all,poor,red,,
v2,all,at_risk,yellow,,
v2,all,healthy,green,,
v2,start,healthy,green,70,0.6
v2,start,at_risk,yellow,40,0.3
v2,start,poor,red,0,0
""",
    "fx_rates": """\
currency,valid_from,rate
EUR,2026-01-01,1.1
EUR,2026-02-01,1.2
""",
}


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    folder = tmp_path / "seeds"
    folder.mkdir()
    for name, text in SMALL.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def faults(folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_seeds(folder)
    return str(caught.value).splitlines()


def edit(folder: Path, name: str, line: int, text: str | None) -> None:
    """Replace one physical line of a seed, remove it (None), or add it behind the last."""
    path = folder / f"{name}.csv"
    lines = path.read_text().splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    path.write_text("\n".join(lines) + "\n")


# One wrong line each: (seed, line, its new text, the one fault).
WRONG_LINES = {
    "missing column": (
        "fx_rates",
        1,
        "currency,valid_from",
        [
            "seeds/fx_rates.csv line 1: column rate is missing. Add it; the header has 'currency, valid_from'",
        ],
    ),
    "misspelt column": (
        "fx_rates",
        1,
        "currency,valid_form,rate",
        [
            "seeds/fx_rates.csv line 1: unknown column 'valid_form'. Did you mean 'valid_from'?",
            "seeds/fx_rates.csv line 1: column valid_from is missing. Add it; the header has 'currency, valid_form, rate'",
        ],
    ),
    "unknown column": (
        "fx_rates",
        1,
        "currency,valid_from,rate,source",
        [
            "seeds/fx_rates.csv line 1: unknown column 'source'. Remove it; the columns are currency, valid_from, rate",
        ],
    ),
    "doubled column": (
        "fx_rates",
        1,
        "currency,valid_from,rate,rate",
        ["seeds/fx_rates.csv line 1: column rate is duplicated. Keep one"],
    ),
    "semicolons": (
        "fx_rates",
        1,
        "currency;valid_from;rate",
        ["seeds/fx_rates.csv line 1: columns are not separated by commas. Save the file as comma-separated CSV"],
    ),
    "too many cells": (
        "score_caps",
        2,
        "v1,all,late,days_late_180d,>=,30,39,Pays late, and often",
        ["seeds/score_caps.csv line 2: 9 cells, where the header has 8. Put quotes around a cell that holds a comma"],
    ),
    "too few cells": (
        "fx_rates",
        3,
        "EUR,2026-02-01",
        ["seeds/fx_rates.csv line 3: 2 cells, where the header has 3. Put quotes around a cell that holds a comma"],
    ),
    "unclosed quote": (
        "fx_rates",
        3,
        'EUR,2026-02-01,"1.2',
        ["seeds/fx_rates.csv line 3: not valid CSV: unexpected end of data. Fix the quotes of this row"],
    ),
    "blank row": ("fx_rates", 2, " ,,", ["seeds/fx_rates.csv line 2: blank row. Remove it"]),
    "empty line": ("fx_rates", 2, "", ["seeds/fx_rates.csv line 2: blank row. Remove it"]),
    "blank cell": ("fx_rates", 2, "EUR,2026-01-01,", ["seeds/fx_rates.csv line 2: rate is blank. Fill it in"]),
    "null in words": ("fx_rates", 2, "null,2026-01-01,1", ["seeds/fx_rates.csv line 2: currency is blank. Fill it in"]),
    "white space": (
        "fx_rates",
        2,
        "EUR ,2026-01-01,1.1",
        ["seeds/fx_rates.csv line 2: currency 'EUR ' has white space around it. Remove it"],
    ),
    "NaN weight": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,NaN,,0,20,",
        ["seeds/scorecard_metrics.csv line 2: weight 'NaN' is not a finite number. Write digits with a decimal point, such as 1.25"],
    ),
    "infinite anchor": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1,,0,inf,",
        ["seeds/scorecard_metrics.csv line 2: best 'inf' is not a finite number. Write digits with a decimal point, such as 1.25"],
    ),
    "threshold that overflows": (
        "score_caps",
        2,
        "v1,all,late,days_late_180d,>=,1e999,39,",
        ["seeds/score_caps.csv line 2: threshold '1e999' is not a finite number. Write digits with a decimal point, such as 1.25"],
    ),
    "huge number": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1e300,,0,20,",
        ["seeds/scorecard_metrics.csv line 2: weight '1e+300' is above 1e+06. Give a number from 0 to 1e+06"],
    ),
    "decimal comma": (
        "fx_rates",
        2,
        'EUR,2026-01-01,"1,1"',
        ["seeds/fx_rates.csv line 2: rate '1,1' is not a finite number. Write digits with a decimal point, such as 1.25"],
    ),
    "lower bound without end": (
        "metric_bands",
        2,
        "v2,smb,active_days_28d,-inf,40",
        ["seeds/metric_bands.csv line 2: lower_bound '-inf' is not a finite number. Write digits with a decimal point, such as 1.25"],
    ),
    "fractional days": (
        "scorecards",
        4,
        "v2,smb,Small,2,smb,mature,0.4,2.5,threshold",
        ["seeds/scorecards.csv line 4: confirm_days '2.5' is not a whole number. Write digits only, such as 3"],
    ),
    "no days": (
        "scorecards",
        4,
        "v2,smb,Small,2,smb,mature,0.4,0,threshold",
        ["seeds/scorecards.csv line 4: confirm_days '0' is below 1. Give a number from 1 to 2.14748e+09"],
    ),
    "coverage in percent": (
        "scorecards",
        4,
        "v2,smb,Small,2,smb,mature,40,3,threshold",
        ["seeds/scorecards.csv line 4: min_coverage '40' is above 1. Give a number from 0 to 1"],
    ),
    "date of another country": (
        "fx_rates",
        2,
        "EUR,01/02/2026,1.1",
        ["seeds/fx_rates.csv line 2: valid_from '01/02/2026' is not a date. Write it as YYYY-MM-DD"],
    ),
    "date that is not": (
        "config_versions",
        2,
        "v1,2026-02-30,active,ann,first",
        ["seeds/config_versions.csv line 2: valid_from '2026-02-30' is not a date. Write it as YYYY-MM-DD"],
    ),
    "direction": (
        "metrics",
        2,
        "active_days_28d,adoption,,,up,",
        ["seeds/metrics.csv line 2: higher_is_better 'up' is not a boolean. Write true or false"],
    ),
    "negative weight": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,-1,,0,20,",
        ["seeds/scorecard_metrics.csv line 2: weight '-1' is below 0. Give a number from 0 to 1e+06"],
    ),
    "tiny weight": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1e-7,,0,20,",
        [
            "seeds/scorecard_metrics.csv line 2: weight 1e-07 is below 1e-06 but not 0. "
            "Give 0, or a greater weight: only the proportions count"
        ],
    ),
    "negative dimension weight": (
        "scorecard_dimensions",
        3,
        "v2,start,adoption,-0.5",
        ["seeds/scorecard_dimensions.csv line 3: weight '-0.5' is below 0. Give a number from 0 to 1e+06"],
    ),
    "score above 100": (
        "metric_bands",
        3,
        "v2,smb,active_days_28d,10,101",
        ["seeds/metric_bands.csv line 3: score '101' is above 100. Give a number from 0 to 100"],
    ),
    "cap below 0": (
        "score_caps",
        2,
        "v1,all,late,days_late_180d,>=,30,-1,",
        ["seeds/score_caps.csv line 2: max_score '-1' is below 0. Give a number from 0 to 100"],
    ),
    "rate of nothing": (
        "fx_rates",
        2,
        "EUR,2026-01-01,0",
        ["seeds/fx_rates.csv line 2: rate '0' is not above 0. Give a greater number"],
    ),
    "unknown status": (
        "config_versions",
        2,
        "v1,2026-01-01,activ,ann,first",
        ["seeds/config_versions.csv line 2: status 'activ' is not one of active, candidate. Did you mean 'active'?"],
    ),
    "unknown dimension of a metric": (
        "metrics",
        2,
        "active_days_28d,adoptoin,,,true,",
        [
            "seeds/metrics.csv line 2: dimension_key 'adoptoin' is not one of adoption, commercial, support, voice, "
            "outcomes. Did you mean 'adoption'?"
        ],
    ),
    "unknown dimension": (
        "scorecard_dimensions",
        6,
        "v2,all,money,0",
        [
            "seeds/scorecard_dimensions.csv line 6: dimension_key 'money' is not one of adoption, commercial, support, "
            "voice, outcomes. Choose one of them"
        ],
    ),
    "unknown stage": (
        "scorecards",
        4,
        "v2,smb,Small,2,smb,matured,0.4,3,threshold",
        ["seeds/scorecards.csv line 4: stage 'matured' is not one of *, onboarding, renewing, mature. Did you mean 'mature'?"],
    ),
    "unknown tier mode": (
        "scorecards",
        4,
        "v2,smb,Small,2,smb,mature,0.4,3,quantiles",
        ["seeds/scorecards.csv line 4: tier_mode 'quantiles' is not one of threshold, quantile. Did you mean 'quantile'?"],
    ),
    "unknown method": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1,liniar,0,20,",
        ["seeds/scorecard_metrics.csv line 2: method 'liniar' is not one of linear, bands, percentile, zscore. Did you mean 'linear'?"],
    ),
    "unknown policy": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1,,0,20,drop",
        ["seeds/scorecard_metrics.csv line 2: missing_policy 'drop' is not one of exclude, neutral, worst. Choose one of them"],
    ),
    "unknown operator": (
        "score_caps",
        2,
        "v1,all,late,days_late_180d,=>,30,39,",
        ["seeds/score_caps.csv line 2: operator '=>' is not one of <, <=, >, >=, =, !=. Choose one of them"],
    ),
    "unknown tier": (
        "tiers",
        4,
        "v2,all,healty,green,,",
        ["seeds/tiers.csv line 4: tier 'healty' is not one of healthy, at_risk, poor. Did you mean 'healthy'?"],
    ),
    "unknown metric": (
        "scorecard_metrics",
        2,
        "v1,all,active_dayz_28d,1,,0,20,",
        ["seeds/scorecard_metrics.csv line 2: metric 'active_dayz_28d' is not in seeds/metrics.csv. Did you mean 'active_days_28d'?"],
    ),
    "unknown metric of a cap": (
        "score_caps",
        2,
        "v1,all,late,nps,>=,30,39,",
        ["seeds/score_caps.csv line 2: metric 'nps' is not in seeds/metrics.csv. Add it there, or correct this row"],
    ),
    "bands of a metric not on the scorecard": (
        "metric_bands",
        3,
        "v2,smb,days_late_180d,10,100",
        [
            "seeds/metric_bands.csv line 3: metric 'days_late_180d' of scorecard 'smb' of version 'v2' is not in "
            "seeds/scorecard_metrics.csv. Add it there, or correct this row"
        ],
    ),
    "unknown version": (
        "tiers",
        2,
        "v22,all,poor,red,,",
        ["seeds/tiers.csv line 2: version 'v22' is not in seeds/config_versions.csv. Did you mean 'v2'?"],
    ),
    "unknown scorecard": (
        "tiers",
        2,
        "v2,al,poor,red,,",
        ["seeds/tiers.csv line 2: scorecard 'al' of version 'v2' is not in seeds/scorecards.csv. Did you mean 'all'?"],
    ),
    "doubled version": (
        "config_versions",
        6,
        "v1,2026-05-01,candidate,bob,",
        [
            "seeds/config_versions.csv line 6: config_version 'v1' is duplicated, first on line 2. Remove one",
        ],
    ),
    "doubled rate": (
        "fx_rates",
        3,
        "eur,2026-01-01,1.2",
        ["seeds/fx_rates.csv line 3: currency 'eur', valid_from '2026-01-01' is duplicated, first on line 2. Remove one"],
    ),
    "doubled lower bound": (
        "metric_bands",
        3,
        "v2,smb,active_days_28d,5.0,100",
        [
            "seeds/metric_bands.csv line 3: config_version 'v2', scorecard_key 'smb', metric_key 'active_days_28d', "
            "lower_bound '5' is duplicated, first on line 2. Remove one"
        ],
    ),
    "doubled tier": (
        "tiers",
        4,
        "v2,all,poor,red,,",
        ["seeds/tiers.csv line 4: config_version 'v2', scorecard_key 'all', tier 'poor' is duplicated, first on line 2. Remove one"],
    ),
    # Rules over several rows. config_versions: line 3 begins v2, whose note fills line 4, too.
    "two active versions on one day": (
        "config_versions",
        5,
        "v3,2026-03-01,active,bob,",
        [
            "seeds/config_versions.csv line 5: the active versions 'v2' (line 3) and 'v3' are both valid from "
            "2026-03-01. Change one date or status"
        ],
    ),
    "equal priorities": (
        "scorecards",
        5,
        "v2,all,All,2,*,*,0.5,3,threshold",
        [
            "seeds/scorecards.csv line 5: the scorecards 'start' (line 3) and 'all' of version 'v2' have priority 2 "
            "and can match the same account. Change one priority",
            "seeds/scorecards.csv line 5: the scorecards 'smb' (line 4) and 'all' of version 'v2' have priority 2 "
            "and can match the same account. Change one priority",
        ],
    ),
    "accounts without a scorecard": (
        "scorecards",
        5,
        "v2,all,All,1,smb,*,0.5,3,threshold",
        [
            "seeds/scorecards.csv: version 'v2' has no scorecard with segment * for stage renewing, mature, "
            "so accounts could stay without a score. Add one"
        ],
    ),
    "metric weights all zero": (
        "scorecard_metrics",
        3,
        "v2,start,active_days_28d,0,percentile,,,neutral",
        [
            "seeds/scorecards.csv line 3: scorecard 'start' of version 'v2' has no metric of positive weight "
            "in a dimension of positive weight. Give one a weight"
        ],
    ),
    "dimension weights all zero": (
        "scorecard_dimensions",
        7,
        "v3,all,commercial,0",
        [
            "seeds/scorecards.csv line 6: scorecard 'all' of version 'v3' has no metric of positive weight "
            "in a dimension of positive weight. Give one a weight"
        ],
    ),
    "metric whose dimension has no weight": (
        "scorecard_dimensions",
        7,
        "v3,all,adoption,1",
        [
            "seeds/scorecard_metrics.csv line 7: metric 'days_late_180d' of the dimension 'commercial' cannot count: "
            "scorecard 'all' of version 'v3' has no such row in seeds/scorecard_dimensions.csv. "
            "Add it, or set the metric's weight to 0"
        ],
    ),
    "worst = best": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1,,20,20.0,",
        [
            "seeds/scorecard_metrics.csv line 2: metric 'active_days_28d' has the method linear, "
            "but worst and best are both '20'. Make them differ"
        ],
    ),
    "no anchors": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1,,,20,",
        ["seeds/scorecard_metrics.csv line 2: metric 'active_days_28d' has the method linear, but worst is blank. Fill it in"],
    ),
    "no bands": (
        "scorecard_metrics",
        2,
        "v1,all,active_days_28d,1,bands,,,",
        [
            "seeds/scorecard_metrics.csv line 2: metric 'active_days_28d' has the method bands, "
            "but scorecard 'all' of version 'v1' has none in seeds/metric_bands.csv. Add one"
        ],
    ),
    "rank without a direction": (
        "metrics",
        2,
        "active_days_28d,adoption,Active days,days,,",
        [
            "seeds/scorecard_metrics.csv line 3: metric 'active_days_28d' has the method percentile, "
            "but its higher_is_better in seeds/metrics.csv is blank. Write true or false there",
            "seeds/scorecard_metrics.csv line 5: metric 'active_days_28d' has the method zscore, "
            "but its higher_is_better in seeds/metrics.csv is blank. Write true or false there",
        ],
    ),
    "tier above every score": (
        "tiers",
        4,
        "v2,all,healthy,green,100.1,",
        ["seeds/tiers.csv line 4: tier 'healthy' has min_score '100.1', which is not a score. Give a number from 0 to 100"],
    ),
    "lowest tier below every score": (
        "tiers",
        2,
        "v2,all,poor,red,-5,",
        ["seeds/tiers.csv line 2: tier 'poor' has min_score '-5', which is not a score. Give a number from 0 to 100"],
    ),
    "tier gap": (
        "tiers",
        2,
        "v2,all,poor,red,10,",
        [
            "seeds/tiers.csv line 2: tier 'poor' has min_score '10', but is the lowest tier of its scorecard: "
            "what lies below has no tier. Set it to 0"
        ],
    ),
    "equal tiers": (
        "tiers",
        4,
        "v2,all,healthy,green,40,",
        [
            "seeds/tiers.csv line 4: tier 'healthy' has min_score '40', not above the '40' of 'at_risk' (line 3). "
            "Let them fall from healthy over at_risk to poor"
        ],
    ),
    "tiers out of order": (
        "tiers",
        3,
        "v2,all,at_risk,yellow,80,",
        [
            "seeds/tiers.csv line 4: tier 'healthy' has min_score '70', not above the '80' of 'at_risk' (line 3). "
            "Let them fall from healthy over at_risk to poor"
        ],
    ),
    # Scores have one decimal: none lies in [69.91, 70).
    "tier between two scores": (
        "tiers",
        3,
        "v2,all,at_risk,yellow,69.91,",
        [
            "seeds/tiers.csv line 4: tier 'healthy' has min_score '70', which leaves no score with one decimal "
            "for 'at_risk' (line 3). Set it higher"
        ],
    ),
    "share that no account passes": (
        "tiers",
        5,
        "v2,start,healthy,green,70,1",
        ["seeds/tiers.csv line 5: tier 'healthy' has min_percentile '1', above which there is no account. Give a share from 0 to below 1"],
    ),
    "quantile gap": (
        "tiers",
        7,
        "v2,start,poor,red,0,0.1",
        [
            "seeds/tiers.csv line 7: tier 'poor' has min_percentile '0.1', but is the lowest tier of its scorecard: "
            "what lies below has no tier. Set it to 0"
        ],
    ),
    "equal quantiles": (
        "tiers",
        6,
        "v2,start,at_risk,yellow,40,0.6",
        [
            "seeds/tiers.csv line 5: tier 'healthy' has min_percentile '0.6', not above the '0.6' of 'at_risk' "
            "(line 6). Let them fall from healthy over at_risk to poor"
        ],
    ),
}


@pytest.mark.parametrize(("name", "line", "text", "expected"), WRONG_LINES.values(), ids=WRONG_LINES.keys())
def test_a_wrong_line_is_named_with_its_remedy(seeds: Path, name: str, line: int, text: str, expected: list[str]) -> None:
    edit(seeds, name, line, text)
    assert faults(seeds) == expected


@pytest.mark.parametrize(
    ("name", "line", "text"),
    [
        ("tiers", 3, "v2,all,at_risk,yellow,69.9,"),  # the score 69.9 is left
        ("tiers", 4, "v2,all,healthy,green,100,"),  # the score 100 is left
        ("tiers", 5, "v2,start,healthy,green,20,0.6"),  # min_score means nothing in quantile mode
        ("metric_bands", 2, "v2,smb,active_days_28d,-3,0"),
        ("scorecards", 4, "v2,smb,Small,2,smb,renewing,0,1,"),
        ("config_versions", 5, "v3,2026-03-02,active,bob,"),
        ("fx_rates", 3, "USD,2026-01-01,1e-5"),
        ("metrics", 2, "active_days_28d,adoption,=1+1,{{ 1 / 0 }},TRUE,'; drop table metrics; --"),
    ],
)
def test_what_is_unusual_but_right_passes(seeds: Path, name: str, line: int, text: str) -> None:
    edit(seeds, name, line, text)
    load_seeds(seeds)


def test_two_tiers_are_enough_where_the_lower_one_begins_at_0(seeds: Path) -> None:
    edit(seeds, "tiers", 2, None)
    assert faults(seeds) == [
        "seeds/tiers.csv line 2: tier 'at_risk' has min_score '40', but is the lowest tier of its scorecard: "
        "what lies below has no tier. Set it to 0"
    ]
    edit(seeds, "tiers", 2, "v2,all,at_risk,yellow,0,")
    load_seeds(seeds)


def test_the_small_configuration_and_the_shipped_one_are_valid(seeds: Path) -> None:
    load_seeds(seeds)
    load_seeds(SHIPPED)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert faults(missing) == [f"{missing}: no such folder. Set pipeline.seeds_dir to the folder of the seeds"]


def test_a_missing_file_is_one_fault_however_many_rows_refer_to_it(seeds: Path) -> None:
    (seeds / "config_versions.csv").unlink()
    assert faults(seeds) == [
        "seeds/config_versions.csv: no such file. Add it, with the columns config_version, valid_from, status, author, note"
    ]


def test_a_folder_in_place_of_a_file(seeds: Path) -> None:
    (seeds / "tiers.csv").unlink()
    (seeds / "tiers.csv").mkdir()
    assert faults(seeds) == ["seeds/tiers.csv: cannot be read: Is a directory. Make it a readable file"]


def test_an_empty_file_and_a_file_without_rows(seeds: Path) -> None:
    (seeds / "fx_rates.csv").write_text("")
    (seeds / "metric_bands.csv").write_text(SMALL["metric_bands"].splitlines()[0])
    edit(seeds, "scorecard_metrics", 4, "v2,smb,active_days_28d,1,linear,0,20,exclude")
    assert faults(seeds) == ["seeds/fx_rates.csv: empty. Add the header currency,valid_from,rate"]
    (seeds / "fx_rates.csv").write_text("currency,valid_from,rate\n")
    load_seeds(seeds)
    (seeds / "scorecard_dimensions.csv").write_text("config_version,scorecard_key,dimension_key,weight\n")
    assert faults(seeds) == ["seeds/scorecard_dimensions.csv: no row below the header. Add at least one"]


def test_another_encoding_is_named_with_its_line(seeds: Path) -> None:
    (seeds / "config_versions.csv").write_bytes(SMALL["config_versions"].replace("bob", "Zoë").encode("latin-1"))
    assert faults(seeds) == ["seeds/config_versions.csv line 5: not valid UTF-8. Save the file as CSV UTF-8"]


def test_a_nul_character_is_named_with_its_line(seeds: Path) -> None:
    edit(seeds, "config_versions", 5, "v3,2026-03-01,candidate,b\0ob,")
    assert faults(seeds) == ["seeds/config_versions.csv line 5: holds a NUL character. Remove it"]


def test_no_active_version(seeds: Path) -> None:
    edit(seeds, "config_versions", 2, "v1,2026-01-01,candidate,ann,first")
    edit(seeds, "config_versions", 3, 'v2,2026-03-01,candidate,ann,"second,')
    assert faults(seeds) == ["seeds/config_versions.csv: no version is active. Set the status of one to active"]


def test_a_version_without_a_scorecard(seeds: Path) -> None:
    edit(seeds, "config_versions", 6, "v4,2026-06-01,candidate,bob,")
    assert faults(seeds) == [
        "seeds/scorecards.csv: version 'v4' has no scorecard with segment * for stage onboarding, renewing, mature, "
        "so accounts could stay without a score. Add one"
    ]


def test_faults_of_several_files_come_together(seeds: Path) -> None:
    edit(seeds, "scorecard_metrics", 2, "v1,all,active_dayz_28d,x,,0,20,")
    edit(seeds, "fx_rates", 3, "EUR,2026-02-01,-1")
    assert faults(seeds) == [
        "seeds/scorecard_metrics.csv line 2: weight 'x' is not a finite number. Write digits with a decimal point, such as 1.25",
        "seeds/fx_rates.csv line 3: rate '-1' is not above 0. Give a greater number",
        "seeds/scorecard_metrics.csv line 2: metric 'active_dayz_28d' is not in seeds/metrics.csv. Did you mean 'active_days_28d'?",
    ]


def test_hostile_cells_stay_on_one_short_line(seeds: Path) -> None:
    edit(seeds, "fx_rates", 2, 'EUR,"2026\n-01-\u202e01",1')
    assert faults(seeds) == [r"seeds/fx_rates.csv line 2: valid_from '2026\n-01-\u202e01' is not a date. Write it as YYYY-MM-DD"]
    edit(seeds, "fx_rates", 2, f"EUR,{'9' * 100_000},1")
    edit(seeds, "fx_rates", 3, None)
    (line,) = faults(seeds)
    assert len(line) < 200


def test_more_than_fifty_faults_are_counted(seeds: Path) -> None:
    rows = [f"C{number},2026-01-01,0" for number in range(60)]
    (seeds / "fx_rates.csv").write_text("\n".join(["currency,valid_from,rate", *rows]))
    lines = faults(seeds)
    assert len(lines) == 51
    assert lines[-1] == "10 more faults are not listed. Fix these first"


def test_messages_name_the_folder_that_was_given(seeds: Path) -> None:
    other = seeds.rename(seeds.parent / "our_seeds")
    edit(other, "score_caps", 2, "v1,all,late,nps,>=,30,39,")
    assert faults(other) == [
        "our_seeds/score_caps.csv line 2: metric 'nps' is not in our_seeds/metrics.csv. Add it there, or correct this row"
    ]


PLAYBOOKS = "playbook_key,label,priority,reason_template\nsave,Save it,1,{account_name} is {tier}\n"
CONDITIONS = "playbook_key,field,operator,value\nsave,tier,=,poor\nsave,arr,>=,1000\nsave,arr,<,5000\n"


def test_playbooks_are_checked_where_there_are_some(seeds: Path) -> None:
    (seeds / "playbooks.csv").write_text(PLAYBOOKS)
    (seeds / "playbook_conditions.csv").write_text(CONDITIONS)
    load_seeds(seeds)
    edit(seeds, "playbook_conditions", 3, "safe,arr,>=,1000")
    edit(seeds, "playbook_conditions", 4, "save,tier,=,poor")
    assert faults(seeds) == [
        "seeds/playbook_conditions.csv line 4: playbook_key 'save', field 'tier', operator '=', value 'poor' "
        "is duplicated, first on line 2. Remove one",
        "seeds/playbook_conditions.csv line 3: playbook 'safe' is not in seeds/playbooks.csv. Did you mean 'save'?",
    ]


def test_hash_sees_what_is_said_and_not_how_it_is_written(seeds: Path) -> None:
    plain = configuration_hash(load_seeds(seeds))
    for path in seeds.glob("*.csv"):
        with path.open(newline="") as file:
            header, *rows = list(csv.reader(file))
        turned = [header[::-1], *(row[::-1] for row in reversed(rows))]
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(turned)
    assert configuration_hash(load_seeds(seeds)) == plain
    # What a blank cell means, written out; and the same number in other digits.
    shutil.rmtree(seeds)
    seeds.mkdir()
    for name, text in SMALL.items():
        (seeds / f"{name}.csv").write_text(text)
    edit(seeds, "scorecards", 2, "v1,all,All,1.0,*,*,0.50,3,threshold")
    edit(seeds, "scorecard_metrics", 2, "v1,all,active_days_28d,1e0,linear,-0,20.0,exclude")
    assert configuration_hash(load_seeds(seeds)) == plain


def test_a_margin_that_is_not_given_is_3(seeds: Path) -> None:
    plain, file = configuration_hash(load_seeds(seeds)), seeds / "scorecards.csv"
    header, *rows = file.read_text().splitlines()
    assert "tier_margin" not in header

    def with_margins(*margins: str) -> str:
        file.write_text(
            "\n".join([f"{header},tier_margin", *(f"{row},{margin}" for row, margin in zip(rows, margins, strict=True))]) + "\n"
        )
        return configuration_hash(load_seeds(seeds))

    assert with_margins(*[""] * len(rows)) == plain
    assert with_margins(*["3.0"] * len(rows)) == plain
    assert with_margins("0", *["3"] * (len(rows) - 1)) != plain
    with_margins(*["3"] * len(rows))
    edit(seeds, "scorecards", 4, file.read_text().splitlines()[3].removesuffix("3") + "-1")
    assert faults(seeds) == ["seeds/scorecards.csv line 4: tier_margin '-1' is below 0. Give a number from 0 to 100"]


@pytest.mark.parametrize(
    ("name", "line", "text"),
    [
        ("scorecard_metrics", 2, "v1,all,active_days_28d,1,,0,21,"),
        ("score_caps", 2, None),
        ("config_versions", 2, "v1,2026-01-01,active,ann,First"),
        ("fx_rates", 3, "EUR,2026-02-02,1.2"),
    ],
)
def test_hash_changes_with_what_is_said(seeds: Path, name: str, line: int, text: str | None) -> None:
    plain = configuration_hash(load_seeds(seeds))
    edit(seeds, name, line, text)
    assert configuration_hash(load_seeds(seeds)) != plain


def test_hash_of_an_invalid_configuration_is_refused(seeds: Path) -> None:
    edit(seeds, "fx_rates", 2, "EUR,2026-01-01,0")
    with pytest.raises(ConfigurationError, match=r"fx_rates\.csv line 2"):
        configuration_hash(load_seeds(seeds))


# ---- the shipped seeds


def shipped(name: str) -> list[dict[str, str]]:
    with (SHIPPED / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_scorecards_have_the_same_metrics_and_one_that_weighs_nothing_says_so() -> None:
    catalogue = {row["metric_key"]: row["description"] for row in shipped("metrics")}
    weights: dict[str, dict[str, float]] = defaultdict(dict)
    for row in shipped("scorecard_metrics"):
        weights[row["scorecard_key"]][row["metric_key"]] = float(row["weight"])
    assert weights.keys() == {row["scorecard_key"] for row in shipped("scorecards")}
    scored = next(iter(weights.values())).keys()
    assert all(of_card.keys() == scored for of_card in weights.values())
    for metric in scored:
        weighs = any(of_card[metric] > 0 for of_card in weights.values())
        assert ("Weighs nothing on the shipped scorecards" in catalogue[metric]) == (not weighs)


def test_anchors_and_bands_point_where_the_catalogue_says() -> None:
    higher_is_better = {row["metric_key"]: row["higher_is_better"] for row in shipped("metrics")}
    for row in shipped("scorecard_metrics"):
        if row["method"] == "linear":
            rising = float(row["best"]) > float(row["worst"])
            assert rising == (higher_is_better[row["metric_key"]] == "true"), row
    lowest: dict[tuple[str, str], float] = defaultdict(lambda: float("inf"))
    for row in shipped("metric_bands"):
        key = (row["scorecard_key"], row["metric_key"])
        lowest[key] = min(lowest[key], float(row["lower_bound"]))
    # The metrics in bands are counts and rates: none is below 0, so every value is in a band.
    assert set(lowest.values()) == {0.0}


# A company that delivers accounts, usage events (without feature and duration) and subscriptions, and nothing else.
NO_SUCH_FACTS = {"minutes_per_active_user_28d", "feature_breadth_90d", "new_feature_adoption_90d", "expansions_365d"}
# What an account with some usage may lack: a past, seats, a price.
YOUNG = {"active_user_trend_28d", "user_retention_28d", "usage_vs_baseline_28d", "mrr_trend_90d"}
NO_SEATS_NO_PRICE = {"license_utilization_28d", "onboarding_rate_30d", "mrr_trend_90d"}
NO_INVOICES = {"days_late_180d", "days_overdue_oldest", "overdue_ratio"}


def coverage(scorecard: str, not_applicable: set[str], measured: Callable[[str, str], bool]) -> float:
    """The share of the base weights (docs/scoring.md, "Coverage") that `measured` says to be measured, by dimension and metric."""
    dimension = {row["metric_key"]: row["dimension_key"] for row in shipped("metrics")}
    weight_of = {row["dimension_key"]: float(row["weight"]) for row in shipped("scorecard_dimensions") if row["scorecard_key"] == scorecard}
    weights = {
        row["metric_key"]: float(row["weight"])
        for row in shipped("scorecard_metrics")
        if row["scorecard_key"] == scorecard and float(row["weight"]) > 0 and row["metric_key"] not in not_applicable
    }
    totals: dict[str, float] = defaultdict(float)
    for metric, weight in weights.items():
        totals[dimension[metric]] += weight
    base = {metric: weight_of[dimension[metric]] * weight / totals[dimension[metric]] for metric, weight in weights.items()}
    return sum(weight for metric, weight in base.items() if measured(dimension[metric], metric)) / sum(base.values())


@pytest.mark.parametrize("card", shipped("scorecards"), ids=lambda card: card["scorecard_key"])
@pytest.mark.parametrize(
    "not_applicable", [set(), YOUNG, NO_SEATS_NO_PRICE, YOUNG | NO_SEATS_NO_PRICE], ids=["old", "young", "free", "both"]
)
def test_usage_and_subscriptions_are_enough_for_a_tier(card: dict[str, str], not_applicable: set[str]) -> None:
    def is_measured(dimension: str, metric: str) -> bool:
        return dimension in ("adoption", "commercial") and metric not in NO_SUCH_FACTS | NO_INVOICES

    assert coverage(card["scorecard_key"], not_applicable, is_measured) >= float(card["min_coverage"]) + 0.02


@pytest.mark.parametrize("card", shipped("scorecards"), ids=lambda card: card["scorecard_key"])
def test_no_tier_rests_on_a_score_without_usage(card: dict[str, str]) -> None:
    """So a usage feed that is late holds the tiers of a company, whatever else it delivers."""
    all_else = coverage(card["scorecard_key"], set(), lambda dimension, metric: dimension != "adoption")
    assert all_else < float(card["min_coverage"])


def test_dbt_and_the_checks_agree_on_files_columns_and_types() -> None:
    types = {"text": "string", "number": "double", "integer": "integer", "boolean": "boolean", "date": "date"}
    project = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["seeds"]["customer_health"]
    # Playbooks and alert rules are taken apart in Python: dbt leaves their files alone.
    in_python = {name for name, config in project.items() if isinstance(config, dict) and config.get("+enabled") is False}
    assert in_python == {"playbooks", "playbook_conditions", "alert_rules"}
    shipped_seeds = {path.stem: SEEDS[path.stem] for path in SHIPPED.glob("*.csv") if path.stem not in in_python}
    for name, seed in shipped_seeds.items():
        assert project[name]["+column_types"] == {column: types[cell.kind] for column, cell in seed.columns.items()}
    described = yaml.safe_load((SHIPPED / "_seeds.yml").read_text())["seeds"]
    documented = shipped_seeds | {"alert_rules": alert_rules.SEED}
    assert {seed["name"] for seed in described} == set(documented)
    for seed in described:
        assert [column["name"] for column in seed["columns"]] == list(documented[seed["name"]].columns)
        assert seed["description"] and all(column["description"] for column in seed["columns"])


def test_numbers_of_the_accepted_form_are_numbers_to_duckdb(seeds: Path) -> None:
    with duckdb.connect(config={"memory_limit": "100MB", "threads": 1}) as connection:
        for text, value in {"5.": 5.0, ".5": 0.5, "-.5e-1": -0.05, "1E2": 100.0, "007": 7.0}.items():
            edit(seeds, "score_caps", 2, f"v1,all,late,days_late_180d,>=,{text},39,")
            load_seeds(seeds)
            assert connection.execute("select cast(? as double)", [text]).fetchall() == [(value,)]
        assert connection.execute("select cast('3.0' as integer)").fetchall() == [(3,)]


def test_a_shipped_cap_reaches_the_tier_that_it_is_for() -> None:
    """A score between a limit and the margin below it leaves nobody in the lower tier: a cap there would never turn an account red."""
    seeds = load_seeds(SHIPPED)
    cards = {card.take(("config_version", "scorecard_key")): card["tier_margin"] for card in seeds["scorecards"]}
    limits = {key: {tier["min_score"] for tier in seeds["tiers"] if tier.take(("config_version", "scorecard_key")) == key} for key in cards}
    stuck = [
        cap["cap_key"]
        for cap in seeds["score_caps"]
        for key in [cap.take(("config_version", "scorecard_key"))]
        for limit in limits[key] or {70, 40}
        if limit - cards[key] <= cap["max_score"] < limit
    ]
    assert not stuck
