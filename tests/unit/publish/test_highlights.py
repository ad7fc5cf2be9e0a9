"""Who moved this week, and why, from a mart written by hand."""

from pathlib import Path
from urllib.parse import unquote

import duckdb
import pytest

from orchestration.publish.generations import DATABASE
from orchestration.publish.highlights import Highlights, Movement, describe_movements, describe_weeks, draw_weeks, read_highlights

from .conftest import make_settings

_MART = """
create table account_health_history (account_id varchar, as_of_date date, tier varchar);
create table account_health (
    account_id varchar, as_of_date date, account_name varchar, health_score double, delta_7d double, availability_7d double, tier varchar,
    raw_tier varchar,
    arr double
);
create table score_changes (
    account_id varchar, as_of_date date, k integer, component varchar, metric_key varchar, label varchar, points double
);
create table tier_changes (
    account_id varchar, as_of_date date, from_tier varchar, to_tier varchar, cause varchar, reason varchar, component varchar, points double
);
"""
# The newest day is 31 March. Tiers that changed on 25 March did so this week, on 24 March the week before.
_ROWS = """
insert into account_health values
    ('a1', '2026-03-31', 'Acme', 60, -25, 0, 'at_risk', 'at_risk', 10),
    ('a2', '2026-03-31', 'Beta', 75, -5, 0, 'healthy', 'healthy', 20),
    ('a3', '2026-03-31', null, 72, 12.5, 30, 'at_risk', 'healthy', null),
    ('a4', '2026-03-31', 'Delta', 80, 30, 0, 'healthy', 'healthy', 5),
    ('a5', '2026-03-31', 'Same', 80, 0, 0, 'healthy', 'healthy', 5),
    ('a6', '2026-03-31', 'New', 80, null, null, 'healthy', 'healthy', 5);
insert into account_health_history values
    ('a1', '2026-03-31', 'at_risk'), ('a2', '2026-03-31', 'healthy'), ('a3', '2026-03-31', 'at_risk'),
    ('a4', '2026-03-31', 'healthy'), ('a5', '2026-03-31', 'healthy'), ('a6', '2026-03-31', 'healthy'),
    -- Not a whole number of weeks before.
    ('a1', '2026-03-30', 'at_risk'),
    ('a1', '2026-03-24', 'healthy'), ('a2', '2026-03-24', 'healthy'), ('a3', '2026-03-24', 'poor'), ('a4', '2026-03-24', 'unknown'),
    -- 26 weeks before, one too many.
    ('a1', '2025-09-30', 'poor');
insert into score_changes values
    ('a1', '2026-03-31', 7, 'cap', null, 'A fee is past due.', -20),
    ('a1', '2026-03-31', 7, 'behaviour', 'active_days_28d', 'Active days', -5),
    ('a2', '2026-03-31', 7, 'behaviour', 'active_days_28d', 'Active days', -7),
    ('a2', '2026-03-31', 7, 'behaviour', 'nps_180d', 'NPS', 2),
    -- Data that came lifted it by more than it fell.
    ('a3', '2026-03-31', 7, 'availability', null, 'Data came or went', 30),
    ('a3', '2026-03-31', 7, 'behaviour', 'nps_180d', 'NPS', -17.5),
    ('a4', '2026-03-31', 7, 'cap', null, 'No longer: Nobody came.', 30),
    -- Of another day, and of four weeks.
    ('a2', '2026-03-30', 7, 'behaviour', 'nps_180d', 'NPS', -99), ('a2', '2026-03-31', 28, 'behaviour', 'nps_180d', 'NPS', -99);
insert into tier_changes (account_id, as_of_date, from_tier, to_tier) values
    ('a1', '2026-03-25', 'healthy', 'at_risk'), ('a2', '2026-03-24', 'at_risk', 'healthy'),
    ('a3', '2026-03-30', 'poor', 'at_risk'), ('a4', '2026-03-31', 'unknown', 'healthy'),
    -- There and back.
    ('a5', '2026-03-26', 'healthy', 'poor'), ('a5', '2026-03-28', 'poor', 'healthy');
"""


def mart(folder: Path, rows: str) -> Path:
    with duckdb.connect(str(folder / DATABASE)) as connection:
        connection.execute(_MART + rows)
    return folder


