"""The oracle itself, by numbers worked out by hand from docs/scoring.md. The day is 2024-03-31, in a leap year:

W28 = 03-04 .. 03-31    P28 = 02-05 .. 03-03    84 days before W28 = 2023-12-11 .. 03-03
30 days from 03-02      90 days from 01-02      180 days from 2023-10-04      365 days from 2023-04-02
"""

import math
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.oracle.cards import DEFAULT_TIERS, Cap, CardMetric, Scorecard, Tier, Version, read_versions, version_on
from tests.oracle.metrics import METRICS, AccountDay, Measure, measure, measured
from tests.oracle.raw import SCHEMA, Bad, Raw, _one_file, clean, load, parse
from tests.oracle.score import (
    History,
    binding_cap,
    candidate_scores,
    covered,
    normalize,
    percentile_of,
    population,
    published,
    quantile_tier,
    score_day,
    stage_of,
    threshold_tier,
    weigh,
)
from tests.oracle.worlds import ANCHORS, build_world

D = date(2024, 3, 31)
FX = [
    {"currency": "EUR", "valid_from": date(2020, 1, 1), "rate": Fraction("1.1")},
    {"currency": "EUR", "valid_from": date(2024, 1, 1), "rate": Fraction("1.2")},
]


def texts(header: str, *lines: str) -> list[dict[str, str | None]]:
    """Rows from a header and lines; cells are parted by commas, `-` is a blank."""
    names = header.split()
    return [dict(zip(names, (None if cell.strip() == "-" else cell.strip() for cell in line.split(",")), strict=True)) for line in lines]


def world(created: str = "2022-01-01", **tables: list[dict[str, str | None]]) -> Raw:
    """Account a (and b, of the same age), with given raw tables."""
    return clean({"accounts": texts("account_id account_name created_at", f"a,A,{created}", f"b,B,{created}"), **tables}, FX)


def get(key: str, raw: Raw, account_id: str = "a", d: date = D) -> Measure:
    account = next(row for row in raw.all("accounts") if row["account_id"] == account_id)
    return measure(raw, account, key, d)


def number(text: str) -> Measure:
    return measured(Fraction(text))


def state(name: str) -> Measure:
    return Measure(name)


def filled(header: str, *lines: str) -> list[dict[str, str | None]]:
    """Rows of lines that may leave out their last cells."""
    return texts(header, *(line + ",-" * (len(header.split()) - 1 - line.count(",")) for line in lines))


