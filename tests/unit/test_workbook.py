"""The scorecard workbook on its way back into the seeds: what is written, and that a fault leaves every byte as it was."""

import csv
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from orchestration.cli import main
from orchestration.scorecard import ConfigurationError, load_seeds
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.workbook import WorkbookError, adopt, read
from orchestration.workbook.adopt import import_workbook
from orchestration.workbook.rules import changes, next_name, rules_of
from orchestration.workbook.write import write_workbook
from tests.company import content
from tests.workbooks import Edited, settings_with_seeds
from tests.writer import another_writer

SHIPPED = PROJECT_ROOT / "seeds"
NPS = {"scorecard_key": "standard", "metric_key": "nps_180d"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workbook of the shipped seeds, where nothing is published."""
    folder = tmp_path_factory.mktemp("workbook")
    path = folder / "scorecard.xlsx"
    write_workbook(settings_with_seeds(folder), path)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_with_seeds(tmp_path)


@pytest.fixture
def edited(written: Path, tmp_path: Path) -> Edited:
    return Edited(Path(shutil.copy(written, tmp_path / "edited.xlsx")))


def rows(settings: Settings, seed: str, version: str) -> list[dict[str, str]]:
    with open(settings.seeds_dir / f"{seed}.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["config_version"] == version]


def test_a_changed_workbook_becomes_a_candidate_below_the_untouched_rows(settings: Settings, edited: Edited) -> None:
    edited.set("scorecard_metrics", NPS, weight=3, worst=-20.5, missing_policy="neutral")
    edited.set("scorecard_dimensions", {"scorecard_key": "onboarding", "dimension_key": "voice"}, weight=0)
    edited.fill("metric_bands", scorecard_key="standard", metric_key="advocacy_365d", lower_bound=5, score=99.5)
    for cell in edited.row("score_caps", scorecard_key="standard", cap_key="dormant").values():
        cell.value = None
    edited.set("config_versions", {"status": "candidate"}, author="Ann, CS", note='Weighs "voice"\nmore')
    report = import_workbook(settings, edited.save())

    for seed in ("config_versions", "scorecards", "scorecard_dimensions", "scorecard_metrics", "metric_bands", "score_caps", "tiers"):
        before = (SHIPPED / f"{seed}.csv").read_bytes()
        assert (settings.seeds_dir / f"{seed}.csv").read_bytes().startswith(before)
    assert rows(settings, "config_versions", "2026.2") == [
        # Nothing is published, so it starts on the first day of the configuration.
        {"config_version": "2026.2", "valid_from": "2026-01-01", "status": "candidate", "author": "Ann, CS", "note": 'Weighs "voice"\nmore'}
    ]
    (nps,) = (row for row in rows(settings, "scorecard_metrics", "2026.2") if row.items() >= NPS.items())
    assert nps == NPS | {
        "config_version": "2026.2", "weight": "3", "method": "linear", "worst": "-20.5", "best": "60", "missing_policy": "neutral",
    }  # fmt: skip
    seeds = load_seeds(settings.seeds_dir)
    differences = sorted(changes(rules_of(seeds, "2026.1"), rules_of(seeds, "2026.2")))
    assert differences == [
        "metric_bands standard advocacy_365d 5: added with score 99.5",
        "score_caps standard dormant: removed",
        "scorecard_dimensions onboarding voice: weight 12.76 -> 0",
        "scorecard_metrics standard nps_180d: missing_policy exclude -> neutral",
        "scorecard_metrics standard nps_180d: weight 1.25 -> 3",
        "scorecard_metrics standard nps_180d: worst -50 -> -20.5",
    ]
    assert report[0].startswith(
        "edited.xlsx: version 2026.2 (candidate, from 2026-01-01) added to seeds/: config_versions.csv, scorecards.csv"
    )
    assert report[1] == "6 differences from version 2026.1:"
    assert sorted(line.strip() for line in report[2:8]) == differences


def test_the_margin_of_tier_limits_is_edited_where_the_file_has_the_column(settings: Settings, edited: Edited) -> None:
    edited.set("scorecards", {"scorecard_key": "standard"}, tier_margin=1.5)
    import_workbook(settings, edited.save())
    assert [row["tier_margin"] for row in rows(settings, "scorecards", "2026.2")] == ["3", "1.5"]

    shutil.copytree(SHIPPED, settings.seeds_dir, dirs_exist_ok=True)
    file = settings.seeds_dir / "scorecards.csv"
    file.write_text("".join(line.rpartition(",")[0] + "\n" for line in file.read_text().splitlines()))
    before = content(settings.seeds_dir)
    with pytest.raises(WorkbookError) as raised:
        import_workbook(settings, edited.path)
    assert str(raised.value) == (
        "edited.xlsx: sheet 'standard' cell J7: tier_margin is 1.5, but seeds/scorecards.csv has no such column. "
        "Add it to the header, with a blank cell in every row, and import again"
    )
    assert content(settings.seeds_dir) == before
    # A margin that is the default needs no column.
    edited.set("scorecards", {"scorecard_key": "standard"}, tier_margin=3, confirm_days=4)
    import_workbook(settings, edited.save())
    assert [row["confirm_days"] for row in rows(settings, "scorecards", "2026.2")] == ["3", "4"]


def test_active_comes_from_the_workbook_or_the_command(settings: Settings, edited: Edited) -> None:
    edited.set("scorecard_metrics", NPS, weight=3)
    import_workbook(settings, edited.save(), active=True)
    edited.set("scorecard_metrics", NPS, weight=4)
    edited.set("config_versions", {"status": "candidate"}, config_version="autumn", status="active", valid_from="2026-10-01")
    import_workbook(settings, edited.save())
    assert [
        (row["config_version"], row["status"], str(row["valid_from"])) for row in load_seeds(settings.seeds_dir)["config_versions"]
    ] == [
        ("2026.1", "active", "2000-01-01"),
        ("2026.2", "active", "2026-01-01"),
        ("autumn", "active", "2026-10-01"),
    ]


def test_an_unchanged_workbook_and_one_imported_twice_write_nothing(settings: Settings, written: Path, edited: Edited) -> None:
    assert import_workbook(settings, written) == [
        "scorecard.xlsx: nothing changed: its rules are those of version 2026.1. Nothing was written"
    ]
    assert content(settings.seeds_dir) == content(SHIPPED)
    edited.set("scorecard_metrics", NPS, weight=3)
    import_workbook(settings, edited.save())
    once = content(settings.seeds_dir)
    assert import_workbook(settings, edited.path) == [
        "edited.xlsx: nothing changed: version 2026.2 has these rules already. Nothing was written"
    ]
    assert content(settings.seeds_dir) == once


def test_files_keep_their_line_ends_their_columns_and_a_missing_last_line_end(settings: Settings, edited: Edited) -> None:
    windows, reordered = settings.seeds_dir / "tiers.csv", settings.seeds_dir / "scorecard_dimensions.csv"
    windows.write_bytes(b"\xef\xbb\xbf" + windows.read_bytes().replace(b"\n", b"\r\n"))
    lines = [",".join(reversed(line.split(","))) for line in reordered.read_text().splitlines()]
    reordered.write_text("\n".join(lines))
    before = {file: file.read_bytes() for file in (windows, reordered)}
    edited.set("tiers", {"scorecard_key": "standard", "tier": "healthy"}, min_score=75)
    import_workbook(settings, edited.save())

    added = windows.read_bytes().removeprefix(before[windows])
    assert added.startswith(b"2026.2,onboarding,healthy,green,70,0.75\r\n2026.2,onboarding,at_risk,yellow,40,0.25\r\n")
    assert b"2026.2,standard,healthy,green,75,0.75\r\n" in added and added.count(b"\n") == added.count(b"\r\n") == 6
    added = reordered.read_bytes().removeprefix(before[reordered])
    assert added.startswith(b"\n55,adoption,onboarding,2026.2\n13,commercial,onboarding,2026.2\n") and added.count(b"\n") == 11


def _sheet_row(seed: str, **keys: str) -> Callable[[Edited], None]:
    """Delete a whole row of a sheet."""

    def delete(edited: Edited) -> None:
        cell = next(iter(edited.row(seed, **keys).values()))
        cell.parent.delete_rows(cell.row)

    return delete


def _rename(edited: Edited) -> None:
    edited.book["standard"].title = "Standard 2026"


def _stray(edited: Edited) -> None:
    edited.book["Caps"]["C60"] = "my own cap"


def _typed(seed: str, keys: dict[str, str], **values: object) -> Callable[[Edited], None]:
    return lambda edited: edited.set(seed, keys, **values)


def _added(seed: str, **values: object) -> Callable[[Edited], None]:
    return lambda edited: edited.fill(seed, **values)


def _metric(key: str) -> dict[str, str]:
    return {"scorecard_key": "standard", "metric_key": key}


VERSION = {"status": "candidate"}
# What a person does, and the one line that reports it. The faults of one group are reported together.
FAULTS: dict[str, list[tuple[Callable[[Edited], object], str]]] = {
    "rules that make no sense": [
        (
            _typed("score_caps", {"scorecard_key": "standard", "cap_key": "pulse_low"}, operator="<", threshold=1),
            "sheet 'Caps' row 24: cap 'pulse_low' never binds: csm_pulse < 1 cannot hold, as the metric lies within 1 to 5. "
            "Change the threshold, or remove it",
        ),
        (
            _typed("scorecard_metrics", _metric("active_days_28d"), worst=30, best=60),
            "sheet 'standard' row 14: metric 'active_days_28d' has worst 30 and best 60, but it lies within 0 to 28, "
            "so it scores 0 for every account. Give values within",
        ),
    ],
    "cells": [
        (_typed("scorecard_metrics", NPS, weight=-1), "sheet 'standard' cell D43: weight '-1' is below 0. Give a number from 0 to 1e+06"),
        (
            _typed("scorecard_metrics", _metric("active_days_28d"), best="16 days"),
            "sheet 'standard' cell H14: best '16 days' is not a finite number. Write digits with a decimal point, such as 1.25",
        ),
        (
            _typed("scorecard_dimensions", {"scorecard_key": "standard", "dimension_key": "voice"}, weight="#DIV/0!"),
            "sheet 'standard' cell D42: weight '#DIV/0!' is not a finite number. Write digits with a decimal point, such as 1.25",
        ),
        (_typed("scorecard_metrics", _metric("stickiness_28d"), weight=None), "sheet 'standard' cell D16: weight is blank. Fill it in"),
        (
            _typed("scorecard_metrics", _metric("user_retention_28d"), method="percentil"),
            "sheet 'standard' cell F18: method 'percentil' is not one of linear, bands, percentile, zscore. Did you mean 'percentile'?",
        ),
        (
            _typed("score_caps", {"scorecard_key": "standard", "cap_key": "silent"}, metric_key="days_since_last_activty"),
            "sheet 'Caps' cell D19: metric 'days_since_last_activty' is not in seeds/metrics.csv. Did you mean 'days_since_last_activity'?",
        ),
        (
            _added("score_caps", scorecard_key="standard", cap_key="new", metric_key="csm_pulse", operator="=", max_score=10),
            "sheet 'Caps' cell F26: threshold is blank. Fill it in",
        ),
        (
            _added("metric_bands", scorecard_key="standard", metric_key="active_user_28d", lower_bound=0, score=1),
            "sheet 'Bands' cell C53: metric 'active_user_28d' is not in seeds/metrics.csv. Did you mean 'active_users_28d'?",
        ),
        (
            _added("metric_bands", scorecard_key="standard", metric_key="advocacy_365d", lower_bound=1, score=1),
            "sheet 'Bands' row 54: config_version '2026.2', scorecard_key 'standard', metric_key 'advocacy_365d', lower_bound '1' is "
            "duplicated, first on sheet 'Bands' row 43. Remove one",
        ),
        (
            _typed("config_versions", VERSION, valid_from="next week"),
            "sheet 'New version' cell C7: valid_from 'next week' is not a date. Write it as YYYY-MM-DD",
        ),
    ],
    "rules": [
        (
            _typed("scorecard_metrics", NPS, worst=60),
            "sheet 'standard' cell H43: metric 'nps_180d' has the method linear, but worst and best are both '60'. Make them differ",
        ),
        (
            _typed("scorecard_metrics", _metric("active_days_28d"), method="bands"),
            "sheet 'standard' cell F14: metric 'active_days_28d' has the method bands, but scorecard 'standard' of version '2026.2' has "
            "none in seeds/metric_bands.csv. Add one",
        ),
        (
            _typed("tiers", {"scorecard_key": "standard", "tier": "at_risk"}, min_score=80),
            "sheet 'Tiers' cell E10: tier 'healthy' has min_score '70', not above the '80' of 'at_risk' (sheet 'Tiers' row 11). "
            "Let them fall from healthy over at_risk to poor",
        ),
        (
            _typed("config_versions", VERSION, status="active", valid_from="2000-01-01"),
            "sheet 'New version' cell C7: the active versions '2026.1' (config_versions.csv line 2) and '2026.2' are both valid from "
            "2000-01-01. Change one date or status",
        ),
    ],
    "no name": [
        (_typed("config_versions", VERSION, config_version=None), "sheet 'New version' cell B7: config_version is blank. Fill it in")
    ],
    "name of another version": [
        (
            _typed("config_versions", VERSION, config_version="2026.1"),
            "sheet 'New version' cell B7: version '2026.1' is in seeds/config_versions.csv already, with other rules. "
            "Give the new version a name of its own",
        )
    ],
    "unknown metric": [
        (
            _typed("scorecard_metrics", NPS, metric_key="nps_180"),
            "sheet 'standard' cell N43: 'standard nps_180' is not a row of scorecard_metrics in version 2026.1. Did you mean 'standard "
            "nps_180d'?",
        )
    ],
    "deleted rows": [
        (
            _sheet_row("scorecard_metrics", **NPS),
            "sheet 'standard': the row of nps_180d is missing (scorecard_metrics of version 2026.1). Undo its removal; weight 0 switches "
            "it off",
        ),
        (
            _sheet_row("tiers", scorecard_key="standard", tier="poor"),
            "sheet 'Tiers': the row of poor is missing (tiers of version 2026.1). Undo its removal",
        ),
    ],
    "deleted row of the version": [
        (_sheet_row("config_versions", status="candidate"), "the new version is in 0 rows. Keep one, as make scorecard wrote it")
    ],
    "renamed sheet": [
        (
            _rename,
            "the sheet 'standard' is missing; there is 'Read me', 'Standard 2026', 'Samples', 'Sample details'. Give it back its name",
        )
    ],
    "row of their own": [
        (_stray, "sheet 'Caps' cell C60: 'my own cap' is in a row that make scorecard did not write. Move it into a free yellow row")
    ],
}


@pytest.mark.parametrize("group", FAULTS)
def test_a_fault_is_one_line_with_the_cell_and_leaves_the_seeds_alone(settings: Settings, edited: Edited, group: str) -> None:
    # Another change, so that there is something to write.
    edited.set("scorecard_dimensions", {"scorecard_key": "standard", "dimension_key": "outcomes"}, weight=7)
    for change, _ in FAULTS[group]:
        change(edited)
    with pytest.raises(WorkbookError) as raised:
        import_workbook(settings, edited.save())
    assert sorted(str(raised.value).splitlines()) == sorted(f"edited.xlsx: {message}" for _, message in FAULTS[group])
    assert content(settings.seeds_dir) == content(SHIPPED)


def _not_a_workbook(path: Path, written: Path) -> None:
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))  # how an .xls, or a file with a password, begins


def _truncated(path: Path, written: Path) -> None:
    path.write_bytes(written.read_bytes()[:-2000])


def _another_workbook(path: Path, written: Path) -> None:
    openpyxl.Workbook().save(path)


def _bomb(path: Path, written: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(3_000_001))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_not_a_workbook, "is not a readable .xlsx workbook (BadZipFile). Save it as Excel workbook (.xlsx) without a password"),
        (_truncated, "is not a readable .xlsx workbook (BadZipFile). Save it as Excel workbook (.xlsx) without a password"),
        (_another_workbook, "was not written by make scorecard. Write a workbook with it and change that one"),
        (_bomb, "unpacks to 3,000,001 bytes, which no scorecard workbook does"),
        (lambda path, written: None, "no such file. Name the workbook: make scorecard-import FILE=..."),
    ],
)
def test_a_file_that_is_not_such_a_workbook_is_refused(
    settings: Settings, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, Path], None], message: str
) -> None:
    monkeypatch.setattr(read, "_UNPACKED_LIMIT", 3_000_000)
    path = tmp_path / "book.xls"
    make(path, written)
    with pytest.raises(WorkbookError) as raised:
        import_workbook(settings, path)
    assert message in str(raised.value) and "book.xls: " in str(raised.value)
    assert content(settings.seeds_dir) == content(SHIPPED)


def test_links_to_other_files_and_macros_are_not_followed(settings: Settings, edited: Edited, tmp_path: Path) -> None:
    """A cell that takes its number from another file counts with the number that it showed."""
    edited.set("scorecard_metrics", NPS, weight="=[1]Sheet1!$A$1")
    path = tmp_path / "linked.xlsm"
    with zipfile.ZipFile(edited.save()) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            data = data.replace(b"<f>[1]Sheet1!$A$1</f><v />", b"<f>[1]Sheet1!$A$1</f><v>2.5</v>").replace(
                b"<f>[1]Sheet1!$A$1</f><v></v>", b"<f>[1]Sheet1!$A$1</f><v>2.5</v>"
            )
            new.writestr(entry, data)
        new.writestr("xl/vbaProject.bin", b"no macro that anybody could run")
        new.writestr("xl/externalLinks/externalLink1.xml", b"<externalLink/>")
    report = import_workbook(settings, path)
    assert "  scorecard_metrics standard nps_180d: weight 1.25 -> 2.5" in report


def test_wrong_seeds_are_reported_as_such(settings: Settings, edited: Edited) -> None:
    (settings.seeds_dir / "tiers.csv").write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match=r"seeds/tiers.csv line 1"):
        import_workbook(settings, edited.path)


def test_a_version_that_is_gone_cannot_be_changed(settings: Settings, edited: Edited) -> None:
    for file in settings.seeds_dir.glob("*.csv"):
        file.write_text(file.read_text().replace("2026.1,", "2027.1,"))
    with pytest.raises(WorkbookError, match=r"was made from version '2026.1', which is no longer in seeds/config_versions.csv"):
        import_workbook(settings, edited.path)


def test_nothing_is_written_while_a_run_reads_the_seeds(
    settings: Settings, edited: Edited, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setenv("HEALTH_CONFIG", str(settings.config_file))
    edited.set("scorecard_metrics", NPS, weight=3)
    with another_writer(settings, "daily_health 2026-01-05"):
        assert main(["scorecard", "import", str(edited.save())]) == 2
    assert "daily_health 2026-01-05" in capsys.readouterr().err
    assert content(settings.seeds_dir) == content(SHIPPED)


def test_a_disk_that_fails_half_way_leaves_the_seeds_as_they_were(
    settings: Settings, edited: Edited, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited.set("scorecard_metrics", NPS, weight=3)
    replace, replaced = adopt.os.replace, []

    def fail_once(source: Path, target: Path) -> None:
        replaced.append(target)
        if len(replaced) == 4:
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(adopt.os, "replace", fail_once)
    with pytest.raises(WorkbookError, match="No space left on device. The seeds are as they were"):
        import_workbook(settings, edited.save())
    assert len(replaced) > 4, "what was replaced has been put back"
    assert content(settings.seeds_dir) == content(SHIPPED)


def test_hostile_words_of_the_seeds_stay_text_and_come_back_unchanged(settings: Settings, tmp_path: Path) -> None:
    hostile = '=HYPERLINK("http://example.invalid")\x01\u202e<b>'
    for seed, column, old in (
        ("scorecards", "label", "Standard"),
        ("metrics", "label", "Net promoter score"),
        ("score_caps", "reason", "A critical ticket is open."),
    ):
        file = settings.seeds_dir / f"{seed}.csv"
        with open(file, encoding="utf-8", newline="") as stream:
            table = list(csv.DictReader(stream))
        for row in table:
            row[column] = hostile if row[column] == old else row[column]
        with open(file, "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
    path = tmp_path / "hostile.xlsx"
    write_workbook(settings, path)
    formulas = [cell.value for sheet in openpyxl.load_workbook(path) for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert len(formulas) > 100 and not [formula for formula in formulas if "HYPERLINK" in formula]
    assert import_workbook(settings, path)[0].startswith("hostile.xlsx: nothing changed")


def test_a_workbook_is_never_written_over(settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_CONFIG", str(settings.config_file))
    monkeypatch.chdir(settings.config_file.parent)
    Path("accounts.csv").touch()
    assert main(["scorecard", "write"]) == 0
    assert capsys.readouterr().out == (
        "data/scorecard.xlsx: version 2026.1 with 2 scorecards. Nothing is published in published/current yet. Run `make run`, then "
        "`make scorecard` again.\nChange the yellow cells, save, then: make scorecard-import FILE=data/scorecard.xlsx\n"
    )
    before = (settings.data_dir / "scorecard.xlsx").read_bytes()
    assert main(["scorecard", "write"]) == 2
    assert "is there already, perhaps with somebody's changes" in capsys.readouterr().err
    assert main(["scorecard", "write", "--file", "same.xlsx"]) == 0
    assert Path("same.xlsx").read_bytes() == before, "the same seeds make the same file"
    assert main(["scorecard", "write", "--file", "accounts.csv/no.xlsx"]) == 2
    assert "accounts.csv/no.xlsx: cannot be written" in capsys.readouterr().err
    assert main(["scorecard", "write", "--file", "other.xlsx", "--version", "2025.9"]) == 2
    assert "seeds/config_versions.csv: has no version '2025.9'. Name one of 2026.1" in capsys.readouterr().err
    assert (settings.data_dir / "scorecard.xlsx").read_bytes() == before
    assert sorted(file.name for file in settings.data_dir.iterdir()) == ["scorecard.xlsx"]


@pytest.mark.parametrize(("version", "following"), [("2026.1", "2026.3"), ("2026.9", "2026.10"), ("v", "v.2"), ("7", "8")])
def test_a_new_version_is_numbered_on(version: str, following: str) -> None:
    assert next_name(version, ["2026.1", "2026.2", "v", "7"]) == following
