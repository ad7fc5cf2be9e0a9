"""Rules that can be read but cannot be meant are named before a run, with file and line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.run_guard import check_configuration
from orchestration.scorecard.lint import can_hold
from orchestration.settings import PROJECT_ROOT, load_settings

Change = Callable[..., list[str]]


@pytest.fixture
def lint(tmp_path: Path) -> Change:
    """The warnings after lines of the shipped seeds were replaced, or added where there is nothing to replace."""

    def run(seed: str, *, old: str = "", new: str, check: bool = True) -> list[str]:
        folder = tmp_path / "seeds"
        if not folder.exists():
            shutil.copytree(PROJECT_ROOT / "seeds", folder)
        path = folder / f"{seed}.csv"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1 or not old
        path.write_text(text.replace(old, new) if old else f"{text}{new}\n", encoding="utf-8")
        if not check:
            return []
        config = tmp_path / "health.toml"
        config.write_text('[pipeline]\nstart_date = 2026-01-01\nseeds_dir = "seeds"\n[sources.accounts]\nconnector = "demo"\n')
        return check_configuration(load_settings(config))

    return run


def test_the_shipped_scorecard_is_clean(lint: Change) -> None:
    assert lint("fx_rates", new="XTS,2020-01-01,1") == []


@pytest.mark.parametrize(
    ("seed", "old", "new", "expected"),
    [
        (
            "score_caps",
            "2026.1,standard,pulse_low,csm_pulse,<=,2,65",
            "2026.1,standard,pulse_low,csm_pulse,<=,5,65",
            "seeds/score_caps.csv line 18: cap 'pulse_low' holds for every account: csm_pulse <= 5 always holds, as the metric lies within",
        ),
        (
            "score_caps",
            "2026.1,standard,pulse_low,csm_pulse,<=,2,65",
            "2026.1,standard,pulse_low,csm_pulse,<,1,65",
            "seeds/score_caps.csv line 18: cap 'pulse_low' never binds: csm_pulse < 1 cannot hold, as the metric lies within 1 to 5",
        ),
        (
            "score_caps",
            "2026.1,standard,escalated,escalations_90d,>=,2,60",
            "2026.1,standard,escalated,escalations_90d,>=,2,100",
            "seeds/score_caps.csv line 17: cap 'escalated' never binds: no score is above 100",
        ),
        (
            "scorecard_metrics",
            "2026.1,standard,active_days_28d,3.5,linear,0,16,exclude",
            "2026.1,standard,active_days_28d,3.5,linear,16,0,exclude",
            "seeds/scorecard_metrics.csv line 40: metric 'active_days_28d' has worst 16 and best 0, but higher is better in seeds/metrics",
        ),
        (
            "scorecard_metrics",
            "2026.1,standard,active_days_28d,3.5,linear,0,16,exclude",
            "2026.1,standard,active_days_28d,3.5,linear,0,30,exclude",
            "seeds/scorecard_metrics.csv line 40: metric 'active_days_28d' has best 30, which it never reaches: it lies within 0 to 28",
        ),
        (
            "metrics",
            "",
            "not_used,voice,Not used,,true,,",
            "seeds/metrics.csv line 39: metric 'not_used' is on no scorecard, so it is not published",
        ),
        (
            "playbook_conditions",
            "",
            "ask_review,nps_180d,<,50",
            "seeds/playbooks.csv line 18: playbook 'ask_review' never holds: nps_180d >= 50 and nps_180d < 50 cannot be true",
        ),
        (
            "playbook_conditions",
            "",
            "ask_review,tier,=,poor",
            "seeds/playbooks.csv line 18: playbook 'ask_review' never holds: tier = healthy and tier = poor cannot be true",
        ),
        (
            "playbook_conditions",
            "",
            "ask_review,health_score,>,100",
            "seeds/playbooks.csv line 18: playbook 'ask_review' never holds: health_score > 100 cannot be true",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_warning(lint: Change, seed: str, old: str, new: str, expected: str) -> None:
    [warning] = lint(seed, old=old, new=new)
    assert warning.startswith(expected)


def test_two_playbooks_with_the_same_conditions_contradict(lint: Change) -> None:
    lint("playbooks", new="call_them,Call them,2,2,,A ticket waits.", check=False)
    [warning] = lint("playbook_conditions", new="call_them,critical_open_tickets,>=,1")
    assert "playbook 'call_them' has the conditions of 'resolve_critical' (line 2), so it asks for two things at once" in warning


def test_a_margin_wider_than_a_tier_and_a_tier_that_no_scorecard_has(lint: Change) -> None:
    text = (PROJECT_ROOT / "seeds" / "scorecards.csv").read_text(encoding="utf-8")
    header, *lines = text.splitlines()
    place = header.split(",").index("tier_margin")
    wide = ",".join("31" if column == place else cell for column, cell in enumerate(lines[0].split(",")))
    found = lint("scorecards", old=lines[0], new=wide)
    assert [line.partition(":")[0] for line in found] == ["seeds/scorecards.csv line 2"] * 2
    assert "tier_margin 31 is wider than the tier at_risk, which reaches from 40 to 70" in found[1]
    lint("scorecards", old=wide, new=lines[0])
    for card in ("onboarding", "standard"):
        found = lint("tiers", old=f"2026.1,{card},at_risk,yellow,40,0.25\n", new="")
    assert [line.partition(": ")[2] for line in found if "alert_rules" in line] == [
        "the rule never holds: no scorecard has the tier at_risk. Correct the tier, or remove the rule"
    ] * 2


def test_conditions_of_one_field_hold_together_or_not() -> None:
    assert can_hold([(">", 1), ("<", 2)]) and can_hold([(">=", 1), ("<=", 1)]) and can_hold([("!=", 1)], (0, 1))
    assert not can_hold([(">", 1), ("<", 1)]) and not can_hold([(">=", 1), ("<", 1)]) and not can_hold([("=", 1), ("!=", 1)])
    assert not can_hold([("=", 2), ("=", 1)]) and not can_hold([(">", 1)], (0, 1)) and can_hold([(">=", 1)], (0, 1))