def events(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `account,user,time[,feature[,seconds]]`."""
    header = "event_id account_id user_id occurred_at feature duration_seconds"
    return filled(header, *(f"e{i},{x}" for i, x in enumerate(lines)))


# Keeps the feed from being late without being a's.
OF_B = "b,u9,2024-03-31"


def subscriptions(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `account,seats,mrr,currency,started_on,ended_on,term_ends_on[,is_trial]`, of different ids."""
    header = "subscription_id account_id seats mrr currency started_on ended_on term_ends_on is_trial"
    return filled(header, *(f"s{i},{line}" for i, line in enumerate(lines)))


def invoices(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `account,issued_on,due_on,paid_on,amount,currency,voided_on[,open_amount[,written_off_on]]`."""
    header = "invoice_id account_id issued_on due_on paid_on amount currency voided_on open_amount written_off_on"
    return filled(header, *(f"i{i},{line}" for i, line in enumerate(lines)))


def tickets(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `account,opened,replied,resolved,priority,topic,escalated`."""
    header = "ticket_id account_id opened_at first_replied_at resolved_at priority topic escalated_at"
    return texts(header, *(f"t{i},{line}" for i, line in enumerate(lines)))


def surveys(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `user,survey,score,time`, all of account a."""
    return texts("response_id account_id user_id survey score responded_at", *(f"r{i},a,{x}" for i, x in enumerate(lines)))


def touchpoints(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `direction,minutes,responded,sentiment,time`, all of account a."""
    header = "touchpoint_id account_id channel direction duration_minutes responded sentiment occurred_at"
    return texts(header, *(f"c{i},a,email,{line}" for i, line in enumerate(lines)))


def goals(*lines: str) -> list[dict[str, str | None]]:
    """Lines of `goal,day,target,actual,delivered`, all of account a."""
    return texts("account_id goal_id measured_on target_value actual_value value_delivered", *(f"a,{x}" for x in lines))


# -- docs/scoring.md, "Raw tables" and "Scored population"


def test_quarantine_then_last_wins_then_orphans() -> None:
    raw = world(
        csm_pulses=texts(
            "pulse_id account_id rated_at rating",
            "p1,a,2024-03-01,1",
            "p1,a,2024-03-01,4",
            "p1,a,2024-03-01,6",  # outside 1 to 5: the row before it stays the last
            "p2,ghost,2024-03-01,5",
            "-,a,2024-03-01,5",
        )
    )
    assert [(row["pulse_id"], row["rating"]) for row in raw.all("csm_pulses")] == [("p1", 4)]
    assert [reason for _, reason in raw.quarantined["csm_pulses"]] == ["rating: outside its range", "pulse_id: missing"]
    assert raw.orphans["csm_pulses"] == 1


def test_timestamps_are_utc() -> None:
    raw = world(usage_events=events("a,u,2024-04-01 01:00:00+02:00", "a,u,2024-03-31T23:59:59.999999-00:01"))
    assert [row["day"] for row in raw.all("usage_events")] == [date(2024, 3, 31), date(2024, 4, 1)]


def test_money_takes_the_rate_of_its_own_date() -> None:
    raw = world(
        invoices=invoices(
            "a,2023-12-31,2024-01-09,-,100,eur,-",
            "a,2024-01-01,2024-01-09,-,100,EUR,-",
            "a,2019-12-31,2024-01-09,-,100,EUR,-",
        )
    )
    assert [row["amount"] for row in raw.all("invoices")] == [110, 120]
    assert [reason for _, reason in raw.quarantined["invoices"]] == ["currency: no rate for EUR on issued_on"]


def test_ids(tmp_path: Path) -> None:
    def found(values: str, file: str = "accounts.jsonl") -> list[str]:
        ids = []
        (tmp_path / "accounts.jsonl").write_text("\n".join(f'{{"account_id": {value}}}' for value in values.split()))
        for row in _one_file(tmp_path / file):
            try:
                ids.append(parse("id", row["account_id"]))
            except Bad:
                ids.append("bad")
        return ids

    assert found('1001 "1001" "12e3" "v1.5" "1.2.3" "1-5" "[7"') == [
        "1001",
        "1001",
        "12e3",
        "v1.5",
        "1.2.3",
        "1-5",
        "[7",
    ]
    assert found('1001.5 1001.0 1E5 [7] [] {"id":7}') == ["bad"] * 6
    assert found('"1001.5" "1001.0" "1.5E+15" "1E+15" "[7]" "{}"') == ["bad"] * 6
    pq.write_table(pa.table({"account_id": [7.0, 7.5]}), tmp_path / "accounts.parquet")
    assert found("", "accounts.parquet") == ["7", "bad"]


def test_mail_addresses_are_one_user_in_any_case() -> None:
    raw = world(
        usage_events=events(
            "a,Ann@X.io,2024-03-31",
            "a,ann@x.io,2024-03-30",
            "a,U1,2024-03-30",
            "a,u1,2024-03-30",  # not a mail address: two users
        ),
        survey_responses=surveys("ANN@x.io,nps,0,2024-03-01", "ann@x.io,nps,10,2024-03-02"),
    )
    assert get("active_users_28d", raw) == number("3")
    assert get("nps_180d", raw) == number("100")


def test_scales_of_surveys() -> None:
    answers = surveys("u,csat,1,2024-03-01", "u,csat,0,2024-03-01", "u,csat,10,2024-03-01", "u,ces,7,2024-03-01", "u,nps,0,2024-03-01")
    raw = world(survey_responses=answers)
    assert [row["score"] for row in raw.all("survey_responses")] == [1, 7, 0]
    assert [why for _, why in raw.quarantined["survey_responses"]] == ["score: csat outside 1 to 5"] * 2
    accounts = texts("account_id account_name created_at", "a,A,2022-01-01")
    to_ten = {"csat": (Fraction(0), Fraction(10))}
    raw = clean({"accounts": accounts, "survey_responses": answers}, survey_scales=to_ten)
    # 0 to 10 onto 1 to 5: 1 + 4 x score / 10.
    assert [row["score"] for row in raw.all("survey_responses")] == [Fraction("1.4"), 1, 5, 7, 0]


def test_rows_of_one_subscription() -> None:
    raw = world(
        subscriptions=texts(
            "subscription_id account_id mrr started_on ended_on term_ends_on",
            "s,a,200,2023-01-01,-,2024-12-31",
            "s,a,150,2024-03-01,-,2025-03-01",
            "s,a,999,2024-04-01,-,2026-04-01",  # later than d: d knows nothing of it
            "other,a,7,2023-01-01,2024-03-02,-",
            "s,a,1,2024-03-02,2024-03-01,-",  # ends before it starts: not there, and ends nothing
            "s,ghost,1,2024-03-20,-,-",  # an orphan neither
        )
    )
    a = AccountDay(raw, raw.all("accounts")[0], D)
    assert [a.sum_in_force("mrr", date(2024, *day)) for day in ((2, 29), (3, 1), (3, 31))] == [207, 157, 150]
    assert [why for _, why in raw.quarantined["subscriptions"]] == ["ended_on: before started_on"]
    assert get("days_to_renewal", raw) == number("335")  # to 2025-03-01
    assert get("days_to_renewal", raw, d=date(2024, 2, 29)) == number("306")  # to 2024-12-31


def test_a_trial_is_scored_and_worth_nothing() -> None:
    raw = world(
        subscriptions=subscriptions("a,1,500,-,2024-01-01,-,-,true", "b,1,-,-,2023-01-01,-,-,true", "b,1,5,-,2023-01-01,-,-"),
        invoices=invoices("a,2024-01-01,2024-02-01,-,60,-,-"),
    )
    assert [row["account_id"] for row in population(raw, D)] == ["a", "b"]
    assert [AccountDay(raw, account, D).mrr for account in raw.all("accounts")] == [0, 5]
    assert get("overdue_ratio", raw) == get("mrr_trend_90d", raw) == state("not_applicable")


def test_population() -> None:
    def scored(**tables: list[dict[str, str | None]]) -> list[str]:
        return [row["account_id"] for row in population(world(**tables), D)]

    assert scored(subscriptions=subscriptions("a,-,-,-,2024-03-31,-,-", "b,-,-,-,2024-01-01,2024-03-31,-")) == ["a"]
    assert scored(subscriptions=subscriptions("a,-,-,-,2024-04-01,-,-")) == []
    left = texts("outcome_id account_id occurred_on kind", "o1,a,2024-03-31,churned", "o2,b,2024-04-01,churned")
    assert scored(account_outcomes=left) == ["b"]
    assert scored(account_outcomes=left, subscriptions=subscriptions("ghost,-,-,-,2024-01-01,-,-")) == ["b"]
    assert population(world(created="2024-04-01"), D) == []
    assert len(population(world(created="2024-03-31 23:59:59.999999"), D)) == 2


# -- docs/scoring.md, "Data states"


def test_states_of_tables() -> None:
    assert get("active_days_28d", world()) == state("missing")
    assert get("active_days_28d", world(usage_events=events("b,u,2024-04-01"))) == state("missing")
    assert get("active_days_28d", world(usage_events=events("a,u,2024-03-29"))) == number("1")
    assert get("active_days_28d", world(usage_events=events("a,u,2024-03-28"))) == state("late")
    assert get("csm_pulse", world()) == state("missing")


@pytest.mark.parametrize(
    ("tenure_from", "expected", "since"),
    [("2024-03-01", state("not_applicable"), state("not_applicable")), ("2024-02-29", number("0"), number("31"))],
)
def test_never_used(tenure_from: str, expected: Measure, since: Measure) -> None:
    raw = world(created=tenure_from, usage_events=events(OF_B))
    assert get("active_users_28d", raw) == expected
    assert get("stickiness_28d", raw) == expected
    assert get("active_periods_streak", raw) == expected
    assert get("days_since_last_activity", raw) == since
    assert get("user_retention_28d", raw) == state("not_applicable")
    assert get("minutes_per_active_user_28d", raw) == state("missing")


# -- docs/scoring.md, "Metrics", in its order


def test_adoption_counts_at_the_edges_of_the_windows() -> None:
    raw = world(
        usage_events=events(
            "a,u1,2024-03-03 23:59:59.999999",
            "a,u2,2024-03-04 00:00:00",
            "a,u2,2024-03-31 23:59:59.999999",
            "a,u1,2024-03-31 00:00:00",
            "a,u5,2024-04-01 00:00:00",
        ),
        subscriptions=subscriptions("a,5,-,-,2024-01-01,-,-", "a,3,-,-,2024-01-01,-,-", "a,9,-,-,2024-01-01,2024-03-31,-"),
    )
    assert get("active_days_28d", raw) == number("2")
    assert get("active_users_28d", raw) == number("2")
    assert get("license_utilization_28d", raw) == number("1/4")  # 2 of 5 + 3 seats
    assert get("active_user_trend_28d", raw) == number("1")  # from u1 to u1 and u2
    assert get("stickiness_28d", raw) == number("3/56")  # (1 + 2) / 28 / 2
    assert get("user_retention_28d", raw) == number("1")
    assert get("days_since_last_activity", raw) == number("0")


def test_seats() -> None:
    used = events("a,u1,2024-03-31")
    for seats, expected in (("-", "not_applicable"), ("0", "not_applicable")):
        raw = world(usage_events=used, subscriptions=subscriptions(f"a,{seats},-,-,2024-01-01,-,-"))
        assert get("license_utilization_28d", raw) == state(expected)
    raw = world(usage_events=used, subscriptions=subscriptions("a,-,-,-,2024-01-01,-,-", "a,4,-,-,2024-01-01,-,-"))
    assert get("license_utilization_28d", raw) == number("1/4")


def test_trend_and_baseline_wait_for_tenure() -> None:
    used = events("a,u1,2023-12-11", "a,u1,2024-03-03", "a,u1,2024-03-03", "a,u1,2024-03-31", "a,u1,2023-12-10")
    assert get("active_user_trend_28d", world("2024-02-05", usage_events=used)) == state("not_applicable")  # tenure 55
    assert get("active_user_trend_28d", world("2024-02-04", usage_events=used)) == number("0")
    assert get("usage_vs_baseline_28d", world("2023-12-11", usage_events=used)) == state("not_applicable")  # tenure 111
    assert get("usage_vs_baseline_28d", world("2023-12-10", usage_events=used)) == number("1")  # (1 / 28) / (3 / 84)
    only_now = events("a,u1,2024-03-31", "a,u1,2023-12-10")
    assert get("usage_vs_baseline_28d", world(usage_events=only_now)) == state("not_applicable")


def test_minutes() -> None:
    raw = world(usage_events=events("a,u1,2024-03-04,-,90", "a,u2,2024-03-05,-,-", "a,u1,2024-03-03,-,600"))
    assert get("minutes_per_active_user_28d", raw, d=date(2024, 3, 6)) == number("23/4")  # (90 + 600) / 60 / 2
    raw = world(usage_events=events("a,u1,2024-03-04,-,90", "a,u2,2024-03-05,-,-", OF_B))
    assert get("minutes_per_active_user_28d", raw) == number("3/4")
    assert get("minutes_per_active_user_28d", raw, "b") == state("missing")  # events, none with a duration
    raw = world(usage_events=events("a,u1,2024-03-03,-,90", OF_B))
    assert get("minutes_per_active_user_28d", raw) == number("0")  # nobody active


def test_features() -> None:
    used = events("a,u,2024-01-02,one", "a,u,2024-01-01,two", "b,u,2024-03-31,three", "b,u,2024-03-31,four", "b,u,2024-02-01,one")
    assert get("feature_breadth_90d", world(usage_events=used)) == number("1/3")
    assert get("feature_breadth_90d", world(usage_events=events("a,u,2024-01-01,one", OF_B))) == state("missing")

    def adopted(*releases: str) -> Measure:
        return get(
            "new_feature_adoption_90d",
            world(usage_events=used, feature_releases=texts("feature released_on", *releases)),
        )

    assert adopted() == state("missing")
    assert adopted("one,2024-04-01") == state("missing")
    assert adopted("one,2024-01-01") == state("not_applicable")
    assert adopted("one,2024-01-02", "nine,2024-03-31") == number("1/2")
    assert adopted("one,2024-01-03") == number("0")  # used before its release only


def test_streak() -> None:
    # Periods back from 03-31 end on 03-31, 03-03, 02-04, 01-07.
    assert get("active_periods_streak", world(usage_events=events("a,u,2024-03-04", "a,u,2024-03-03", "a,u,2024-01-07", OF_B))) == number(
        "2"
    )
    assert get("active_periods_streak", world(usage_events=events("a,u,2024-03-03", OF_B))) == number("0")
    always = events(
        *(f"a,u,{year}-{month:02d}-{day:02d}" for year in (2022, 2023, 2024) for month in range(1, 13) for day in (1, 14, 28)),
        OF_B,
    )
    assert get("active_periods_streak", world(usage_events=always)) == number("13")


def test_onboarding_rate() -> None:
    used = events("a,u1,2024-03-02", "a,u2,2024-03-01 23:59:59", "a,u2,2024-03-20", "a,u3,2024-03-31")
    seats = subscriptions("a,8,-,-,2024-01-01,-,-")
    assert get("onboarding_rate_30d", world("2023-12-02", usage_events=used, subscriptions=seats)) == number("1/4")  # tenure 120
    assert get("onboarding_rate_30d", world("2023-12-01", usage_events=used, subscriptions=seats)) == state("not_applicable")
    assert get("onboarding_rate_30d", world("2023-12-02", usage_events=used)) == state("not_applicable")


def test_days_late() -> None:
    raw = world(
        invoices=invoices(
            "a,2023-09-01,2023-10-04,2023-10-14,1,-,-",  # due on the first day: 10
            "a,2023-09-01,2023-10-03,-,1,-,-",  # due before the window
            "a,2024-03-01,2024-03-31,-,1,-,-",  # due today: 0
            "a,2024-03-01,2024-03-29,2024-04-20,1,-,-",  # paid later than d: 2
            "a,2024-03-01,2024-03-21,2024-03-01,1,-,-",  # paid before due: 0
            "a,2024-03-01,2024-03-01,-,1,-,2024-03-31",  # voided
            "a,2024-04-01,2024-03-01,-,1,-,-",  # issued later
        )
    )
    assert get("days_late_180d", raw) == number("3")  # (10 + 0 + 2 + 0) / 4
    assert get("days_late_180d", raw, "b") == state("not_applicable")
    assert get("days_late_180d", world(invoices=invoices("a,2024-04-01,2024-03-01,-,1,-,-"))) == state("missing")


def test_settled() -> None:
    """Due on 03-11, 20 days ago, unless said otherwise; a monthly fee of 100."""

    def on_d(bill: str) -> tuple[Measure, Measure, Measure]:
        raw = world(invoices=invoices(f"a,2024-01-01,{bill}"), subscriptions=subscriptions("a,1,100,-,2023-01-01,-,-"))
        return get("days_late_180d", raw), get("days_overdue_oldest", raw), get("overdue_ratio", raw)

    zero = number("0")
    assert on_d("2024-03-11,-,80,-,-") == (number("20"), number("20"), number("4/5"))
    # Partly paid: 30 of 80 are left; in EUR at 1.2, as on the day of issue.
    assert on_d("2024-03-11,-,80,-,-,30") == (number("20"), number("20"), number("3/10"))
    assert on_d("2024-03-11,-,80,EUR,-,30") == (number("20"), number("20"), number("9/25"))
    # Paid, nobody knows when: on the day it was due.
    assert on_d("2024-03-11,-,80,-,-,0") == (zero, zero, zero)
    # Written off after 9 days, or not until tomorrow; or after it was paid, or before.
    assert on_d("2024-03-11,-,80,-,-,80,2024-03-20") == (number("9"), zero, zero)
    assert on_d("2024-03-11,-,80,-,-,-,2024-04-01") == (number("20"), number("20"), number("4/5"))
    assert on_d("2024-03-11,2024-03-15,80,-,-,-,2024-03-20") == (number("4"), zero, zero)
    assert on_d("2024-03-11,2024-03-25,80,-,-,-,2024-03-20") == (number("9"), zero, zero)
    # A date of payment holds, whatever is open.
    assert on_d("2024-03-11,2024-03-31,80,-,-,30") == (number("20"), zero, zero)
    # Credit notes and invoices of nothing are not claims.
    assert on_d("2024-03-11,-,-80,-,-,-80") == on_d("2024-03-11,-,0,-,-") == (state("not_applicable"), zero, zero)
    assert on_d("2024-03-11,-,80,-,2024-03-31") == (state("not_applicable"), zero, zero)
    # Due today is not overdue; due 180 days ago is late no more, but owed.
    assert on_d("2024-03-31,-,80,-,-") == (zero, zero, zero)
    assert on_d("2023-10-03,-,80,-,-") == (state("not_applicable"), number("180"), number("4/5"))


def test_the_oldest_claim_counts() -> None:
    raw = world(
        invoices=invoices(
            "a,2024-01-01,2024-03-20,-,10,-,-",
            "a,2024-01-01,2024-03-01,-,10,-,-",
            "a,2024-01-01,2024-02-01,2024-02-09,10,-,-",
            "a,2024-01-01,2024-02-01,-,-10,-,-",
        )
    )
    assert get("days_overdue_oldest", raw) == number("30")
    assert get("days_overdue_oldest", raw, "b") == number("0")
    assert get("days_overdue_oldest", world()) == state("missing")


def test_overdue() -> None:
    bills = invoices(
        "a,2024-01-01,2024-03-30,-,60,-,-",
        "a,2024-01-01,2024-03-31,-,1000,-,-",  # due today is not overdue
        "a,2024-01-01,2024-02-01,2024-04-01,30,EUR,-",  # paid later; 36 in reporting currency
        "a,2024-01-01,2024-02-01,2024-03-31,1000,-,-",  # paid today
        "a,2024-01-01,2024-02-01,-,1000,-,2024-03-31",
        "a,2024-01-01,2024-02-01,-,4,-,2024-04-01",  # voided later
    )
    raw = world(invoices=bills, subscriptions=subscriptions("a,1,200,-,2024-01-01,-,-", "a,1,-,-,2024-01-01,-,-"))
    assert get("overdue_ratio", raw) == number("1/2")
    for mrr in ("0", "-"):
        raw = world(invoices=bills, subscriptions=subscriptions(f"a,1,{mrr},-,2024-01-01,-,-"))
        assert get("overdue_ratio", raw) == state("not_applicable")
    assert get("overdue_ratio", world(invoices=bills)) == state("not_applicable")
    assert get("overdue_ratio", world(subscriptions=subscriptions("a,1,200,-,2024-01-01,-,-"))) == state("missing")


def test_mrr_trend() -> None:
    # d - 90 = 01-01.
    def trend(*lines: str) -> Measure:
        return get("mrr_trend_90d", world(subscriptions=subscriptions(*lines)))

    assert trend("a,1,200,-,2023-01-01,2024-01-02,-", "a,1,150,-,2024-01-02,-,-") == number("-1/4")
    assert trend("a,1,200,-,2023-01-01,2024-01-01,-", "a,1,150,-,2024-01-02,-,-") == state("not_applicable")
    assert trend("a,1,200,-,2023-01-01,2024-01-02,-", "a,1,-,-,2024-01-02,-,-") == state("missing")
    # 100 EUR were 110 when they were agreed and are 120 from 2024 on: the price stays.
    assert trend("a,1,100,EUR,2023-01-01,2024-02-01,-", "a,1,100,EUR,2024-02-01,-,-") == number("0")
    # From 120 + 120 to 180 + 120, in rates of d.
    assert trend("a,1,100,EUR,2023-01-01,2024-02-01,-", "a,1,150,EUR,2024-02-01,-,-", "a,1,120,-,2023-01-01,-,-") == number("1/4")
    # A trial becomes a customer, or the other way round.
    assert trend("a,1,200,-,2023-01-01,2024-02-01,-,true", "a,1,200,-,2024-02-01,-,-") == state("not_applicable")
    assert trend("a,1,200,-,2023-01-01,2024-02-01,-", "a,1,200,-,2024-02-01,-,-,true") == number("-1")


def test_renewal() -> None:
    raw = world(
        subscriptions=subscriptions(
            "a,1,1,-,2024-01-01,-,2024-03-30",
            "a,1,1,-,2023-01-01,-,2024-06-29",
            "a,1,1,-,2023-01-01,2024-03-31,2024-04-01",
            "b,1,1,-,2023-01-01,-,-",
        ),
        account_outcomes=texts("outcome_id account_id occurred_on kind", "o1,b,2024-03-01,renewed", "o2,b,2024-04-01,renewed"),
    )
    assert get("days_to_renewal", raw) == number("90")
    assert get("days_to_renewal", raw, "b") == state("missing")
    assert get("days_since_renewal", raw) == number("90")
    assert get("days_since_renewal", raw, "b") == number("30")


def test_expansions() -> None:
    raw = world(
        account_outcomes=texts(
            "outcome_id account_id occurred_on kind",
            "o1,a,2023-04-02,expanded",
            "o2,a,2023-04-01,expanded",
            "o3,a,2024-03-31,expanded",
            "o4,a,2024-03-31,contracted",
        )
    )
    assert get("expansions_365d", raw) == number("2")
    assert get("expansions_365d", raw, "b") == number("0")


def test_ticket_counts() -> None:
    raw = world(
        usage_events=events(*(f"a,u{n},2024-03-31" for n in range(40))),
        tickets=tickets(
            "a,2024-03-31 23:59:59.999999,-,-,critical,bug,2024-04-01",
            "a,2024-03-04,-,2024-04-01,critical,question,2024-03-31",
            "a,2024-03-03,-,2024-03-31 23:59:59,critical,-,2024-01-02",
            "a,2024-01-01,-,-,high,bug,2024-01-01",
            "a,2024-01-03,-,-,low,other,2023-12-01",  # escalated before it was opened: when it was opened
            "a,2024-04-01,-,-,critical,bug,2024-03-31",
        ),
    )
    assert get("critical_open_tickets", raw) == number("2")
    assert get("escalations_90d", raw) == number("3")
    assert get("tickets_per_10_users_28d", raw) == number("1/2")  # 10 x 2 / 40
    assert get("negative_ticket_share_90d", raw) == number("1/4")
    assert get("tickets_per_10_users_28d", raw, "b") == number("0")
    assert get("critical_open_tickets", raw, "b") == number("0")
    assert get("negative_ticket_share_90d", raw, "b") == state("not_applicable")
    # At least ten users: 10 x 1 / 10 with nobody, with nine and with ten.
    for users in (0, 9, 10):
        raw = world(
            usage_events=events(*(f"a,u{n},2024-03-31" for n in range(users))),
            tickets=tickets("a,2024-03-31,-,-,-,-,-"),
        )
        assert get("tickets_per_10_users_28d", raw) == number("1")


def test_ticket_medians() -> None:
    raw = world(
        tickets=tickets(
            "a,2023-12-31,2024-01-02 00:00,2024-01-01,-,-,-",  # replied after 48 h, resolved before the window
            "a,2024-03-30 12:00,2024-03-30 13:30,2024-03-31 23:59:59.999999,-,-,-",  # 1.5 h
            "a,2024-03-30 12:00,2024-03-30 10:00,2024-04-01,-,-,-",  # replied to before it was opened: 0 h
            "a,2024-01-02,2024-01-01,2023-12-01,-,-,-",  # likewise, before the window even: 0 h, twice
            "a,2024-03-30 12:00,2024-03-30 12:30,2024-03-31 13:00,-,-,-",  # 0.5 h; 25 h
        )
    )
    assert get("median_first_reply_hours_90d", raw) == number("1/2")  # of 0, 0, 0.5, 1.5, 48
    assert get("median_resolution_hours_90d", raw) == number("25")  # of 0, 25 and 36 less a microsecond
    # A day later the ticket of 01-02 has left the window and one of 36 h is resolved: 25, 36 less a microsecond, 36.
    hours = get("median_resolution_hours_90d", raw, d=date(2024, 4, 1))
    assert hours == measured(Fraction(36) - Fraction(1, 3_600_000_000))
    assert get("median_resolution_hours_90d", raw, "b") == state("not_applicable")


def test_surveys() -> None:
    raw = world(
        survey_responses=surveys(
            "u1,csat,5,2023-10-04",
            "u1,csat,2,2024-03-31",
            "u1,csat,1,2023-10-03 23:59:59",
            "u1,csat,1,2024-04-01",
            "u1,product_rating,4,2023-04-01",
            "u1,ces,1,2024-03-31",
        )
    )
    assert get("csat_180d", raw) == number("7/2")
    assert get("csat_180d", raw, "b") == state("missing")
    assert get("product_rating_365d", raw) == state("stale")
    assert get("nps_180d", raw) == state("missing")


def test_nps() -> None:
    raw = world(
        survey_responses=surveys(
            "u1,nps,0,2024-03-01",
            "u1,nps,9,2024-03-02",  # the latest counts
            "u2,nps,9,2024-03-02",
            "u2,nps,6,2024-03-02",  # a tie: r3 is the greater key
            "-,nps,10,2024-03-02",
            "-,nps,10,2024-03-02",  # each its own respondent
            "u3,nps,8,2023-10-04",
            "u3,nps,0,2023-10-03",
        )
    )
    assert get("nps_180d", raw) == number("40")  # 9, 6, 10, 10, 8: (3 - 1) / 5
    assert get("nps_180d", world(survey_responses=surveys("u,nps,9,2023-10-03"))) == state("stale")


def test_touchpoints() -> None:
    raw = world(
        touchpoints=touchpoints(
            "inbound,10,-,-1,2024-01-02",
            "inbound,100,-,1,2024-01-01",
            "outbound,5.5,true,0.5,2024-03-31",
            "outbound,-,false,-,2024-03-31",
            "outbound,-,-,-,2024-03-31",
            "outbound,-,true,-,2024-04-01",
        )
    )
    assert get("two_way_touchpoints_90d", raw) == number("2")
    assert get("contact_minutes_90d", raw) == number("31/2")
    assert get("contact_sentiment_90d", raw) == number("-1/4")
    assert get("response_rate_90d", raw) == number("1/3")
    assert get("two_way_touchpoints_90d", raw, "b") == get("contact_minutes_90d", raw, "b") == number("0")
    assert get("contact_sentiment_90d", raw, "b") == state("missing")
    assert get("response_rate_90d", raw, "b") == state("not_applicable")


def test_advocacy_and_pulse() -> None:
    raw = world(
        advocacy_events=texts("advocacy_id account_id occurred_at kind", "v1,a,2023-04-02,review", "v2,a,2023-04-01,review"),
        csm_pulses=texts(
            "pulse_id account_id rated_at rating",
            "p2,a,2024-03-01,2",
            "p1,a,2024-03-01,5",
            "p3,a,2024-01-02,4",
            "p4,b,2024-01-01,4",
        ),
    )
    assert get("advocacy_365d", raw) == number("1")
    assert get("csm_pulse", raw) == number("2")  # a tie: p2
    assert get("csm_pulse", raw, "b") == state("stale")


def test_goals() -> None:
    raw = world(
        account_goals=goals(
            "g1,2024-01-01,10,30,-",  # clipped to 2
            "g2,2024-02-01,10,5,-",
            "g2,2024-01-01,10,10,-",  # the latest: 0.5
            "g3,2024-02-01,10,-5,-",  # clipped to 0
            "g4,2024-02-01,0,5,-",
            "g5,2024-02-01,10,-,-",
            "g6,2023-10-03,10,10,-",  # no target, no actual, too old
        )
    )
    assert get("goal_attainment", raw) == number("5/6")
    assert get("goal_attainment", raw, "b") == state("missing")
    assert get("goal_attainment", world(account_goals=goals("g,2023-10-03,10,10,-"))) == state("stale")
    assert get("goal_attainment", world(account_goals=goals("g,2024-03-01,0,10,-"))) == state("missing")


def test_roi() -> None:
    value = goals("g,2023-04-02,-,-,300", "g,2023-04-01,-,-,9999", "h,2024-03-31,-,-,-")
    bills = invoices("a,2023-04-02,2024-03-31,-,50,-,-", "a,2023-04-01,2024-03-31,-,50,-,-", "a,2024-03-31,2024-04-30,-,25,EUR,-")
    assert get("customer_roi_365d", world(account_goals=value, invoices=bills)) == number("15/4")  # 300 / (50 + 30)
    assert get("customer_roi_365d", world(account_goals=value)) == state("not_applicable")
    returned = invoices("a,2024-03-01,2024-03-31,-,50,-,-", "a,2024-03-02,2024-03-31,-,-60,-,-")
    assert get("customer_roi_365d", world(account_goals=value, invoices=returned)) == state("not_applicable")
    assert get("customer_roi_365d", world(account_goals=goals("g,2024-03-31,1,1,-"), invoices=bills)) == state("missing")


def test_every_metric_of_the_catalogue_is_known() -> None:
    assert METRICS.keys() == ANCHORS.keys()


# -- docs/scoring.md, "Scorecards"


def metric(key: str = "active_days_28d", dimension: str = "adoption", weight: str = "1", method: str = "linear", **more) -> CardMetric:
    given = {
        "worst": Fraction(0),
        "best": Fraction(20),
        "missing_policy": "exclude",
        "higher_is_better": True,
        "bands": (),
        **more,
    }
    return CardMetric(key, dimension, Fraction(weight), method, **given)


def card(*metrics: CardMetric, dimensions: dict[str, str], **more) -> Scorecard:
    given = {
        "priority": Fraction(1),
        "segment": "*",
        "stage": "*",
        "min_coverage": Fraction(1, 2),
        "confirm_days": 3,
        "tier_mode": "threshold",
        "tier_margin": Fraction(3),
        "caps": (),
        "tiers": tuple(Tier(tier, *limits) for tier, limits in DEFAULT_TIERS.items()),
        **more,
    }
    weights = {key: Fraction(weight) for key, weight in dimensions.items()}
    return Scorecard("v1", "standard", metrics=metrics, dimensions=weights, **given)


def test_stage() -> None:
    assert stage_of(89, number("10")) == "onboarding"
    assert stage_of(90, number("90")) == stage_of(90, number("0")) == "renewing"
    assert stage_of(90, number("91")) == stage_of(90, state("missing")) == "mature"


def test_linear_and_bands() -> None:
    assert [normalize(metric(), Fraction(v), []) for v in (-1, 0, 5, 20, 21)] == [0, 0, 25, 100, 100]
    lower = metric(worst=Fraction(30), best=Fraction(0))
    assert [normalize(lower, Fraction(v), []) for v in (31, 30, 6, 0, -2)] == [0, 0, 80, 100, 100]
    bands = metric(method="bands", bands=((Fraction(3), Fraction(20)), (Fraction(0), Fraction(100)), (Fraction(1), Fraction(80))))
    assert [normalize(bands, Fraction(v), []) for v in (-1, 0, 1, Fraction("2.9"), 3)] == [0, 100, 80, 80, 20]


def test_percentile() -> None:
    up = metric(method="percentile")
    down = replace(up, higher_is_better=False)
    peers = [Fraction(v) for v in (1, 2, 2, 5, 9)]
    assert [normalize(up, v, peers) for v in peers] == [0, Fraction("37.5"), Fraction("37.5"), 75, 100]
    assert normalize(down, Fraction(5), peers) == 25
    assert normalize(up, Fraction(4), [Fraction(4)]) == 50


def test_zscore() -> None:
    peers = [Fraction(2), Fraction(4), Fraction(6)]  # mean 4, population deviation sqrt(8 / 3)
    expected = 100 / (1 + math.exp(-1.702 * 2 / math.sqrt(8 / 3)))
    assert float(normalize(metric(method="zscore"), Fraction(6), peers)) == pytest.approx(expected, abs=1e-12)
    assert float(normalize(metric(method="zscore", higher_is_better=False), Fraction(2), peers)) == pytest.approx(expected, abs=1e-12)
    assert normalize(metric(method="zscore"), Fraction(1, 10), [Fraction(1, 10)] * 3) == 50


def test_weights_coverage_and_policies() -> None:
    given = card(
        metric("active_days_28d", weight="3"),
        metric("active_users_28d", weight="1"),
        metric("stickiness_28d", weight="0"),
        metric("csat_180d", "support", "2", missing_policy="worst"),
        metric("csm_pulse", "voice", "1", missing_policy="neutral"),
        metric("goal_attainment", "outcomes", "1"),
        dimensions={"adoption": "2", "support": "1", "voice": "1", "outcomes": "4"},
    )
    measures = {
        "active_days_28d": number("20"),
        "active_users_28d": state("not_applicable"),
        "stickiness_28d": number("1"),
        "csat_180d": state("stale"),
        "csm_pulse": state("missing"),
        "goal_attainment": state("late"),
    }
    rows, coverage, uncapped = weigh(given, measures, {"active_days_28d": Fraction(100), "stickiness_28d": Fraction(5)})
    by_key = {row.metric_key: row for row in rows}
    # Base: 2 of adoption all for active_days, 1, 1 and 4; scored are 2 + 1 + 1 of them.
    assert [by_key[key].effective_weight for key in measures] == [
        Fraction(1, 2),
        0,
        0,
        Fraction(1, 4),
        Fraction(1, 4),
        0,
    ]
    assert [by_key[key].points for key in measures] == [25, 0, 0, Fraction("-12.5"), 0, 0]
    assert [by_key[key].normalized_score for key in measures] == [100, None, 5, 0, 50, None]
    # Nominal: adoption 2/8 split 3:1:0, support and voice 1/8 each, outcomes 4/8.
    nominal = [Fraction(3, 16), Fraction(1, 16), 0, Fraction(1, 8), Fraction(1, 8), Fraction(1, 2)]
    assert [by_key[key].nominal_weight for key in measures] == nominal
    assert [by_key[key].base_weight for key in measures] == [2, 0, 0, 1, 1, 4]
    assert coverage == Fraction(2, 8)
    assert covered(rows, ("measured", "late")) == Fraction(6, 8)
    assert uncapped == Fraction("62.5")


def test_base_weights() -> None:
    """Two metrics of adoption, 2 to 1, and one of support; adoption weighs 3, support 1. They score 100, 40 and 0."""
    given = card(
        metric("active_days_28d", weight="2"),
        metric("active_users_28d", weight="1"),
        metric("csat_180d", "support", weight="7"),
        dimensions={"adoption": "3", "support": "1"},
    )
    scores = {"active_days_28d": Fraction(100), "active_users_28d": Fraction(40), "csat_180d": Fraction(0)}

    def weighed(**states: str) -> tuple[list[Fraction], Fraction, Fraction]:
        measures = {key: state(states[key]) if key in states else number("1") for key in scores}
        known = {key: value for key, value in scores.items() if key not in states}
        rows, coverage, score = weigh(given, measures, known)
        assert score == 50 + sum(row.points for row in rows)
        assert [row.nominal_weight for row in rows] == [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
        return [row.effective_weight for row in rows], coverage, score

    third = Fraction(1, 3)
    # Base 2, 1, 1.
    assert weighed() == ([Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)], 1, 60)
    # Missing: its 1 of 4 goes to all that is known, 2 to 1.
    assert weighed(active_users_28d="missing") == ([2 * third, 0, third], Fraction(3, 4), 200 * third)
    # Not applicable: its weight stays in adoption, base 3, 0, 1.
    assert weighed(active_users_28d="not_applicable") == ([Fraction(3, 4), 0, Fraction(1, 4)], 1, 75)
    # A dimension that is missing, or has no meaning: adoption has all the weight.
    assert weighed(csat_180d="missing") == ([2 * third, third, 0], Fraction(3, 4), 80)
    assert weighed(csat_180d="not_applicable") == ([2 * third, third, 0], 1, 80)
    # All of adoption: one answer speaks for all, and coverage says so.
    assert weighed(active_days_28d="late", active_users_28d="stale") == ([0, 0, 1], Fraction(1, 4), 0)


def test_weights_of_zero_count_for_nothing() -> None:
    given = card(
        metric("active_days_28d"),
        metric("active_users_28d", weight="0"),
        metric("csat_180d", "support"),
        metric("csm_pulse", "voice", weight="0"),
        dimensions={"adoption": "1", "support": "0", "voice": "0"},
    )
    keys = [row.metric_key for row in given.metrics]
    rows, coverage, score = weigh(given, dict.fromkeys(keys, number("1")), dict.fromkeys(keys, Fraction(20)))
    assert ([row.effective_weight for row in rows], coverage, score) == ([1, 0, 0, 0], 1, 20)
    unknown = {**dict.fromkeys(keys, number("1")), "active_days_28d": state("missing")}
    rows, coverage, score = weigh(given, unknown, dict.fromkeys(keys[1:], Fraction(20)))
    assert ([row.points for row in rows], coverage, score) == ([0, 0, 0, 0], 0, 50)


def test_nothing_scored() -> None:
    given = card(metric(), dimensions={"adoption": "1"})
    for name in ("not_applicable", "missing"):
        _, coverage, uncapped = weigh(given, {"active_days_28d": state(name)}, {})
        assert (coverage, uncapped) == (0, 50)


def test_caps() -> None:
    def cap(key: str, operator: str, threshold: str, max_score: str, on: str = "overdue_ratio") -> Cap:
        return Cap(key, on, operator, Fraction(threshold), Fraction(max_score))

    def bound(*caps: Cap, uncapped: str = "70") -> tuple[str, Fraction] | None:
        measures = {"overdue_ratio": number("1"), "csat_180d": state("stale")}
        return binding_cap(card(metric(), dimensions={"adoption": "1"}, caps=caps), measures, Fraction(uncapped))

    assert bound(cap("z", ">", "0.5", "40"), cap("y", ">=", "1", "40"), cap("x", "=", "1", "60")) == ("y", -30)
    assert bound(cap("z", ">", "1", "40"), cap("y", "<", "1", "40"), cap("x", "!=", "1", "60")) is None
    assert bound(cap("z", "<=", "1", "70")) is None  # at most 70 already
    assert bound(cap("z", "!=", "9", "40", on="csat_180d")) is None  # not measured


def test_rounding() -> None:
    assert published(Fraction("69.95")) == 70
    assert published(Fraction("69.94999999996")) == 70  # 69.95 to 9 decimals
    assert published(Fraction("69.9499999994")) == Fraction("69.9")
    assert published(Fraction("0.25")) == Fraction("0.3")


# -- docs/scoring.md, "Raw tier"


def test_tiers() -> None:
    given = card(metric(), dimensions={"adoption": "1"})
    assert [threshold_tier(given, Fraction(v)) for v in ("70", "69.9", "40", "39.9", "0")] == [
        "healthy", "at_risk", "at_risk", "poor", "poor"
    ]  # fmt: skip

    def by_quantile(*scores: int) -> list[str]:
        day = [Fraction(score) for score in scores]
        return [quantile_tier(given, percentile_of(score, day)) for score in day]

    assert by_quantile(10, 20, 30, 40) == ["poor", "at_risk", "at_risk", "healthy"]
    assert by_quantile(10, 40, 40, 40) == ["poor", "healthy", "healthy", "healthy"]


def test_versions_and_scorecards() -> None:
    low = card(metric(), dimensions={"adoption": "1"})
    high = replace(low, scorecard_key="big", priority=Fraction(2), segment="enterprise", stage="mature")
    versions = [
        Version("v1", date(2024, 1, 1), "active", (low, high)),
        Version("v2", date(2024, 3, 31), "active", (low,)),
        Version("v3", date(2024, 2, 1), "candidate", (low,)),
    ]
    assert [version_on(versions, d).config_version for d in (date(2024, 3, 30), D)] == ["v1", "v2"]
    assert versions[0].card_for("enterprise", "mature").scorecard_key == "big"
    for segment, stage in (("enterprise", "renewing"), ("smb", "mature"), (None, "mature")):
        assert versions[0].card_for(segment, stage).scorecard_key == "standard"


def test_the_margin_of_a_scorecard(tmp_path: Path) -> None:
    """3 where the column or the cell is empty, 0 in quantile mode whatever is written."""
    header = "config_version,scorecard_key,label,priority,segment,stage,min_coverage,confirm_days,tier_mode"
    for name in ("metrics", "metric_bands", "scorecard_dimensions", "scorecard_metrics", "score_caps", "tiers"):
        (tmp_path / f"{name}.csv").write_text("config_version,scorecard_key\n")
    (tmp_path / "config_versions.csv").write_text("config_version,valid_from,status,author,note\nv,2000-01-01,active,,\n")

    def margins(*rows: str) -> list[Fraction]:
        (tmp_path / "scorecards.csv").write_text("\n".join(rows))
        (version,) = read_versions(tmp_path)
        return [card.tier_margin for card in version.cards]

    assert margins(header, "v,a,a,1,*,*,,,") == [3]
    assert margins(f"{header},tier_margin", "v,a,a,1,*,*,,,,", "v,b,b,2,*,*,,,threshold,0", "v,c,c,3,*,*,,,quantile,5") == [
        3,
        0,
        0,
    ]


def test_a_day_from_raw_rows_to_tier() -> None:
    """Two accounts, one metric by line, one by rank, a cap on the lower one."""
    raw = world(
        usage_events=events("a,u1,2024-03-31", "a,u1,2024-03-30", "b,u1,2024-03-31"),
        csm_pulses=texts("pulse_id account_id rated_at rating", "p1,a,2024-03-01,5", "p2,b,2024-03-01,2"),
        subscriptions=subscriptions("a,1,1,-,2024-01-01,-,-", "b,1,1,-,2024-01-01,-,-"),
    )
    given = card(
        metric(worst=Fraction(0), best=Fraction(4)),
        metric("csm_pulse", "voice", method="percentile"),
        dimensions={"adoption": "3", "voice": "1"},
        caps=(Cap("sad", "csm_pulse", "<=", Fraction(2), Fraction(15)),),
    )
    a, b = score_day(raw, [Version("v1", date(2000, 1, 1), "active", (given,))], D)
    # a: 3/4 x 50 + 1/4 x 100; b: 3/4 x 25 + 1/4 x 0 = 18.75, capped at 15.
    assert (a.health_score, a.raw_tier, a.cap, a.coverage, a.stage) == (Fraction("62.5"), "at_risk", None, 1, "mature")
    assert (b.uncapped_score, b.health_score, b.cap) == (Fraction("18.75"), 15, ("sad", Fraction("-3.75")))
    assert b.raw_tier == "poor"
    assert [(row.dimension_key, row.score, row.points) for row in b.dimensions] == [
        ("adoption", 25, Fraction("-18.75")),
        ("voice", 0, Fraction("-12.5")),
    ]


def test_candidates_are_scored_beside_the_active_version_from_their_day_on() -> None:
    raw = world(csm_pulses=texts("pulse_id account_id rated_at rating", "p1,a,2024-03-01,5", "p2,b,2024-03-01,2"))
    pulse = metric("csm_pulse", "voice", worst=Fraction(1), best=Fraction(5))
    by_line = card(pulse, dimensions={"voice": "1"})
    by_rank = replace(
        by_line,
        scorecard_key="ranked",
        metrics=(replace(pulse, method="percentile"),),
        caps=(Cap("top", "csm_pulse", ">=", Fraction(5), Fraction(90)),),
    )
    versions = [
        Version("v1", date(2000, 1, 1), "active", (by_line,)),
        Version("c1", D, "candidate", (by_rank,)),
        Version("c2", date(2024, 4, 1), "candidate", (by_rank,)),
    ]
    history = History(raw, versions, date(2024, 3, 30), D)
    found = [
        (row.account_id, row.as_of_date, row.config_version, row.scorecard_key, row.uncapped_score, row.health_score)
        for row in candidate_scores(history)
    ]
    assert found == [("a", D, "c1", "ranked", 100, 90), ("b", D, "c1", "ranked", 0, 0)]
    assert [(row.health_score, row.config_version) for row in history.of("b")] == [(25, "v1"), (25, "v1")]
    assert [row.health_score for row in history.of("a")] == [100, 100]


# -- the generator


def test_a_seed_gives_one_world(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        made = build_world(folder, 5)
    assert made.first_day < made.last_day
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file() and ".parquet" not in path.name)
    assert len(names) > 20
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    one, two = (load(folder / "health.toml", made.last_day) for folder in (first, second))
    assert one.tables == two.tables


def test_worlds_hold_what_the_raw_tables_need(tmp_path: Path) -> None:
    """Of a few worlds: each special case of the raw tables and of claims."""
    raws = []
    for seed in (1, 2, 6):
        (tmp_path / str(seed)).mkdir()
        made = build_world(tmp_path / str(seed), seed)
        raws.append(load(made.config_file, made.last_day))
    rows = {table: [row for raw in raws for row in raw.all(table)] for table in SCHEMA}
    reasons = " ".join(why for raw in raws for bad in raw.quarantined.values() for _, why in bad)
    assert "no text and no whole number" in reasons
    assert "ended_on: before started_on" in reasons
    assert "left_on: before joined_on" in reasons
    contacts = {(row["contact_id"], row["account_id"]) for row in rows["contacts"]}
    assert len({contact for contact, _ in contacts}) < len(contacts) < len(rows["contacts"])
    mails = {row["user_id"] for row in rows["usage_events"] if "@" in row["user_id"]}
    assert mails and all(mail == mail.lower() for mail in mails)
    assert {"u1", "U1"} <= {row["user_id"] for row in rows["usage_events"]}
    claims = [row for row in rows["invoices"] if row["amount"] > 0]
    assert any(0 < (row["open_amount"] or 0) < row["amount"] for row in claims)
    assert any(row["open_amount"] == 0 and not row["paid_on"] and not row["written_off_on"] for row in claims)
    assert any(row["written_off_on"] for row in claims)
    assert any(row["amount"] < 0 for row in rows["invoices"])
    assert any(row["is_trial"] for row in rows["subscriptions"])
    agreed = [row for row in rows["subscriptions"] if row["mrr"] != row["own_mrr"]]
    assert {(row["currency"] or "").upper() for row in agreed} >= {"EUR", "GBP"}
    for column in ("first_replied_at", "resolved_at", "escalated_at"):
        assert any(row[column] and row[column] < row["opened_at"] for row in rows["tickets"])
