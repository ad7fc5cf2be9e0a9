"""Rules that make no sense are named before a run, with file and line: mistakes stop it, what somebody may mean is a warning."""

import csv
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from orchestration.run_guard import check_configuration
from orchestration.scorecard import ConfigurationError
from orchestration.scorecard.lint import can_hold
from orchestration.settings import PROJECT_ROOT, load_settings
from tests.forked import health

CONFIG = """\
[pipeline]
start_date = 2026-01-01
end_date = 2026-06-29
seeds_dir = "seeds"

[sources.accounts]
connector = "files"
path = "accounts.csv"

[alerts]
webhook = { env = "HOOK" }
"""


class Seeds:
    """A copy of the shipped seeds, to be spoiled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "seeds").mkdir()
        for path in (PROJECT_ROOT / "seeds").glob("*.csv"):
            (folder / "seeds" / path.name).write_bytes(path.read_bytes())
        (folder / "accounts.csv").write_text("account_id,account_name,created_at\na1,One,2025-01-01\n")
        (folder / "health.toml").write_text(CONFIG)

    def rows(self, seed: str) -> list[dict[str, str]]:
        with open(self.folder / "seeds" / f"{seed}.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def write(self, seed: str, rows: list[dict[str, str]]) -> None:
        with open(self.folder / "seeds" / f"{seed}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def place(self, seed: str, begin: str) -> int:
        """Of the one row that begins with these cells."""
        [place] = [place for place, row in enumerate(self.rows(seed)) if f"{','.join(row.values())},".startswith(f"{begin},")]
        return place

    def line(self, seed: str, begin: str) -> str:
        return f"seeds/{seed}.csv line {self.place(seed, begin) + 2}: "

    def change(self, seed: str, begin: str, **cells: str) -> None:
        rows = self.rows(seed)
        rows[self.place(seed, begin)] |= cells
        self.write(seed, rows)

    def add(self, seed: str, text: str) -> None:
        rows = self.rows(seed)
        cells = text.split(",")
        self.write(seed, [*rows, dict(zip(rows[0], [*cells, *[""] * (len(rows[0]) - len(cells))], strict=True))])

    def remove(self, seed: str, begin: str) -> None:
        rows = self.rows(seed)
        del rows[self.place(seed, begin)]
        self.write(seed, rows)

    def add_card(self, card: str, *bands: tuple[int, int]) -> None:
        """A scorecard with one metric, the active days, in bands."""
        self.add("scorecards", f"2026.1,{card},{card},30,{card},*,,,,")
        self.add("scorecard_dimensions", f"2026.1,{card},adoption,1")
        self.add("scorecard_metrics", f"2026.1,{card},active_days_28d,1,bands")
        for lower_bound, score in bands:
            self.add("metric_bands", f"2026.1,{card},active_days_28d,{lower_bound},{score}")

    def add_version(self, valid_from: str, status: str) -> None:
        """All rules of 2026.1 as version 2026.2, too."""
        self.add("config_versions", f"2026.2,{valid_from},{status}")
        for seed in ("scorecards", "scorecard_dimensions", "scorecard_metrics", "metric_bands", "score_caps", "tiers"):
            rows = self.rows(seed)
            self.write(seed, rows + [row | {"config_version": "2026.2"} for row in rows])

    def check(self) -> list[str]:
        return check_configuration(load_settings(self.folder / "health.toml"))

    def command(self, name: str) -> CompletedProcess[str]:
        return health(self.folder / "health.toml", name)


@pytest.fixture
def seeds(tmp_path: Path) -> Seeds:
    return Seeds(tmp_path)


def test_the_shipped_scorecard_is_clean(seeds: Seeds) -> None:
    assert seeds.check() == []


def test_mistakes_stop_a_run_before_anything_is_written(seeds: Seeds) -> None:
    seeds.change("score_caps", "2026.1,standard,pulse_low", operator="<", threshold="1")
    seeds.change("scorecard_metrics", "2026.1,standard,active_days_28d", worst="30", best="60")
    seeds.add_card("low", (0, 20), (10, 60))
    seeds.add_card("high", (0, 80), (10, 100))
    for card in ("standard", "onboarding"):
        seeds.remove("tiers", f"2026.1,{card},at_risk")
    for card in ("low", "high"):
        seeds.add("tiers", f"2026.1,{card},healthy,green,70")
        seeds.add("tiers", f"2026.1,{card},poor,red,0")
    seeds.add("metrics", "not_used,voice,Not used")
    for condition in (
        "prepare_renewal,not_used.score,>,50",
        "ask_pain_point,scorecard_key,=,standart",
        "offer_upgrade,health_score,>,100",
        "ask_case_study,tier,=,poor",
        "ask_review,nps_180d,<,50",
    ):
        seeds.add("playbook_conditions", condition)
    remedy = "Change where it begins, or what the metrics can score"
    expected = [
        seeds.line("score_caps", "2026.1,standard,pulse_low")
        + "cap 'pulse_low' never binds: csm_pulse < 1 cannot hold, as the metric lies within 1 to 5. Change the threshold, or remove it",
        seeds.line("scorecard_metrics", "2026.1,standard,active_days_28d")
        + "metric 'active_days_28d' has worst 30 and best 60, but it lies within 0 to 28, so it scores 0 for every account. "
        + "Give values within",
        seeds.line("tiers", "2026.1,low,healthy")
        + f"no score reaches the tier healthy, which begins at 70: the metrics and caps of the scorecard give at most 60. {remedy}",
        seeds.line("tiers", "2026.1,high,poor")
        + f"no score reaches the tier poor, which begins at 0: the metrics and caps of the scorecard give 80 or more. {remedy}",
        seeds.line("playbooks", "prepare_renewal")
        + "playbook 'prepare_renewal' never holds: not_used is on no scorecard, so it has no value. Add it to seeds/scorecard_metrics.csv",
        *(
            seeds.line("playbooks", playbook) + f"playbook '{playbook}' never holds: {said} cannot be true. Correct the condition"
            for playbook, said in (
                ("ask_pain_point", "scorecard_key = standart"),
                ("offer_upgrade", "health_score > 100"),
                ("ask_case_study", "tier = healthy and tier = poor"),
                ("ask_review", "nps_180d >= 50 and nps_180d < 50"),
            )
        ),
        seeds.line("alert_rules", "tier_at_risk")
        + "the rule never holds: no scorecard has the tier at_risk. Correct the tier, or remove the rule",
    ]
    found = seeds.command("run")
    assert (found.returncode, found.stderr.splitlines()) == (2, expected)
    assert not (seeds.folder / "data").exists()


def test_what_somebody_may_mean_is_a_warning(seeds: Seeds) -> None:
    seeds.change("score_caps", "2026.1,standard,pulse_low", operator="<=", threshold="5")
    seeds.change("score_caps", "2026.1,standard,escalated", max_score="100")
    seeds.change("scorecard_metrics", "2026.1,standard,active_days_28d", worst="16", best="0")
    seeds.change("scorecard_metrics", "2026.1,standard,stickiness_28d", method="linear", worst="0", best="1.5")
    seeds.add_card("mine", (0, 20), (10, 80), (29, 100))
    seeds.change("scorecards", "2026.1,onboarding", tier_margin="31")
    seeds.add("metrics", "not_used,voice,Not used")
    seeds.add("playbooks", "call_them,Call them,2")
    seeds.add("playbook_conditions", "call_them,critical_open_tickets,>=,1.0")
    seeds.add("playbooks", "call_now,Call now,2")
    seeds.add("playbook_conditions", "call_now,critical_open_tickets,>,3")
    seeds.add("playbook_conditions", "call_now,tier,=,poor")
    seeds.add("alert_rules", "large,Large,tier_worsened,,poor,,,,100000,,")
    seeds.add("alert_rules", "to_slack,To Slack,drift_seen,,,,,,,slack,")
    expected = [
        seeds.line("score_caps", "2026.1,standard,escalated")
        + "cap 'escalated' never binds: no score is above 100. Give a lower max_score, or remove it",
        seeds.line("score_caps", "2026.1,standard,pulse_low")
        + "cap 'pulse_low' holds for every account: csm_pulse <= 5 always holds, as the metric lies within 1 to 5. Change the threshold",
        seeds.line("scorecard_metrics", "2026.1,standard,active_days_28d")
        + "metric 'active_days_28d' has worst 16 and best 0, but higher is better in seeds/metrics.csv. "
        + "Swap worst and best, or correct it there",
        seeds.line("scorecard_metrics", "2026.1,standard,stickiness_28d")
        + "metric 'stickiness_28d' has best 1.5, which it never reaches: it lies within 0 to 1. Give a value within",
        seeds.line("metric_bands", "2026.1,mine,active_days_28d,29")
        + "metric 'active_days_28d' has a band from 29 on, which it never reaches: it lies within 0 to 28. "
        + "Give a lower bound, or remove it",
        seeds.line("scorecards", "2026.1,onboarding")
        + "tier_margin 31 is wider than the tier healthy, which reaches from 70 to 100: a score rises into it only by leaving it. "
        + "Give a smaller margin",
        seeds.line("scorecards", "2026.1,onboarding")
        + "tier_margin 31 is wider than the tier at_risk, which reaches from 40 to 70: a score rises into it only by leaving it. "
        + "Give a smaller margin",
        seeds.line("metrics", "not_used")
        + "metric 'not_used' is on no scorecard, so it is not published. "
        + "Add it to seeds/scorecard_metrics.csv, with weight 0 to only show it",
        seeds.line("playbooks", "call_them")
        + "playbook 'call_them' holds whenever 'resolve_critical' (line 2) does and never else, so both ask for one account at once. "
        + "Merge them, or tell them apart by a condition or priority",
        seeds.line("playbooks", "call_now")
        + "whenever playbook 'call_now' holds, 'call_them' (line 21) holds too, and their priority says not which comes first. "
        + "Merge them, or tell them apart by a condition or priority",
        seeds.line("alert_rules", "large")
        + "the rule never holds: arr comes from subscriptions, which no source fills. Add the source, or leave min_arr blank",
        seeds.line("alert_rules", "to_slack")
        + "what the rule finds is sent nowhere: [alerts] has no address for slack. Add it, or change the channel",
    ]
    assert sorted(seeds.check()) == sorted(expected)
    found = seeds.command("check")
    assert found.returncode == 0, found.stderr
    assert set(expected) <= set(found.stdout.splitlines())


@pytest.mark.parametrize(
    ("valid_from", "status", "stops"), [("2026-06-29", "active", False), ("2026-06-30", "active", True), ("2026-01-01", "candidate", True)]
)
def test_only_versions_that_still_score_can_stop_a_run(seeds: Seeds, valid_from: str, status: str, stops: bool) -> None:
    seeds.add_version(valid_from, status)
    seeds.change("score_caps", "2026.1,standard,pulse_low", operator="<", threshold="1")
    if stops:
        with pytest.raises(ConfigurationError, match="^seeds/score_caps.csv line 19: cap 'pulse_low' never binds"):
            seeds.check()
        seeds.change("score_caps", "2026.1,standard,pulse_low", operator="<=", threshold="2")
        seeds.change("score_caps", "2026.2,standard,pulse_low", operator="<", threshold="1")
        with pytest.raises(ConfigurationError, match=r"^seeds/score_caps.csv line \d+: cap 'pulse_low' never binds"):
            seeds.check()
    else:
        [warning] = seeds.check()
        assert warning.startswith("seeds/score_caps.csv line 19: cap 'pulse_low' never binds")


def test_seeds_from_before_the_ranges_are_not_held_to_them(seeds: Seeds) -> None:
    rows = seeds.rows("metrics")
    seeds.write("metrics", [{name: cell for name, cell in row.items() if name not in ("lowest", "highest")} for row in rows])
    seeds.change("score_caps", "2026.1,standard,pulse_low", operator="<", threshold="1")
    seeds.change("scorecard_metrics", "2026.1,standard,active_days_28d", worst="30", best="60")
    assert seeds.check() == []


def test_the_shipped_alert_rules_are_nobodys_mistake(seeds: Seeds) -> None:
    (seeds.folder / "seeds" / "alert_rules.csv").unlink()
    for card in ("standard", "onboarding"):
        seeds.remove("tiers", f"2026.1,{card},at_risk")
    assert seeds.check() == []


def test_a_range_without_values_is_refused(seeds: Seeds) -> None:
    seeds.change("metrics", "csm_pulse", lowest="5", highest="1")
    with pytest.raises(ConfigurationError, match="seeds/metrics.csv line 36: lowest '5' is not below highest '1'"):
        seeds.check()


def test_conditions_of_one_field_hold_together_or_not() -> None:
    assert can_hold([(">", 1), ("<", 2)]) and can_hold([(">=", 1), ("<=", 1)]) and can_hold([("!=", 1)], (0, 1))
    assert not can_hold([(">", 1), ("<", 1)]) and not can_hold([(">=", 1), ("<", 1)]) and not can_hold([("=", 1), ("!=", 1)])
    assert not can_hold([("=", 2), ("=", 1)]) and not can_hold([(">", 1)], (0, 1)) and can_hold([(">=", 1)], (0, 1))