def test_who_moved_and_why(tmp_path: Path) -> None:
    highlights = read_highlights(make_settings(tmp_path), mart(tmp_path, _ROWS))
    assert highlights.fell == [
        Movement("Acme", 60, -25, "At risk", "A fee is past due."),
        # Rose by 12.5, of which 30 are data that came: no merit of the account.
        Movement("a3", 72, -17.5, "At risk (today healthy)", "NPS"),
        Movement("Beta", 75, -5, "Healthy", "Active days"),
    ]
    assert highlights.rose == [
        Movement("Delta", 80, 30, "Healthy", "No longer: Nobody came."),
    ]
    # Acme fell and a3 rose this week; Beta did so the week before, Same is back; Delta comes from unknown, which is neither better nor
    # worse.
    assert (highlights.to_worse, highlights.to_better) == (1, 1)
    # 24 and 31 March.
    assert highlights.weeks == {"healthy": [2, 4], "at_risk": [0, 2], "poor": [1, 0], "unknown": [1, 0]}


def test_only_the_largest_movements(tmp_path: Path) -> None:
    highlights = read_highlights(make_settings(tmp_path), mart(tmp_path, _ROWS), limit=1)
    assert [each.account for each in highlights.fell + highlights.rose] == ["Acme", "Delta"]


def test_an_empty_mart(tmp_path: Path) -> None:
    highlights = read_highlights(make_settings(tmp_path), mart(tmp_path, ""))
    assert highlights == Highlights({"healthy": [], "at_risk": [], "poor": [], "unknown": []}, 0, 0, [], [])
    assert "| Healthy | 0 |  |" in describe_weeks(highlights)
    assert describe_movements([]) == "No score moved this way."
    assert draw_weeks(highlights) == ""


def test_weeks_as_bars() -> None:
    weeks = {"healthy": [0, 7, 14], "at_risk": [0, 0, 0], "poor": [3, 3, 3], "unknown": [1, 0, 0]}
    described = describe_weeks(Highlights(weeks, 2, 1, [], []))
    # Seven steps from nothing to the highest: half of it is 3.5 steps, to the even fourth.
    assert "| Healthy | 14 | ▁▅█ |" in described
    assert "| At risk | 0 | ▁▁▁ |" in described
    assert "| Poor | 3 | ███ |" in described
    assert "**2** to a worse tier, **1** to a better one" in described


def test_weeks_as_a_picture() -> None:
    weeks = {"healthy": [2, 4], "at_risk": [0, 1], "poor": [2, 0], "unknown": [0, 0]}
    drawn = unquote(draw_weeks(Highlights(weeks, 0, 0, [], [])))
    # 60 steps are the five accounts of the second week: of the first week's four, two are poor.
    assert drawn.index("fill='#2b9a85' d='M0,60V12l1-12V60'") < drawn.index("fill='#ecb94a' d='M0,60V36l1,12V60'")
    assert "fill='#b8372f' d='M0,60V36l1,24V60'" in drawn
    assert drawn.endswith("Week by week, from the top: healthy, at risk, poor; 5 accounts at most.")
    assert "d='M0,60V0l1,0V60'" in unquote(draw_weeks(Highlights({tier: counts[:1] for tier, counts in weeks.items()}, 0, 0, [], [])))


@pytest.mark.parametrize("text", ["x" * 1_000_000, "|" * 500, "`" * 500, "<b>&amp;" * 100])
def test_the_page_shows_the_tables_in_their_place(text: str) -> None:
    """The UI folds Markdown of 1,000 characters and more away."""
    movements = [Movement(text, 100.0, -100.0, "At risk (today at risk)", text)] * 5
    assert len(describe_movements(movements)) < 1000
    assert (
        len(describe_weeks(Highlights({tier: [10_000] * 26 for tier in ("healthy", "at_risk", "poor", "unknown")}, 10_000, 10_000, [], [])))
        < 1000
    )
    ragged = {"healthy": [70, 5] * 13, "at_risk": [5, 70] * 13, "poor": [19, 1] * 13, "unknown": [1, 19] * 13}
    assert len(draw_weeks(Highlights(ragged, 0, 0, [], []))) < 1000
