"""Each kind of alert rule on marts written by hand: what it finds, from which day on, and the reason it gives."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from orchestration.alert_rules import AlertRule
from orchestration.publish.alerts.evaluate import Alert, find_alerts, find_alerts_of_today
from orchestration.publish.alerts.mart import AccountDay, PublishedMart, Rise
from tests.alert_mart import account, account_day, publish_mart

from .conftest import make_settings

DAY = date(2026, 6, 29)
WORSENED = AlertRule("worse", "Worse", "tier_worsened")
FELL = AlertRule("fell", "Fell", "score_fell", points=10, days=7)
RENEWAL = AlertRule("renewal", "Renewal", "renewal_near", tier="poor", days=90)
CHAMPION = AlertRule("champion", "Champion", "champion_left")
LATE = AlertRule("late", "Late", "source_late")
DRIFT = AlertRule("drift", "Drift", "drift_seen")

Find = Callable[..., list[Alert]]


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """The alerts of one rule in a mart of these rows, from `first` on (by default the newest day alone)."""

    def run(rule: AlertRule, first: date = DAY, **tables: list[dict[str, Any]]) -> list[Alert]:
        settings = make_settings(tmp_path)
        publish_mart(settings, 1, DAY, tables)
        with PublishedMart(settings, settings.published / "current") as mart:
            return find_alerts(mart, settings, {rule: first})

    return run


def ids(alerts: list[Alert]) -> list[str]:
    return [alert.account.account_id for alert in alerts if alert.account is not None]


class TestTierWorsened:
    def test_the_accounts_whose_tier_became_worse_on_the_day(self, find: Find) -> None:
        changed = {
            "worse": ("at_risk", "poor", 0),
            "better": ("poor", "at_risk", 0),
            "earlier": ("at_risk", "poor", 1),
            "no_data": ("healthy", "unknown", 0),
        }
        alerts = find(
            WORSENED,
            account_health=[
                *(
                    account(name, tier=now, previous_tier=before, tier_since=ago(n), health_score=35.5)
                    for name, (before, now, n) in changed.items()
                ),
                account("new", tier="poor", tier_since=DAY),
            ],
            account_health_history=[account_day(ago(2), name, tier=before) for name, (before, _, _) in changed.items()],
            tier_changes=[
                {"account_id": "worse", "as_of_date": DAY, "from_tier": "at_risk", "to_tier": "poor", "cause": "score"}
                | {"k": 7, "reason": "Net promoter score", "points": -4.34}
            ],
        )
        [alert] = alerts
        assert ids(alerts) == ["worse"]
        assert (alert.text, alert.since) == ("At risk → Poor, score 35.5", DAY)
        assert alert.reason == "Net promoter score (−4.3 points in 7 days)"

    def test_data_that_came_or_went_worsens_nobody(self, find: Find) -> None:
        change = {"as_of_date": DAY, "from_tier": "healthy", "to_tier": "at_risk", "cause": "score", "k": 7, "reason": "r", "points": -9.0}
        alerts = find(
            WORSENED,
            account_health=[account(name, tier="at_risk", previous_tier="healthy", tier_since=DAY) for name in ("feed", "use")],
            account_health_history=[account_day(ago(1), name) for name in ("feed", "use")],
            tier_changes=[
                change | {"account_id": "feed", "component": "availability"},
                change | {"account_id": "use", "component": "behaviour", "metric_key": "active_days_28d"},
                change | {"account_id": "use", "component": "availability", "as_of_date": ago(30)},
            ],
        )
        assert ids(alerts) == ["use"]

    def test_days_without_data_between_two_tiers_say_nothing(self, find: Find) -> None:
        tiers = {"worse": ("healthy", "at_risk"), "same": ("poor", "poor"), "never_known": (None, "poor")}
        history = [account_day(ago(1), name, tier="unknown") for name in tiers]
        history += [account_day(ago(2), name, tier=before) for name, (before, _) in tiers.items() if before]
        newest = [account(name, tier=now, previous_tier="unknown", tier_since=DAY) for name, (_, now) in tiers.items()]
        [alert] = find(WORSENED, account_health=newest, account_health_history=history)
        assert ids([alert]) == ["worse"] and alert.text.startswith("Healthy → At risk")

    def test_too_little_data_is_reported_where_a_rule_asks_for_it_but_not_a_late_feed(self, find: Find) -> None:
        [alert] = find(
            AlertRule("grey", "Grey", "tier_worsened", tier="unknown"),
            account_health=[
                account("a1", tier="unknown", previous_tier="healthy", tier_since=DAY),
                account("a2", tier="poor", previous_tier="healthy", tier_since=DAY),
                # Its tier was held while data was late, and the data stayed late.
                account("a3", tier="unknown", previous_tier="healthy", tier_since=DAY),
            ],
            account_health_history=[account_day(ago(1), name, is_tier_held=name == "a3") for name in ("a1", "a2", "a3")],
            tier_changes=[
                {"account_id": "a1", "as_of_date": DAY, "from_tier": "healthy", "to_tier": "unknown", "cause": "coverage"}
                | {"reason": "Too little could be measured", "k": 7, "component": "availability", "points": -3.0}
            ],
        )
        assert (ids([alert]), alert.reason) == (["a1"], "Too little could be measured")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"cause": "override", "reason": "Set by a person: Champion left"}, "Set by a person: Champion left"),
            ({"cause": "override_ended", "reason": "A tier set by a person ended"}, "A tier set by a person ended"),
            (
                {"cause": "score", "k": 28, "component": "cap", "points": -18.3, "reason": "A critical ticket is open."},
                "A critical ticket is open (−18.3 points in 28 days)",
            ),
            ({"cause": "score", "reason": "No single change"}, "No single change"),
        ],
    )
    def test_the_reason_is_what_made_the_change(self, find: Find, change: dict[str, Any], reason: str | None) -> None:
        [alert] = find(
            WORSENED,
            first=ago(1),
            account_health=[account(tier="poor", previous_tier="healthy", tier_since=ago(1))],
            account_health_history=[account_day(ago(2)), account_day(ago(1), tier="poor")],
            tier_changes=[{"account_id": "a1", "as_of_date": ago(1), "from_tier": "healthy", "to_tier": "poor"} | change],
        )
        assert alert.reason == reason


class TestScoreFell:
    def test_by_exactly_so_many_points_counts(self, find: Find) -> None:
        deltas = {"exactly": -10.0, "less": -9.9, "more": -30.0, "rose": 10.0, "new": None}
        alerts = find(FELL, account_health=[account(name, delta_7d=delta, delta_28d=-50.0) for name, delta in deltas.items()])
        assert sorted(ids(alerts)) == ["exactly", "more"]
        assert {alert.text for alert in alerts} == {
            "Score 80.0 (−10.0 points in 7 days), Healthy", "Score 80.0 (−30.0 points in 7 days), Healthy",
        }  # fmt: skip

    def test_data_that_came_or_went_counts_neither_way(self, find: Find) -> None:
        # Delta, and what data that came or went did of it. What is reported is what counted.
        moved = {"feed": (-30.0, -25.04), "both": (-30.0, -20.0), "hidden": (2.0, 12.04)}
        days = {name: {"delta_7d": delta, "availability_7d": by_data} for name, (delta, by_data) in moved.items()}
        alerts = find(
            FELL,
            first=ago(9),
            account_health=[account(name, **columns) for name, columns in days.items()],
            account_health_history=[
                account_day(ago(1), "both", delta_7d=-30.0, availability_7d=-25.0),
                account_day(ago(1), "hidden", **days["hidden"]),
            ],
            score_changes=[
                {"account_id": "both", "as_of_date": DAY, "k": 7, "component": "availability", "points": -20.0},
                {"account_id": "both", "as_of_date": DAY, "k": 7, "component": "behaviour", "label": "Use", "points": -10.0},
            ],
        )
        assert {alert.account.account_id: ((DAY - alert.since).days, alert.reason) for alert in alerts if alert.account} == {
            "both": (0, "Use (−10.0 points in 7 days)"), "hidden": (1, None),
        }  # fmt: skip
        assert {alert.text for alert in alerts} == {"Score 80.0 (−10.0 points in 7 days), Healthy"}

    def test_a_fall_lasts_as_long_as_it_is_true_on_every_scored_day(self, find: Find) -> None:
        # Deltas of the days before, newest first; None: not scored seven days earlier. A gap in the days breaks nothing.
        before = {
            "since_today": {1: -9.9, 2: -12.0},
            "since_3_days": {1: -10.0, 3: -15.0, 4: 0.0},
            "after_no_delta": {1: -11.0, 2: None, 3: -11.0},
            "always": {1: -11.0, 2: -11.0},
        }
        history = [account_day(ago(n), name, delta_7d=delta) for name, days in before.items() for n, delta in days.items()]
        alerts = find(FELL, first=ago(9), account_health=[account(name, delta_7d=-20.0) for name in before], account_health_history=history)
        assert {alert.account.account_id: (DAY - alert.since).days for alert in alerts if alert.account} == {
            "since_today": 0, "since_3_days": 3, "after_no_delta": 1, "always": 2,
        }  # fmt: skip

    def test_a_fall_that_began_before_is_not_reported(self, find: Find) -> None:
        assert find(FELL, account_health=[account(delta_7d=-20.0)], account_health_history=[account_day(ago(1), delta_7d=-20.0)]) == []

    def test_the_reason_is_what_took_most_not_what_moved_most(self, find: Find) -> None:
        change = {"account_id": "a1", "as_of_date": DAY, "k": 7, "component": "behaviour"}
        [alert] = find(
            FELL,
            account_health=[account(delta_7d=-10.0)],
            score_changes=[
                change | {"metric_key": "csm_pulse", "points": 12.0},
                change | {"metric_key": "nps_180d", "points": -9.0},
                change | {"metric_key": "overdue_ratio", "label": "Overdue amount.", "points": -13.0},
                change | {"metric_key": "nps_180d", "points": -40.0, "k": 28},
                change | {"metric_key": "nps_180d", "points": -40.0, "as_of_date": ago(1)},
            ],
        )
        assert alert.reason == "Overdue amount (−13.0 points in 7 days)"


class TestRenewalNear:
    @pytest.mark.parametrize(("left", "is_found"), [(90, True), (91, False), (-1, False)])
    def test_the_day_that_is_so_many_days_before(self, find: Find, left: int, is_found: bool) -> None:
        assert bool(find(RENEWAL, account_health=[account(tier="poor", term_ends_on=DAY + timedelta(days=left))])) is is_found

    def test_near_for_long_but_poor_since_today(self, find: Find) -> None:
        near = {"term_ends_on": DAY + timedelta(days=1), "health_score": 20.0}
        weakest = {"negative_1_label": "Active days", "negative_1_points": -12.34, "negative_1_value": "0 days"}
        alerts = find(
            RENEWAL,
            account_health=[
                account("today", tier="poor", tier_since=DAY, **near, **weakest),
                account("for_long", tier="poor", tier_since=ago(5), **near),
                account("at_risk", tier="at_risk", tier_since=DAY, **near),
                account("no_term", tier="poor", tier_since=DAY),
            ],
        )
        [alert] = alerts
        assert (ids(alerts), alert.since) == (["today"], DAY)
        assert alert.text == "Term ends on 2026-06-30, in 1 day; Poor, score 20.0"
        assert alert.reason == "Active days: 0 days (−12.3 points)"

    def test_the_last_day_of_the_term_counts(self, find: Find) -> None:
        assert len(find(RENEWAL, account_health=[account(tier="poor", tier_since=DAY, term_ends_on=DAY)])) == 1


def test_a_champion_left_and_nobody_took_their_place(find: Find) -> None:
    # By days ago, newest first; None: no value.
    lost = {"today": [1, 0], "two_days": [1, 2, 1, None, 1], "again": [1, 0, 1], "replaced": [0, 1], "never": [None, 1], "before": [1] * 9}
    values = [
        {"account_id": name, "as_of_date": ago(days), "metric_key": key, "value": value}
        for name, counts in lost.items()
        for days, value in enumerate(counts)
        for key in ("champions_left_90d", "champion_days_silent")
    ]
    alerts = find(CHAMPION, first=ago(5), account_health=[account(name) for name in lost], metric_scores_history=values)
    assert {alert.account.account_id: (DAY - alert.since).days for alert in alerts if alert.account} == {
        "today": 0, "two_days": 2, "again": 0,
    }  # fmt: skip
    assert {alert.text for alert in alerts} == {"A champion left and nobody took their place; Healthy, score 80.0"}


class _Today:
    """What a mart says of the running day, in which everything got worse for one account."""

    def has_today(self) -> bool:
        return True

    def accounts(self) -> list[AccountDay]:
        return [AccountDay("a1", None, None, None, None, 80.0, "healthy", None, DAY, *[None] * 8)]

    def rises_today(self, metric: str) -> list[Rise]:
        return [Rise("a1", DAY + timedelta(days=1), DAY, datetime(2026, 6, 30, 9), 0, 1)]

    falls_today = rises_today

    def label_of(self, metric: str) -> str:
        return metric


def test_what_today_told_the_daily_run_does_not_tell_again() -> None:
    def again(today: AlertRule, *daily: AlertRule) -> list[str]:
        [alert] = find_alerts_of_today(cast(PublishedMart, _Today()), [*daily, today])
        return [one.rule.key for one in alert.covers]

    fell, left = AlertRule("today_fell", "", "today", points=10), AlertRule("today_left", "", "today", metric_key="champions_left_90d")
    falls = [replace(FELL, key=f"by_{points}", points=points) for points in (5, 10, 11)]
    assert again(fell, CHAMPION, *falls, RENEWAL) == ["by_5", "by_10"]
    assert again(left, CHAMPION, *falls, RENEWAL) == ["champion"]
    assert again(AlertRule("critical", "", "today", metric_key="critical_open_tickets"), CHAMPION, *falls) == []
    # Whoever was not told is told by the daily run.
    assert again(replace(left, channel="slack"), CHAMPION) == []
    assert again(replace(left, channel="slack"), replace(CHAMPION, channel="slack")) == ["champion"]


class TestFilters:
    def test_segment_and_arr(self, find: Find) -> None:
        rule = AlertRule("big", "Big", "score_fell", points=10, days=7, segment="enterprise", min_arr=50_000)
        accounts = {
            "exactly": ("enterprise", 50_000.0),
            "small": ("enterprise", 49_999.99),
            "not_known": ("enterprise", None),
            "other": ("smb", 90_000.0),
            "none": (None, 90_000.0),
        }
        rows = [account(name, delta_7d=-20.0, segment=segment, arr=arr) for name, (segment, arr) in accounts.items()]
        assert ids(find(rule, account_health=rows)) == ["exactly"]

    def test_the_largest_come_first(self, find: Find) -> None:
        rows = [account(name, delta_7d=-20.0, arr=arr) for name, arr in {"a": None, "b": 5.0, "c": 70.0}.items()]
        assert ids(find(FELL, account_health=rows)) == ["c", "b", "a"]


class TestSourceLate:
    @pytest.mark.parametrize(
        ("row", "text"),
        [
            ({"status": "late", "late_since": DAY}, "tickets has nothing newer than 2026-06-26; its metrics are late"),
            ({"status": "not read", "late_since": ago(1)}, "tickets was read up to 2026-06-27 only; its metrics are late"),
            (
                {"status": "not read", "late_since": DAY, "newest_fact_at": None},
                "tickets was read up to 2026-06-27 only; its metrics are late",
            ),
            (
                {"status": "not read", "late_since": ago(1), "not_read_reason": "down"},
                "tickets was read up to 2026-06-27 only; its metrics are late",
            ),
            (
                {"status": "not read", "late_since": DAY, "extracted_through_date": DAY, "not_read_reason": "4 of 38 rows"},
                "tickets was refused, so the old rows stay",
            ),
            (
                {"status": "not read", "late_since": DAY, "extracted_through_date": None, "not_read_reason": "down"},
                "tickets could not be read yet; its metrics are missing",
            ),
            ({"status": "late", "late_since": ago(2)}, None),
            ({"status": "up to date", "late_since": None}, None),
            ({"status": "no data", "late_since": None, "newest_fact_at": None}, None),
        ],
    )
    def test_since_when_and_why(self, find: Find, row: dict[str, Any], text: str | None) -> None:
        known = {"raw_table": "tickets", "newest_fact_at": datetime(2026, 6, 26, 23), "extracted_through_date": ago(2)}
        alerts = find(LATE, first=ago(1), account_health=[account()], data_freshness=[known | row])
        said = [(alert.text, alert.reason, alert.since, alert.raw_table) for alert in alerts]
        assert said == ([] if text is None else [(text, row.get("not_read_reason"), row["late_since"], "tickets")])


def test_drift_is_reported_where_nothing_explains_it(find: Find) -> None:
    jump = {"as_of_date": DAY, "metric_key": "nps_180d", "message": "Net promoter score moved up for 90% of 50 accounts"}
    alerts = find(
        DRIFT,
        account_health=[account()],
        metric_drift=[jump, jump | {"metric_key": "csm_pulse", "explanation": "Released"}, jump | {"as_of_date": ago(1)}],
    )
    [alert] = alerts
    assert (alert.metric_key, alert.text) == ("nps_180d", "2026-06-29: Net promoter score moved up for 90% of 50 accounts")
