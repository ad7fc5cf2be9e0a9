"""Every metric of docs/scoring.md, "Metrics", worked out by hand: raw files in, `metric_scores_history` out.

Two small companies. Each account of the first is one case, scored on three days in a row, so that a fact at the edge
of a window is inside on one day and outside on the next. The windows of those days, in a leap year:

               2024-03-30              2024-03-31              2024-04-01
    28 days    03-03 .. 03-30          03-04 .. 03-31          03-05 .. 04-01
    before     02-04 .. 03-02          02-05 .. 03-03          02-06 .. 03-04
    84 days    2023-12-10 .. 03-02     2023-12-11 .. 03-03     2023-12-12 .. 03-04     (the baseline)
    30 days    03-01 .. 03-30          03-02 .. 03-31          03-03 .. 04-01
    90 days    01-01 .. 03-30          01-02 .. 03-31          01-03 .. 04-01
    180 days   2023-10-03 .. 03-30     2023-10-04 .. 03-31     2023-10-05 .. 04-01
    365 days   2023-04-01 .. 03-30     2023-04-02 .. 03-31     2023-04-03 .. 04-01

The second company delivers few tables, and those late: what the state of a whole table forces on its metrics.

Facts are lines of text, their cells parted by commas, in the order of `CELLS`; `-` or nothing is a blank. A date
without a year is of 2024; `03-31 end` is the last microsecond of the day, `23:59:59.999999`.
"""

import csv
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import SAFE_OPTIONS
from tests.pipeline import run_pipeline

Value = int | Fraction
Expected = Value | str  # a value that was measured, or the state without one
Cases = dict[tuple[str, date], Expected]  # (account, day)
Published = Mapping[tuple[str, date], Mapping[str, float | str]]  # (account, day) -> metric -> value or state

NA, STALE, MISSING, LATE = "not_applicable", "stale", "missing", "late"
DAYS = (date(2024, 3, 30), date(2024, 3, 31), date(2024, 4, 1))

CELLS: Mapping[str, str] = {
    "usage_events": "user_id occurred_at feature duration_seconds",
    "subscriptions": "seats mrr started_on ended_on term_ends_on currency is_trial subscription_id",
    "invoices": "issued_on due_on paid_on amount voided_on currency open_amount written_off_on",
    "account_outcomes": "occurred_on kind",
    "tickets": "opened_at first_replied_at resolved_at priority topic escalated_at",
    "survey_responses": "survey score responded_at user_id",
    "contacts": "contact_id role joined_on left_on user_id",
    "touchpoints": "occurred_at channel direction duration_minutes responded sentiment contact_id",
    "advocacy_events": "occurred_at kind",
    "csm_pulses": "rated_at rating",
    "account_goals": "goal_id measured_on target_value actual_value value_delivered",
}
KEYS: Mapping[str, str] = {
    "usage_events": "event_id",
    "subscriptions": "subscription_id",
    "invoices": "invoice_id",
    "account_outcomes": "outcome_id",
    "tickets": "ticket_id",
    "survey_responses": "response_id",
    "contacts": "contact_id",
    "touchpoints": "touchpoint_id",
    "advocacy_events": "advocacy_id",
    "csm_pulses": "pulse_id",
}
# 10 seats at 200 a month since 2022-01-01, no end of the term.
SUBSCRIBED = ("10, 200, 2022-01-01",)


@dataclass
class Company:
    """Raw rows by table, and what the accounts' metrics must be."""

    rows: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    expected: dict[str, Cases] = field(default_factory=dict)
    scored: dict[str, tuple[bool, ...]] = field(default_factory=dict)

    def account(
        self,
        account_id: str,
        created: str = "2022-01-01",
        subscriptions: Iterable[str] | None = SUBSCRIBED,
        scored: tuple[bool, bool, bool] = (True, True, True),
        expect: Mapping[str, Expected | tuple[Expected, Expected, Expected]] | None = None,
        **facts: Iterable[str],
    ) -> None:
        """One case: `expect` holds for each metric what it is on 03-31, or what it is on each of the three days.

        Raises:
            ValueError: the account is there already.
        """
        if account_id in self.scored:
            raise ValueError(f"account {account_id!r} twice")
        self.row("accounts", {"account_id": account_id, "account_name": account_id, "created_at": moment(created)})
        self.facts(account_id, subscriptions=subscriptions or (), **facts)
        self.scored[account_id] = scored
        for metric, values in (expect or {}).items():
            by_day = zip(DAYS, values, strict=True) if isinstance(values, tuple) else [(DAYS[1], values)]
            self.expect(metric, {(account_id, day): value for day, value in by_day})

    def facts(self, account_id: str, **facts: Iterable[str]) -> None:
        for table, lines in facts.items():
            for line in lines:
                cells = [moment(cell.strip()) for cell in line.split(",")]
                names = CELLS[table].split()
                row = dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=True))
                if table == "account_goals":
                    row["goal_id"] = f"{account_id}/{row['goal_id']}"
                elif not row.get(KEYS[table]):
                    # Keys grow from line to line: of two facts at the same time, the lower line is the latest.
                    row[KEYS[table]] = f"{len(self.rows.get(table, [])):05d}"
                self.row(table, {"account_id": account_id, **row})

    def row(self, table: str, row: dict[str, str]) -> None:
        self.rows.setdefault(table, []).append(row)

    def expect(self, metric: str, cases: Cases) -> None:
        known = self.expected.setdefault(metric, {})
        assert not known.keys() & cases.keys()
        known.update(cases)

    def write(self, folder: Path, late_after_days: Mapping[str, int] | None = None) -> Path:
        """The tables that have rows as CSV, a scorecard with every metric of the catalogue, and `health.toml`."""
        config = ["[pipeline]", "start_date = 2024-01-01", 'seeds_dir = "seeds"', 'memory_limit = "512MB"']
        config += ["metric_history_days = 366"]
        (folder / "raw").mkdir(parents=True)
        for table, rows in self.rows.items():
            write_csv(folder / "raw" / f"{table}.csv", list(rows[0]), [list(row.values()) for row in rows])
            config += ["", f"[sources.{table}]", 'connector = "files"', f'path = "raw/{table}.csv"']
            if late_after_days and table in late_after_days:
                config.append(f"late_after_days = {late_after_days[table]}")
        write_seeds(folder / "seeds")
        config_file = folder / "health.toml"
        config_file.write_text("\n".join(config) + "\n")
        return config_file


def moment(cell: str) -> str:
    """A cell as the file holds it."""
    if cell == "-":
        return ""
    cell = re.sub(r"^(?=\d\d-\d\d\b(?!-))", "2024-", cell)
    return cell.replace(" end", " 23:59:59.999999")


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def catalogue() -> dict[str, str]:
    """The dimension of every metric of the project's catalogue."""
    with (PROJECT_ROOT / "seeds" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        return {row["metric_key"]: row["dimension_key"] for row in csv.DictReader(stream)}


def write_seeds(folder: Path) -> None:
    folder.mkdir()
    metrics = catalogue()
    (folder / "metrics.csv").write_bytes((PROJECT_ROOT / "seeds" / "metrics.csv").read_bytes())
    card = ["v1", "all"]
    weights = [[*card, key, "1", "linear", "0", "100", "exclude"] for key in metrics]
    tables: dict[str, tuple[str, list[list[str]]]] = {
        "config_versions": ("config_version valid_from status author note", [["v1", "2000-01-01", "active", "", ""]]),
        "scorecards": (
            "config_version scorecard_key label priority segment stage min_coverage confirm_days tier_mode",
            [[*card, "All", "1", "*", "*", "", "", ""]],
        ),
        "scorecard_dimensions": (
            "config_version scorecard_key dimension_key weight",
            [[*card, key, "1"] for key in sorted(set(metrics.values()))],
        ),
        "scorecard_metrics": (
            "config_version scorecard_key metric_key weight method worst best missing_policy",
            weights,
        ),
        "metric_bands": ("config_version scorecard_key metric_key lower_bound score", []),
        "score_caps": ("config_version scorecard_key cap_key metric_key operator threshold max_score reason", []),
        "tiers": ("config_version scorecard_key tier colour min_score min_percentile", []),
        "fx_rates": ("currency valid_from rate", [["EUR", "2020-01-01", "1.1"], ["EUR", "2024-01-01", "1.2"]]),
    }
    for name, (header, rows) in tables.items():
        write_csv(folder / f"{name}.csv", header.split(), rows)


def add_feeds(company: Company) -> None:
    """An account that keeps every table filled and the usage feed on time, and what the company as a whole did.

    Features that anyone used in the 90 days: search, boards and old; up to 03-31 also retired.
    Features released in the 90 days: search on 03-30; search and boards on 03-31; boards on 04-01.
    """
    company.account(
        "neighbour",
        usage_events=[
            *(f"u9, {day}" for day in ("03-29", "03-30", "03-31", "04-01")),
            *(f"u9, 03-20, {feature}" for feature in ("search", "boards", "old")),
            "u9, 01-02 00:00, retired",
        ],
        invoices=["2022-02-01, 2022-03-01, 2022-02-15, 200"],
        account_outcomes=["2022-06-01, contracted"],
        tickets=["2022-02-01, 2022-02-02, 2022-02-03, normal, question"],
        survey_responses=["ces, 4, 2022-02-01, u9"],
        contacts=["n1, user, 2022-02-01"],
        touchpoints=["2022-02-01, email, outbound, -, -, -, n1"],
        advocacy_events=["2022-02-01, review"],
        csm_pulses=["2022-02-01, 3"],
        account_goals=["goal, 2022-02-01, 10, 5, 100"],
    )
    for feature, released_on in (("old", "2023-01-01"), ("search", "01-02"), ("boards", "03-31"), ("export", "04-02")):
        company.row("feature_releases", {"feature": feature, "released_on": moment(released_on)})
    # An orphan: neither its feature nor its user is anyone's.
    company.facts("ghost", usage_events=["u1, 03-20, ghostly, 60"], tickets=["03-20, -, -, critical, bug"])


def add_population(company: Company) -> None:
    everyone = (True, True, True)
    company.account("a trial counts", subscriptions=["-, -, 03-01, -, -, -, true"], scored=everyone)
    company.account("churned, but still subscribed", account_outcomes=["03-01, churned"], scored=everyone)
    company.account("subscription ends", subscriptions=["5, 100, 01-01, 03-31"], scored=(True, False, False))
    company.account("subscription ends tomorrow", subscriptions=["5, 100, 01-01, 04-01"], scored=(True, True, False))
    company.account("subscription begins", subscriptions=["5, 100, 03-31"], scored=(False, True, True))
    company.account("never subscribed", subscriptions=None, scored=(False, False, False))
    company.account("comes back", subscriptions=["5, 100, 01-01, 03-31", "5, 100, 04-01"], scored=(True, False, True))
    # Subscribed before it was created: it is scored from its creation on.
    company.account("created at the end of the day", created="03-31 end", scored=(False, True, True))
    company.account("created tomorrow", created="04-01 00:00", scored=(False, False, True))


def add_usage(company: Company) -> None:
    # 03-30: never used, tenure 819. 03-31: 820.
    company.account(
        "never used the product",
        expect={
            "active_days_28d": 0,
            "active_users_28d": 0,
            "license_utilization_28d": 0,
            "active_user_trend_28d": NA,
            "stickiness_28d": 0,
            "minutes_per_active_user_28d": 0,
            "feature_breadth_90d": 0,
            "new_feature_adoption_90d": 0,
            "days_since_last_activity": (819, 820, 821),
            "user_retention_28d": NA,
            "usage_vs_baseline_28d": NA,
            "active_periods_streak": 0,
            "onboarding_rate_30d": NA,  # tenure > 120
        },
    )
    company.account(
        "never used, 30 days old",  # 29, 30 and 31 days
        created="03-01",
        expect={
            "active_days_28d": (NA, NA, 0),
            "active_users_28d": (NA, NA, 0),
            "license_utilization_28d": (NA, NA, 0),
            "active_user_trend_28d": (NA, NA, NA),
            "stickiness_28d": (NA, NA, 0),
            "minutes_per_active_user_28d": (NA, NA, 0),
            "feature_breadth_90d": (NA, NA, 0),
            "new_feature_adoption_90d": (NA, NA, 0),
            "days_since_last_activity": (NA, NA, 31),
            "user_retention_28d": (NA, NA, NA),
            "usage_vs_baseline_28d": (NA, NA, NA),
            "active_periods_streak": (NA, NA, 0),
            "onboarding_rate_30d": (NA, NA, 0),
        },
    )
    company.account(
        "used on the first instant of the 28 days",
        usage_events=["u1, 03-04 00:00, -, 600"],
        expect={
            "active_days_28d": (1, 1, 0),
            "active_users_28d": (1, 1, 0),
            "license_utilization_28d": (Fraction(1, 10), Fraction(1, 10), 0),
            "active_user_trend_28d": (NA, NA, -1),  # nobody in the 28 days before, then from one user to none
            "stickiness_28d": (Fraction(1, 28), Fraction(1, 28), 0),
            "minutes_per_active_user_28d": (10, 10, 0),
            "feature_breadth_90d": 0,
            "days_since_last_activity": (26, 27, 28),
            "user_retention_28d": (NA, NA, 0),
            "usage_vs_baseline_28d": (NA, NA, 0),
            "active_periods_streak": (1, 1, 0),
        },
    )
    company.account(
        "used on the last instant before the 28 days",
        usage_events=["u1, 03-03 end, -, 600"],
        expect={
            "active_days_28d": (1, 0, 0),
            "active_users_28d": (1, 0, 0),
            "license_utilization_28d": (Fraction(1, 10), 0, 0),
            "active_user_trend_28d": (NA, -1, -1),
            "stickiness_28d": (Fraction(1, 28), 0, 0),
            "minutes_per_active_user_28d": (10, 0, 0),
            "days_since_last_activity": (27, 28, 29),
            "user_retention_28d": (NA, 0, 0),
            "usage_vs_baseline_28d": (NA, 0, 0),
            "active_periods_streak": (1, 0, 0),
        },
    )
    company.account(
        "used on the last instant of the day",
        usage_events=["u1, 03-31 end, -, 600"],
        expect={
            "active_days_28d": (0, 1, 1),
            "active_users_28d": (0, 1, 1),
            "license_utilization_28d": (0, Fraction(1, 10), Fraction(1, 10)),
            "stickiness_28d": (0, Fraction(1, 28), Fraction(1, 28)),
            "minutes_per_active_user_28d": (0, 10, 10),
            "days_since_last_activity": (819, 0, 1),
            "active_periods_streak": (0, 1, 1),
        },
    )
    company.account(
        "used at midnight after the day",
        usage_events=["u1, 04-01 00:00, -, 600"],
        expect={
            "active_days_28d": (0, 0, 1),
            "active_users_28d": (0, 0, 1),
            "license_utilization_28d": (0, 0, Fraction(1, 10)),
            "stickiness_28d": (0, 0, Fraction(1, 28)),
            "minutes_per_active_user_28d": (0, 0, 10),
            "days_since_last_activity": (819, 820, 0),
            "active_periods_streak": (0, 0, 1),
        },
    )
    company.account(
        "an ordinary month",
        usage_events=[
            "u1, 2023-12-10 12:00",
            "u1, 2023-12-11 00:00",
            *("u1, 02-10 09:00", "u2, 02-10 10:00", "u3, 02-20 09:00", "u4, 03-03 09:00, -, 6000"),
            *("u1, 03-05 09:00, -, 90", "u1, 03-05 11:00", "u2, 03-05 12:00, -, 210"),
            *("u1, 03-20 09:00", "u5, 03-31 09:00"),
        ],
        expect={
            "active_days_28d": 3,  # 03-05, 03-20, 03-31
            "active_users_28d": 3,  # u1, u2, u5; before: u1 to u4
            "license_utilization_28d": Fraction(3, 10),
            "active_user_trend_28d": Fraction(-1, 4),  # (3 - 4) / 4
            "stickiness_28d": Fraction(1, 21),  # (2 + 1 + 1) / 28 / 3
            "minutes_per_active_user_28d": Fraction(5, 3),  # (90 + 210) / 60 / 3
            "days_since_last_activity": (10, 0, 1),
            "user_retention_28d": Fraction(1, 2),  # u1 and u2 of u1 to u4
            # (5 / 28) / (5 / 84); from 04-01 on the event of 12-11 is out of the baseline as well: (5 / 28) / (4 / 84).
            # On 03-30: u4 of 03-03 is in the 28 days, u5 not yet; 12-10 to 02-20 have 5 events.
            "usage_vs_baseline_28d": (3, 3, Fraction(15, 4)),
            "active_periods_streak": 2,  # none in 01-08 .. 02-04, so that of 12-11 .. 01-07 does not count
        },
    )
    company.account(
        "users by mail address",
        # One person, whatever the case of the address; u1 and U1 are two, since they are not addresses.
        usage_events=["Ann@Example.com, 02-20", "ann@example.com, 03-10", "ANN@EXAMPLE.COM, 03-11", "u1, 03-10", "U1, 03-10"],
        survey_responses=["nps, 0, 03-01, Ann@example.com", "nps, 10, 03-02, ann@EXAMPLE.com"],
        expect={"active_users_28d": 3, "user_retention_28d": 1, "active_user_trend_28d": 2, "nps_180d": 100},
    )
    company.account(
        "retained at the outer edges",
        # Before: u1, u2 | u1 | nobody. Within: u2 | u1, u2 | u1, u2.
        usage_events=["u1, 02-05 00:00", "u1, 03-31 end", "u2, 02-04 end", "u2, 03-10"],
        expect={
            "user_retention_28d": (Fraction(1, 2), 1, NA),
            "active_user_trend_28d": (Fraction(-1, 2), 1, NA),
        },
    )
    company.account(
        "retained at the inner edges",
        # Before: nobody | u1 | u1, u2. Within: u1, u2 | u1, u2 | u1.
        usage_events=["u1, 03-03 end", "u1, 03-20", "u2, 03-04 00:00"],
        expect={"user_retention_28d": (NA, 1, Fraction(1, 2)), "active_user_trend_28d": (NA, 1, Fraction(-1, 2))},
    )
    company.account(
        "the trend waits for 56 days",  # 54, 55 and 56 days old
        created="02-05",
        usage_events=["u1, 02-20", "u1, 03-10", "u2, 03-10"],
        expect={"active_user_trend_28d": (NA, NA, 1), "user_retention_28d": 1},
    )
    company.account(
        "the baseline waits for 112 days",  # 110, 111 and 112 days old
        created="2023-12-11",
        usage_events=["u1, 2023-12-20", "u1, 03-10", "u1, 03-11"],
        expect={"usage_vs_baseline_28d": (NA, NA, 6)},  # (2 / 28) / (1 / 84)
    )
    company.account(
        "events without a duration",
        usage_events=["u1, 03-04 00:00, -, 600", "u1, 03-20"],
        expect={"minutes_per_active_user_28d": (10, 10, MISSING)},
    )
    company.account(
        "a duration of zero",
        usage_events=["u1, 03-20, -, 0", "u2, 03-21"],
        expect={"minutes_per_active_user_28d": 0, "active_users_28d": 2},
    )
    # Periods back from 03-31 end on 03-31, 03-03, 02-04, ... Period i is [03-31 - 28i - 27, 03-31 - 28i].
    ends = [DAYS[1] - timedelta(days=28 * period) for period in range(14)]
    company.account(
        "fourteen periods on their last days",
        usage_events=[f"u1, {day} 23:00" for day in ends],
        expect={"active_periods_streak": (13, 13, 13)},
    )
    company.account(
        "twelve periods on their first days",
        usage_events=[f"u1, {day - timedelta(days=27)} 00:00" for day in ends[:12]],
        expect={"active_periods_streak": (12, 12, 0)},  # on 04-01 the first period is 03-05 .. 04-01
    )


def add_seats(company: Company) -> None:
    used = ["u1, 03-10", "u2, 03-11"]
    for case, seats in (("seats are not given", "-"), ("no seats were sold", "0")):
        company.account(
            case,
            created="02-01",
            subscriptions=[f"{seats}, 100, 02-01"],
            usage_events=used,
            expect={"license_utilization_28d": NA, "onboarding_rate_30d": NA, "active_users_28d": 2},
        )
    company.account(
        "never used, no seats",
        subscriptions=["-, 100, 2022-01-01"],
        expect={"license_utilization_28d": NA, "active_users_28d": 0},
    )
    company.account(
        "seats of several subscriptions",
        # In force: 5 + 3 throughout, one without a number, 100 until 03-30, 2 from 04-01 on.
        subscriptions=["5, 1, 01-01", "3, 1, 01-01", "-, 1, 01-01", "100, 1, 01-01, 03-31", "2, 1, 04-01"],
        usage_events=used,
        expect={"license_utilization_28d": (Fraction(2, 108), Fraction(2, 8), Fraction(2, 10))},
    )
    company.account(
        "users join, 120 days old",  # 119, 120 and 121 days
        created="2023-12-02",
        subscriptions=["8, 100, 2023-12-02"],
        usage_events=["u1, 03-02 00:00", "u2, 03-01 end", "u2, 03-20", "u3, 03-31 end", "u4, 03-31"],
        expect={"onboarding_rate_30d": (Fraction(2, 8), Fraction(3, 8), NA)},  # u1, u2 | u1, u3, u4
    )
    company.account(
        "users join at the edges",
        created="02-15",
        usage_events=["u1, 03-02 00:00", "u2, 04-01 00:00", "u3, 04-01 12:00"],
        expect={"onboarding_rate_30d": (Fraction(1, 10), Fraction(1, 10), Fraction(2, 10))},
    )
    company.account(
        "a user from before the account",
        created="03-10",
        usage_events=["u1, 02-20", "u1, 03-15"],
        expect={"onboarding_rate_30d": 0},  # its first event ever was before the 30 days
    )


def add_features(company: Company) -> None:
    # Anyone: search, boards, old and retired; without retired on 04-01. Released: search | search, boards | boards.
    company.account(
        "features on the first instant of the 90 days",
        usage_events=["u1, 01-02 00:00, search", "u1, 01-01 end, old"],
        expect={
            "feature_breadth_90d": (Fraction(2, 4), Fraction(1, 4), 0),
            "new_feature_adoption_90d": (1, Fraction(1, 2), 0),  # used on the day of its release
        },
    )
    company.account(
        "features on the last instant of the day",
        usage_events=["u1, 03-31 end, boards", "u2, 03-31 end, boards", "u1, 04-01 00:00, search"],
        expect={
            "feature_breadth_90d": (0, Fraction(1, 4), Fraction(2, 3)),
            "new_feature_adoption_90d": (0, Fraction(1, 2), 1),
        },
    )
    company.account(
        "used before their release only",
        usage_events=["u1, 01-01 end, search", "u1, 03-30 end, boards", "u1, 03-30, old"],
        expect={
            "feature_breadth_90d": (Fraction(3, 4), Fraction(2, 4), Fraction(2, 3)),
            "new_feature_adoption_90d": (0, 0, 0),
        },
    )
    company.account(
        "used before and after the release",
        usage_events=["u1, 2023-12-01, search", "u1, 02-01, search"],
        expect={"new_feature_adoption_90d": (1, Fraction(1, 2), 0)},
    )
    company.account(
        "all new features",
        usage_events=["u1, 02-01, search", "u1, 03-31, boards", "u1, 03-31, old"],
        expect={"feature_breadth_90d": Fraction(3, 4), "new_feature_adoption_90d": (1, 1, 1)},
    )


def add_commercial(company: Company) -> None:
    days_late: dict[str, tuple[list[str], tuple[Expected, Expected, Expected]]] = {
        "no invoices": ([], (NA, NA, NA)),
        "due on the first day of the 180": (["2023-09-01, 2023-10-04, 2023-10-14, 1"], (10, 10, NA)),
        "due before the 180 days": (["2023-09-01, 2023-10-03, 2023-10-14, 1"], (11, NA, NA)),
        "due today": (["03-01, 03-31, -, 1"], (NA, 0, 1)),
        "unpaid for days": (["03-01, 03-21, -, 1"], (9, 10, 11)),
        "paid after the day": (["03-01, 03-29, 04-20, 1"], (1, 2, 3)),
        "paid late": (["03-01, 03-29, 03-31, 1"], (1, 2, 2)),
        "paid before it was due": (["03-01, 03-21, 03-02, 1"], (0, 0, 0)),
        "voided": (["03-01, 03-11, -, 1, 03-31"], (19, NA, NA)),
        "voided tomorrow": (["03-01, 03-11, -, 1, 04-01"], (19, 20, NA)),
        "issued after it was due": (["03-31, 03-11, -, 1"], (NA, 20, 21)),
        "a credit note": (["03-01, 03-11, -, -1"], (NA, NA, NA)),
        "an invoice of nothing": (["03-01, 03-11, -, 0"], (NA, NA, NA)),
        "written off": (["03-01, 03-29, -, 1, -, -, 1, 03-31"], (1, 2, 2)),
        "paid before it was written off": (["03-01, 03-21, 03-30, 1, -, -, -, 03-31"], (9, 9, 9)),
        "nothing open, paid nobody knows when": (["03-01, 03-11, -, 1, -, -, 0"], (0, 0, 0)),
        "nothing open, paid late": (["03-01, 03-29, 03-31, 1, -, -, 0"], (1, 2, 2)),
        "paid in part": (["03-01, 03-21, -, 10, -, -, 1"], (9, 10, 11)),
        # 10, -, 1, 0 | 10, 0, 2, 0 | -, 1, 3, 0
        "several invoices": (
            [
                "2023-09-01, 2023-10-04, 2023-10-14, 1",
                "03-01, 03-31, -, 1",
                "03-01, 03-29, 04-20, 1",
                "03-01, 03-21, 03-02, 1",
            ],
            (Fraction(11, 3), 3, Fraction(4, 3)),
        ),
    }
    for case, (invoices, expected) in days_late.items():
        company.account(f"days late: {case}", invoices=invoices, expect={"days_late_180d": expected})

    # The earliest due date of what is owed: not of what is settled, voided, a credit note or not yet due.
    oldest: dict[str, tuple[list[str], tuple[Expected, Expected, Expected]]] = {
        "no invoices": ([], (0, 0, 0)),
        "due today": (["03-01, 03-31, -, 1"], (0, 0, 1)),
        "due years ago": (["2022-01-01, 2022-02-01, -, 1", "03-01, 03-11, -, 1"], (788, 789, 790)),
        "paid today": (["01-01, 03-01, 03-31, 1", "03-01, 03-29, -, 1"], (29, 2, 3)),
        "written off today": (["01-01, 03-01, -, 1, -, -, 1, 03-31"], (29, 0, 0)),
        "voided today": (["01-01, 03-01, -, 1, 03-31"], (29, 0, 0)),
        "issued today": (["03-31, 03-01, -, 1"], (0, 30, 31)),
        "a credit note": (["01-01, 03-01, -, -1"], (0, 0, 0)),
        "paid in part": (["01-01, 03-01, -, 10, -, -, 1"], (29, 30, 31)),
        "nothing open": (["01-01, 03-01, -, 10, -, -, 0"], (0, 0, 0)),
    }
    for case, (invoices, expected) in oldest.items():
        company.account(f"oldest claim: {case}", invoices=invoices, expect={"days_overdue_oldest": expected})

    quarter = Fraction(1, 4)
    overdue: dict[str, tuple[list[str], tuple[Expected, Expected, Expected]]] = {
        "no invoices": ([], (0, 0, 0)),
        "due yesterday": (["03-01, 03-30, -, 50"], (0, quarter, quarter)),
        "due today": (["03-01, 03-31, -, 50"], (0, 0, quarter)),
        "paid today": (["01-01, 02-01, 03-31, 50"], (quarter, 0, 0)),
        "paid tomorrow": (["01-01, 02-01, 04-01, 50"], (quarter, quarter, 0)),
        "voided today": (["01-01, 02-01, -, 50, 03-31"], (quarter, 0, 0)),
        "issued today": (["03-31, 03-01, -, 50"], (0, quarter, quarter)),
        "due years ago": (["2022-01-01, 2022-02-01, -, 50"], (quarter, quarter, quarter)),
        # 100 EUR are 110 until 2023-12-31 and 120 from 2024-01-01 on; a currency that is not given is USD: 240 / 200.
        "in euros": (
            ["2023-12-31, 01-09, -, 100, -, EUR", "01-01, 01-09, -, 100, -, EUR", "01-01, 01-09, -, 10"],
            (Fraction(6, 5), Fraction(6, 5), Fraction(6, 5)),
        ),
        "paid in part": (["01-01, 02-01, -, 100, -, -, 50"], (quarter, quarter, quarter)),
        "paid in part, then paid": (["01-01, 02-01, 03-31, 100, -, -, 50"], (quarter, 0, 0)),
        "nothing open, paid nobody knows when": (["01-01, 02-01, -, 50, -, -, 0"], (0, 0, 0)),
        "written off today": (["01-01, 02-01, -, 50, -, -, 50, 03-31"], (quarter, 0, 0)),
        "a credit note beside it": (["01-01, 02-01, -, 50", "01-01, 02-01, -, -40"], (quarter, quarter, quarter)),
        # 40 of 100 EUR are open: 48.
        "in part in euros": (["01-01, 01-09, -, 100, -, EUR, 40"], (Fraction(6, 25), Fraction(6, 25), Fraction(6, 25))),
    }
    for case, (invoices, expected) in overdue.items():
        company.account(f"overdue: {case}", invoices=invoices, expect={"overdue_ratio": expected})
    for mrr in ("0", "-"):
        company.account(
            f"overdue: mrr {mrr}",
            subscriptions=[f"1, {mrr}, 2022-01-01"],
            invoices=["01-01, 02-01, -, 50"],
            expect={"overdue_ratio": NA, "mrr_trend_90d": NA},
        )
    company.account(
        "overdue: a trial is worth nothing",
        subscriptions=["1, 500, 2022-01-01, -, -, -, true"],
        invoices=["01-01, 02-01, -, 50"],
        expect={"overdue_ratio": NA, "mrr_trend_90d": NA, "days_overdue_oldest": (58, 59, 60)},
    )
    company.account(
        "overdue: the fee is in euros",  # 100 EUR, begun in 2023: 110
        subscriptions=["1, 100, 2023-12-31, -, -, EUR"],
        invoices=["01-01, 02-01, -, 55"],
        expect={"overdue_ratio": Fraction(1, 2)},
    )

    # 90 days before the three days: 2023-12-31, 2024-01-01, 2024-01-02.
    trends: dict[str, tuple[list[str], tuple[Expected, Expected, Expected]]] = {
        "the price changes": (
            ["1, 200, 2022-01-01, 01-02", "1, 150, 01-02"],
            (Fraction(-1, 4), Fraction(-1, 4), 0),
        ),
        "the first subscription begins": (["1, 100, 01-01", "1, 50, 02-01"], (NA, Fraction(1, 2), Fraction(1, 2))),
        "free before": (["1, 0, 2022-01-01, 02-01", "1, 50, 02-01"], (NA, NA, NA)),
        "no price before": (["1, -, 2022-01-01, 02-01", "1, 50, 02-01"], (NA, NA, NA)),
        "no price now": (["1, 100, 2022-01-01, 02-01", "1, -, 02-01"], (MISSING, MISSING, MISSING)),
        "free now": (["1, 100, 2022-01-01, 02-01", "1, 0, 02-01"], (-1, -1, -1)),
        "one of several has no price": (["1, 100, 2022-01-01", "1, -, 02-01"], (0, 0, 0)),
        # The rate steps from 1.1 to 1.2 on 2024-01-01; both sides are converted at 1.2.
        "same price in euros": (["1, 100, 2022-01-01, 02-01, -, EUR", "1, 100, 02-01, -, -, EUR"], (0, 0, 0)),
        # (120 - (120 + 80)) / (120 + 80)
        "dollars beside euros end": (
            ["1, 100, 2022-01-01, -, -, EUR", "1, 80, 2022-01-01, 02-01"],
            (Fraction(-2, 5), Fraction(-2, 5), Fraction(-2, 5)),
        ),
        "a trial before": (["1, 100, 2022-01-01, 02-01, -, -, true", "1, 50, 02-01"], (NA, NA, NA)),
        "a trial beside it": (["1, 100, 2022-01-01", "1, 70, 02-01, -, -, -, true"], (0, 0, 0)),
        # The first row was never ended: it ends when the next of the same subscription begins.
        "rows of a subscription overlap": (
            ["1, 200, 2022-01-01, -, -, -, -, same", "1, 150, 01-02, -, -, -, -, same"],
            (Fraction(-1, 4), Fraction(-1, 4), 0),
        ),
        "the earlier of overlapping rows does not come back": (
            [
                *("1, 200, 2022-01-01, -, -, -, -, again", "1, 50, 02-01, 03-01, -, -, -, again"),
                "1, 100, 2022-01-01",
            ],
            (Fraction(-2, 3), Fraction(-2, 3), Fraction(-2, 3)),
        ),
        "a row that ends on the day it begins ends the one before": (
            [*("1, 200, 2022-01-01, -, -, -, -, empty", "1, 50, 02-01, 02-01, -, -, -, empty"), "1, 50, 2022-01-01"],
            (Fraction(-4, 5), Fraction(-4, 5), Fraction(-4, 5)),
        ),
    }
    for case, (subscriptions, expected) in trends.items():
        company.account(f"mrr: {case}", subscriptions=subscriptions, expect={"mrr_trend_90d": expected})


def add_renewals(company: Company) -> None:
    to_renewal: dict[str, tuple[list[str], tuple[Expected, Expected, Expected]]] = {
        "no term": (["1, 1, 2022-01-01"], (MISSING, MISSING, MISSING)),
        "the term is over": (["1, 1, 2022-01-01, -, 03-30"], (0, MISSING, MISSING)),
        "the earlier of two terms": (["1, 1, 2022-01-01, -, 03-31", "1, 1, 2022-01-01, -, 06-29"], (1, 0, 89)),
        # The first is in force on 03-30 only.
        "the term of an ended one": (["1, 1, 2022-01-01, 03-31, 04-05", "1, 1, 2022-01-01, -, 12-31"], (6, 275, 274)),
        "a term without an end": (["1, 1, 2022-01-01, -, 9999-12-31"], (MISSING, MISSING, MISSING)),
        "the end of another": (["1, 1, 2022-01-01, -, 9999-12-31", "1, 1, 2022-01-01, -, 06-29"], (91, 90, 89)),
        "the term of a later one": (["1, 1, 2022-01-01", "1, 1, 04-01, -, 04-05"], (MISSING, MISSING, 4)),
    }
    for case, (subscriptions, expected) in to_renewal.items():
        company.account(f"renewal: {case}", subscriptions=subscriptions, expect={"days_to_renewal": expected})

    company.account(
        "renewed: two subscriptions in force",
        subscriptions=["1, 1, 2023-01-01", "1, 1, 01-01", "1, 1, 03-01, 03-31"],
        expect={"days_since_renewal": (29, 90, 91)},  # since 03-01, as long as that is in force; then since 01-01
    )
    company.account(
        "renewed: today and tomorrow",
        subscriptions=["1, 1, 2023-03-31"],
        account_outcomes=["03-31, renewed", "04-01, renewed", "03-30, expanded"],
        expect={"days_since_renewal": (365, 0, 0)},
    )
    company.account(
        "renewed: before the subscription in force began",
        subscriptions=["1, 1, 2022-01-01, 03-01", "1, 1, 03-01"],
        account_outcomes=["2023-12-01, renewed"],
        expect={"days_since_renewal": (29, 30, 31)},
    )
    company.account("expansions: none", expect={"expansions_365d": 0})
    company.account(
        "expansions: at the edges",
        account_outcomes=[
            *("2023-04-01, expanded", "2023-04-02, expanded", "2023-04-02, expanded"),
            *("2023-09-01, contracted", "2023-09-01, renewed"),
            *("03-31, expanded", "03-31, expanded", "04-01, expanded"),
        ],
        expect={"expansions_365d": (3, 4, 3)},  # 1 + 2 | 2 + 2 | 2 + 1
    )


def add_support(company: Company) -> None:
    company.account(
        "no tickets",
        expect={
            "critical_open_tickets": 0,
            "escalations_90d": 0,
            "tickets_per_10_users_28d": 0,
            "negative_ticket_share_90d": NA,
            "median_first_reply_hours_90d": NA,
            "median_resolution_hours_90d": NA,
        },
    )
    critical: dict[str, tuple[str, tuple[Expected, Expected, Expected]]] = {
        "opened on the last instant": ("03-31 end, -, -, critical", (0, 1, 1)),
        "opened tomorrow": ("04-01 00:00, -, -, critical", (0, 0, 1)),
        "resolved on the last instant": ("2022-02-01, -, 03-31 end, critical", (1, 0, 0)),
        "resolved tomorrow": ("2022-02-01, -, 04-01 00:00, critical", (1, 1, 0)),
        "of high priority": ("03-01, -, -, high", (0, 0, 0)),
        "without a priority": ("03-01, -, -, -, bug", (0, 0, 0)),
    }
    for case, (ticket, expected) in critical.items():
        company.account(f"critical ticket {case}", tickets=[ticket], expect={"critical_open_tickets": expected})
    escalated: dict[str, tuple[str, tuple[Expected, Expected, Expected]]] = {
        "the first instant of the 90 days": ("01-02 00:00", (1, 1, 0)),
        "the instant before": ("01-01 end", (1, 0, 0)),
        "the last instant of the day": ("03-31 end", (0, 1, 1)),
        "midnight after the day": ("04-01 00:00", (0, 0, 1)),
    }
    for case, (at, expected) in escalated.items():
        tickets = [f"2023-12-01, -, -, low, bug, {at}", "03-01, -, -, low, bug, -"]
        company.account(f"escalated on {case}", tickets=tickets, expect={"escalations_90d": expected})
    company.account(
        "escalated and resolved before the opening",
        # The 90 days of the escalation begin at the opening: 01-02 .. 03-31 and 03-31 .. 06-28.
        tickets=["01-02 00:00, -, -, low, bug, 2023-12-01", "03-31 end, -, 03-01, critical, bug, 03-01"],
        expect={"escalations_90d": (1, 2, 1), "critical_open_tickets": (0, 0, 0)},
    )
    company.account(
        "tickets of four users",
        usage_events=[f"u{n}, 03-20" for n in range(4)],
        tickets=["03-04 00:00", "03-04 00:00", "03-03 end", "03-31 end", "04-01 00:00"],
        # Fewer than ten users count as ten. 2 + 1 of the first days | 2 + 1 | 1 + 1
        expect={"tickets_per_10_users_28d": (3, 3, 2)},
    )
    company.account(
        "tickets of twelve users",
        usage_events=[f"u{n}, 03-20" for n in range(12)],
        tickets=["03-10", "03-11", "03-12"],
        expect={"tickets_per_10_users_28d": Fraction(5, 2)},
    )
    company.account(
        "tickets without users",
        tickets=["03-04 00:00", "03-03 end"],
        expect={"tickets_per_10_users_28d": (2, 1, 0)},
    )
    company.account(
        "tickets of every topic",
        tickets=[f"03-10, -, -, low, {topic}" for topic in ("question", "bug", "billing", "feature_request", "complaint", "other", "-")],
        expect={"negative_ticket_share_90d": Fraction(3, 7)},
    )
    company.account(
        "topics at the edges",
        # question throughout; with it bug, billing | bug, other | other, complaint
        tickets=[
            f"{at}, -, -, low, {topic}"
            for at, topic in (
                ("01-01 end", "billing"),
                ("01-02 00:00", "bug"),
                ("03-10", "question"),
                ("03-31 end", "other"),
                ("04-01 00:00", "complaint"),
            )
        ],
        expect={"negative_ticket_share_90d": (Fraction(2, 3), Fraction(1, 3), Fraction(1, 3))},
    )
    company.account("no topic is negative", tickets=["03-10, -, -, low, question"], expect={"negative_ticket_share_90d": 0})
    company.account(
        "tickets opened long ago",
        tickets=["01-01 end, -, -, low, bug"],
        expect={"negative_ticket_share_90d": (1, NA, NA), "tickets_per_10_users_28d": 0},
    )
    # The same times as first replies and as resolutions; {} is the cell that holds none of them.
    for metric, cells in (
        ("median_first_reply_hours_90d", "{opened}, {done}, -"),
        ("median_resolution_hours_90d", "{opened}, -, {done}"),
    ):
        company.account(
            f"{metric}: an odd and an even number",
            tickets=[
                cells.format(opened="2023-12-31 00:00", done="01-02 00:00"),  # 48 h, until 03-31
                cells.format(opened="03-30 12:00", done="03-30 13:30"),  # 1.5 h
                cells.format(opened="03-31 12:00", done="03-31 16:00"),  # 4 h, from 03-31 on
                cells.format(opened="03-01 00:00", done="-"),
            ],
            expect={metric: (Fraction(99, 4), 4, Fraction(11, 4))},
        )
        company.account(
            f"{metric}: first instant",
            tickets=[
                cells.format(opened="01-01 20:59:59.999999", done="01-01 end"),  # 3 h
                cells.format(opened="01-01 23:00", done="01-02 00:00"),  # 1 h
            ],
            expect={metric: (2, 1, NA)},
        )
        company.account(
            f"{metric}: last instant",
            tickets=[
                cells.format(opened="03-31 22:59:59.999999", done="03-31 end"),  # 1 h
                cells.format(opened="03-31 22:00", done="04-01 00:00"),  # 2 h
            ],
            expect={metric: (NA, 1, Fraction(3, 2))},
        )
        company.account(
            f"{metric}: before the opening",
            # Counts as at the opening: 0 h from 03-31 on, beside 4 h throughout.
            tickets=[
                cells.format(opened="03-31 12:00", done="03-01 12:00"),
                cells.format(opened="03-01 12:00", done="03-01 16:00"),
            ],
            expect={metric: (4, 2, 2)},
        )
        company.account(f"{metric}: open", tickets=[cells.format(opened="03-01", done="-")], expect={metric: (NA, NA, NA)})


def add_surveys(company: Company) -> None:
    for metric, survey, before, first in (
        ("csat_180d", "csat", "2023-10-03", "2023-10-04"),
        ("product_rating_365d", "product_rating", "2023-04-01", "2023-04-02"),
    ):
        company.account(
            f"{survey}: at the edges",
            survey_responses=[
                *(f"{survey}, 1, {before} end", f"{survey}, 5, {first} 00:00"),
                *(f"{survey}, 2, 03-31 end", f"{survey}, 4.5, 04-01 00:00", "ces, 1, 03-10"),
            ],
            # 1, 5 | 5, 2 | 2, 4.5
            expect={metric: (3, Fraction(7, 2), Fraction(13, 4))},
        )
        company.account(f"{survey}: older", survey_responses=[f"{survey}, 5, {first} 00:00"], expect={metric: (5, 5, STALE)})
        company.account(
            f"{survey}: the first answer",
            survey_responses=[f"{survey}, 3, 03-31 end", "ces, 1, 03-10"],
            expect={metric: (MISSING, 3, 3)},
        )
        company.account(f"{survey}: none", expect={metric: MISSING})

    company.account(
        "nps: respondents",
        survey_responses=[
            *("nps, 0, 03-01, u1", "nps, 9, 03-02, u1"),  # the latest counts: 9
            *("nps, 9, 03-02, u2", "nps, 6, 03-02, u2"),  # at the same time, the greater key: 6
            *("nps, 10, 03-02", "nps, 10, 03-02"),  # no user: two respondents
            *("nps, 8, 2023-10-04 00:00, u3", "nps, 0, 2023-10-03 end, u4"),
        ],
        # Of 9, 6, 10, 10, 8, 0: 100 x (3 - 2) / 6. Without u4 (3 - 1) / 5. Without u3 (3 - 1) / 4.
        expect={"nps_180d": (Fraction(50, 3), 40, 50)},
    )
    company.account("nps: 6 to 9", survey_responses=[f"nps, {n}, 03-10" for n in (6, 7, 8, 9)], expect={"nps_180d": 0})
    company.account(
        "nps: a new answer on the last instant",
        survey_responses=["nps, 10, 03-01, u1", "nps, 3, 03-31 end, u1"],
        expect={"nps_180d": (100, -100, -100)},
    )
    company.account(
        "nps: a new answer tomorrow",
        survey_responses=["nps, 10, 03-01, u1", "nps, 3, 04-01 00:00, u1"],
        expect={"nps_180d": (100, 100, -100)},
    )
    company.account("nps: older", survey_responses=["nps, 7, 2023-10-04 00:00"], expect={"nps_180d": (0, 0, STALE)})
    company.account("nps: other surveys only", survey_responses=["csat, 4, 03-10"], expect={"nps_180d": MISSING})


def add_contacts(company: Company) -> None:
    company.account(
        "no contacts",
        expect={
            "two_way_touchpoints_90d": 0,
            "contact_minutes_90d": 0,
            "contact_sentiment_90d": MISSING,
            "response_rate_90d": NA,
            "advocacy_365d": 0,
            "csm_pulse": MISSING,
            "champion_days_silent": NA,
            "champions_left_90d": MISSING,
            "engaged_contacts_90d": MISSING,
            "decision_maker_days_silent": NA,
        },
    )
    company.account(
        "contacts at the edges",
        touchpoints=[
            "01-01 end, call, inbound, 10, -, -1",
            "01-01 end, chat, inbound",
            "01-02 00:00, call, inbound, 20, -, 0.5",
            "02-01, meeting, outbound, 5.5, true, 0.25",
            "02-02, email, outbound, -, false",
            "02-03, campaign, outbound",
            "03-31 end, meeting, outbound, 100, true",
            "04-01 00:00, call, inbound, 1000, -, 1",
        ],
        expect={
            "two_way_touchpoints_90d": (4, 3, 3),  # 2 + 1 + 1 | 1 + 1 + 1 | 1 + 1 + 1
            "contact_minutes_90d": (Fraction("35.5"), Fraction("125.5"), Fraction("1105.5")),
            # (-1 + 0.5 + 0.25) / 3 | (0.5 + 0.25) / 2 | (0.25 + 1) / 2
            "contact_sentiment_90d": (Fraction(-1, 12), Fraction(3, 8), Fraction(5, 8)),
            "response_rate_90d": (Fraction(1, 3), Fraction(2, 4), Fraction(2, 4)),
        },
    )
    company.account(
        "sent at the edges",
        touchpoints=[
            *("01-01 end, email, outbound, -, false", "01-02 00:00, email, outbound, -, true"),
            *("04-01 00:00, email, outbound, -, false", "03-10, call, inbound, 0, true, 0"),
        ],
        expect={
            "response_rate_90d": (Fraction(1, 2), 1, 0),
            "two_way_touchpoints_90d": (2, 2, 1),
            "contact_sentiment_90d": 0,  # a true zero
        },
    )
    company.account(
        "contacts without minutes or sentiment",
        touchpoints=["03-10, chat, inbound"],
        expect={"contact_minutes_90d": 0, "contact_sentiment_90d": MISSING, "response_rate_90d": NA},
    )
    company.account(
        "advocacy at the edges",
        advocacy_events=[
            *("2023-04-01 end, review", "2023-04-02 00:00, referral", "2023-04-02 00:00, community"),
            *("03-31 end, case_study", "03-31 end, reference_call", "04-01 00:00, review"),
        ],
        expect={"advocacy_365d": (3, 4, 3)},  # 1 + 2 | 2 + 2 | 2 + 1
    )
    pulses: dict[str, tuple[list[str], tuple[Expected, Expected, Expected]]] = {
        "on the first instant of the 90 days": (["01-02 00:00, 4"], (4, 4, STALE)),
        "on the instant before": (["01-01 end, 4"], (4, STALE, STALE)),
        "the latest of two": (["02-01, 4", "03-31 end, 1"], (4, 1, 1)),
        "tomorrow": (["02-01, 4", "04-01 00:00, 2.5"], (4, 4, Fraction(5, 2))),
        "the first ever": (["03-31, 3"], (MISSING, 3, 3)),
        "two at once": (["03-01 09:00, 5", "03-01 09:00, 2"], (2, 2, 2)),
    }
    for case, (lines, expected) in pulses.items():
        company.account(f"pulse {case}", csm_pulses=lines, expect={"csm_pulse": expected})


def add_people(company: Company) -> None:
    """The neighbour's touchpoint of 2022 names somebody, so whoever has no user could be heard of, too."""
    company.account(
        "people: the last champion leaves",
        contacts=["p1, champion, 2023-01-01, 03-31, u1"],
        usage_events=["u1, 03-20"],
        expect={
            "champion_days_silent": (10, NA, NA),
            "champions_left_90d": (0, 1, 1),
            "engaged_contacts_90d": (1, 1, 1),
            "decision_maker_days_silent": NA,
        },
    )
    company.account(
        "people: a champion without a user",
        contacts=["p1, champion, 2023-01-01"],
        usage_events=["u1, 03-29"],
        touchpoints=["03-25, email, outbound, -, true, -, p1", "03-28, email, outbound, -, false, -, p1", "03-29, call, inbound"],
        expect={"champion_days_silent": (5, 6, 7), "engaged_contacts_90d": 1, "champions_left_90d": 0},
    )
    company.account(
        "people: one of two champions is silent",
        contacts=["p1, champion, 2023-01-01, -, u1", "p2, champion, 2023-01-01, -, u2"],
        usage_events=["u1, 03-29", "u2, 01-01 end"],
        expect={"champion_days_silent": (1, 2, 3), "engaged_contacts_90d": (2, 1, 1)},
    )
    # A contact of two accounts: what is heard in one says nothing about the other.
    company.account(
        "people: of this account",
        contacts=["shared, decision_maker, 2023-01-01"],
        touchpoints=["03-30 end, call, inbound, 5, -, -, shared"],
        expect={"decision_maker_days_silent": (0, 1, 2), "engaged_contacts_90d": 1, "champion_days_silent": NA},
    )
    company.account(
        "people: and of that",
        contacts=["shared, champion, 03-01"],
        expect={"champion_days_silent": (29, 30, 31), "engaged_contacts_90d": 0, "decision_maker_days_silent": NA},
    )
    company.account(
        "people: joined tomorrow",
        contacts=["p1, champion, 03-31"],
        expect={
            "champion_days_silent": (NA, 0, 1),
            "champions_left_90d": (MISSING, 0, 0),
            "engaged_contacts_90d": (MISSING, 0, 0),
        },
    )
    company.account(
        "people: left before joining",  # the only row is in quarantine
        contacts=["p1, champion, 03-31, 03-30"],
        expect={"champion_days_silent": NA, "champions_left_90d": MISSING, "engaged_contacts_90d": MISSING},
    )
    company.account(
        "people: promoted and replaced",  # 2023-01-01 to 03-30 are 454 days, of which a year counts
        contacts=["p1, champion, 2023-01-01", "p1, decision_maker, 03-31", "p2, champion, 04-01"],
        expect={
            "champion_days_silent": (365, NA, 0),
            "champions_left_90d": (0, 1, 0),
            "decision_maker_days_silent": (NA, 0, 1),
            "engaged_contacts_90d": 0,
        },
    )
    company.account(
        "people: heard of 365 days ago",  # 2023-04-01 to 03-31: in a leap year
        contacts=["p1, champion, 2023-01-01, -, u1", "p2, decision_maker, 2023-01-01, -, u2"],
        usage_events=["u1, 2023-04-02", "u2, 2023-04-01"],
        expect={"champion_days_silent": (363, 364, 365), "decision_maker_days_silent": (364, 365, 365), "engaged_contacts_90d": 0},
    )
    company.account(
        "people: left at the edges",
        contacts=["p1, champion, 2022-05-01, 01-01", "p2, champion, 2022-05-01, 01-02", "p3, champion, 2022-05-01, 04-01"],
        expect={"champions_left_90d": (2, 1, 1), "champion_days_silent": (365, 365, NA)},
    )
    company.account(
        "people: mail addresses",  # of two spellings on one day the greater counts
        contacts=[
            "p1, champion, 2023-01-01, -, Ann@Example.com",
            "BO@example.com, user, 2023-01-01",
            "bo@example.com, decision_maker, 2023-01-01",
        ],
        usage_events=["ann@example.COM, 03-27"],
        touchpoints=["03-25, call, inbound, 5, -, -, Bo@Example.com"],
        expect={"champion_days_silent": (3, 4, 5), "decision_maker_days_silent": (5, 6, 7), "engaged_contacts_90d": 2},
    )
    company.account(
        "people: leaves the day after",
        contacts=["p1, champion, 2023-01-01, 04-02, u1", "p2, user, 2023-01-01, -, u2"],
        usage_events=["u1, 03-30", "u2, 01-02"],
        expect={"champion_days_silent": (0, 1, 2), "champions_left_90d": (0, 0, 0), "engaged_contacts_90d": (2, 2, 1)},
    )
    company.account(
        "people: nobody who matters",
        contacts=["p1, billing, 2023-01-01", "p2, other, 2023-01-01, 03-20"],
        touchpoints=["03-30, call, inbound, 5, -, -, somebody"],
        expect={"champion_days_silent": NA, "champions_left_90d": 0, "engaged_contacts_90d": 0, "decision_maker_days_silent": NA},
    )


def add_outcomes(company: Company) -> None:
    half = Fraction(1, 2)
    goals: dict[str, tuple[list[str], tuple[Expected, Expected, Expected]]] = {
        "none": ([], (MISSING, MISSING, MISSING)),
        "measured on the first of the 180 days": (["g, 2023-10-04, 10, 5"], (half, half, STALE)),
        "measured the day before": (["g, 2023-10-03, 10, 5"], (half, STALE, STALE)),
        "measured today": (["g, 02-01, 10, 10", "g, 03-31, 10, 2"], (1, Fraction(1, 5), Fraction(1, 5))),
        "measured tomorrow": (["g, 02-01, 10, 10", "g, 04-01, 10, 2"], (1, 1, Fraction(1, 5))),
        "measured for the first time": (["g, 03-31, 10, 5"], (MISSING, half, half)),
        "without a target": (["g, 02-01, 0, 5", "h, 02-01, -, 5"], (MISSING, MISSING, MISSING)),
        # Clipped to 2 and to 0; g2 by its latest measurement; no target, no actual value: left out. (2 + 0.5 + 0) / 3
        "several": (
            [
                *("g1, 02-01, 10, 30", "g2, 01-15, 10, 10", "g2, 02-01, 10, 5"),
                *("g3, 02-01, 10, -5", "g4, 02-01, 0, 5", "g5, 02-01, 10, -"),
            ],
            (Fraction(5, 6), Fraction(5, 6), Fraction(5, 6)),
        ),
    }
    for case, (lines, expected) in goals.items():
        company.account(f"goals: {case}", account_goals=lines, expect={"goal_attainment": expected})

    company.account(
        "roi: at the edges",
        account_goals=["g, 2023-04-01, -, -, 100", "g, 2023-04-02, -, -, 300", "g, 03-31, -, -, 60"],
        invoices=[
            *("2023-04-01, 04-20, -, 50", "2023-04-02, 04-20, -, 25"),
            *("03-31, 04-20, -, 15", "04-01, 04-20, -, 100"),
        ],
        # 400 / 75 | 360 / 40 | 60 / 115
        expect={"customer_roi_365d": (Fraction(16, 3), 9, Fraction(12, 23))},
    )
    billed = ["02-01, 03-01, 02-15, 100, -, EUR"]  # 120
    roi: dict[str, tuple[list[str], list[str], tuple[Expected, Expected, Expected]]] = {
        "in euros": (["g, 02-01, -, -, 60"], billed, (half, half, half)),
        "a value of zero": (["g, 02-01, -, -, 0"], billed, (0, 0, 0)),
        "no value": (["g, 02-01, 10, 5"], billed, (MISSING, MISSING, MISSING)),
        "the value is older": (["g, 2023-04-02, -, -, 60"], billed, (half, half, MISSING)),
        "no invoices": (["g, 02-01, -, -, 60"], [], (NA, NA, NA)),
        "neither": ([], [], (MISSING, MISSING, MISSING)),
        "credited in full": (["g, 02-01, -, -, 60"], [*billed, "02-01, 03-01, -, -120"], (NA, NA, NA)),
        "credited beyond": (["g, 02-01, -, -, 60"], [*billed, "02-01, 03-01, -, -150"], (NA, NA, NA)),
        "an invoice is voided": (  # 60 / 160 until then
            ["g, 02-01, -, -, 60"],
            [*billed, "02-01, 03-01, -, 40, 03-31"],
            (Fraction(3, 8), half, half),
        ),
    }
    for case, (lines, invoices, expected) in roi.items():
        company.account(f"roi: {case}", account_goals=lines, invoices=invoices, expect={"customer_roi_365d": expected})


def busy_company() -> Company:
    company = Company()
    for add in (
        add_feeds,
        add_population,
        add_usage,
        add_seats,
        add_features,
        add_commercial,
        add_renewals,
        add_support,
        add_surveys,
        add_contacts,
        add_people,
        add_outcomes,
    ):
        add(company)
    return company


USAGE_METRICS = [key for key, dimension in catalogue().items() if dimension == "adoption"]
TICKET_METRICS = [key for key, dimension in catalogue().items() if dimension == "support" and key != "csat_180d"]
CONTACT_METRICS = ("champion_days_silent", "engaged_contacts_90d", "decision_maker_days_silent", "champions_left_90d")
QUIET_DAYS = (date(2024, 1, 1), date(2024, 4, 10))


def day(text: str) -> date:
    return date.fromisoformat(f"2024-{text}")


def quiet_company() -> Company:
    """Subscriptions, invoices, surveys, touchpoints, goals, pulses and advocacy are not delivered at all."""
    company = Company()
    company.account(
        "steady",
        subscriptions=None,
        # A usage feed that is two days behind is on time, three days are late: it is so from 01-08 to 01-09.
        usage_events=[
            *("u1, 01-05 12:00", "u1, 01-10", "u1, 02-20, boards, 60"),
            *("u1, 04-07", "u1, 04-08", "u1, 04-09 end"),
        ],
        tickets=["01-15 10:00, -, -, critical, bug", "03-01 end, -, -, low, question"],
        contacts=["c1, champion, 01-20, -, u1", "c2, decision_maker, 01-20"],
    )
    company.account("gone", subscriptions=None, account_outcomes=["02-01, churned"])
    company.account("young", created="01-31 end", subscriptions=None)
    # An orphan's event does not begin the feed.
    company.facts("ghost", usage_events=["u1, 01-02, boards, 60"])
    company.row("feature_releases", {"feature": "boards", "released_on": "2024-01-10"})

    def expect(metric: str, cases: Mapping[str, Expected]) -> None:
        company.expect(metric, {("steady", day(text)): value for text, value in cases.items()})

    for metric in USAGE_METRICS:
        # Late goes before the metric's own conditions: so too where no seats, no durations and no features are known.
        expect(metric, {"01-01": MISSING, "01-04": MISSING, "01-08": LATE, "01-09": LATE, "02-23": LATE})
    expect("active_days_28d", {"01-05": 1, "01-07": 1, "01-10": 2, "02-20": 1})
    expect("license_utilization_28d", {"01-07": NA})  # nobody delivers seats
    expect("days_since_last_activity", {"01-05": 0, "01-07": 2, "04-10": 1})
    # Nobody's events have had a duration until 02-20; the account's own have none from 03-19 on.
    expect("minutes_per_active_user_28d", {"01-07": MISSING, "02-20": 1, "04-07": MISSING})
    # Nobody's events have named a feature until 02-20.
    expect("feature_breadth_90d", {"01-07": MISSING, "02-20": 1, "04-10": 1})
    # The only release is that of 01-10; its 90 days end on 04-08.
    expect("new_feature_adoption_90d", {"01-07": MISSING, "01-10": 0, "02-20": 1, "04-08": 1, "04-09": NA})
    for metric in TICKET_METRICS:
        # The tickets are said to be late after 7 days.
        expect(metric, {"01-14": MISSING, "01-23": LATE, "02-29": LATE, "03-09": LATE})
    expect("critical_open_tickets", {"01-15": 1, "01-22": 1, "03-01": 1})
    # The usage feed is late on 01-22, but the ticket metrics' table is on time: 10 x 1 / max(1, 10), and 10 x 1 / max(0, 10).
    expect("tickets_per_10_users_28d", {"01-22": 1, "03-01": 1, "03-08": 1})
    expect("negative_ticket_share_90d", {"01-22": 1, "03-08": Fraction(1, 2)})
    # The table has its first row on 02-01, of another account: from then on none is a true zero.
    expect("expansions_365d", {"01-31": MISSING, "02-01": 0})
    for metric in CONTACT_METRICS:
        expect(metric, {"01-01": MISSING, "01-19": MISSING})
    # While the usage feed is late, silence says nothing. No touchpoint names anybody, so of whom there is no user nobody can hear.
    expect("champion_days_silent", {"01-20": LATE, "02-20": 0, "02-22": 2, "02-23": LATE, "04-10": 1})
    expect("decision_maker_days_silent", {"01-20": LATE, "02-20": MISSING, "04-10": MISSING})
    expect("engaged_contacts_90d", {"01-20": LATE, "02-20": 1, "02-23": LATE, "04-10": 1})
    expect("champions_left_90d", {"01-20": 0, "02-23": 0, "04-10": 0})
    company.expect("champion_days_silent", {("young", day("02-20")): NA})
    company.expect("engaged_contacts_90d", {("young", day("02-20")): MISSING})
    delivered = {*USAGE_METRICS, *TICKET_METRICS, *CONTACT_METRICS, "expansions_365d"}
    for metric in catalogue().keys() - delivered:
        expect(metric, {"01-01": MISSING, "04-10": MISSING})
    return company


BUSY, QUIET = busy_company(), quiet_company()


def read(folder: Path) -> Published:
    mart = folder / "data" / "published" / "current" / "health.duckdb"
    with duckdb.connect(str(mart), read_only=True, config={**SAFE_OPTIONS, "memory_limit": "512MB"}) as connection:
        rows = connection.execute("select account_id, as_of_date, metric_key, value, state from metric_scores_history").fetchall()
    metrics: dict[tuple[str, date], dict[str, float | str]] = {}
    for account_id, as_of_date, metric, value, state in rows:
        assert (value is not None) == (state == "measured")
        of_account = metrics.setdefault((account_id, as_of_date), {})
        assert metric not in of_account
        of_account[metric] = round(value, 9) if state == "measured" else state
    return metrics


def published_once(factory: pytest.TempPathFactory, name: str, run: Callable[[Path], object]) -> Published:
    """Run the pipeline once for all workers of this test session."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / name
    with FileLock(f"{folder}.lock"):
        done = folder / "done"
        if not done.exists():
            run(folder)
            done.touch()
    return read(folder)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return published_once(tmp_path_factory, "busy", lambda folder: run_pipeline(BUSY.write(folder), DAYS[0], DAYS[-1]))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return published_once(tmp_path_factory, "quiet", lambda folder: run_pipeline(QUIET.write(folder, {"tickets": 7}), *QUIET_DAYS))


def told(cases: Mapping[tuple[str, date], Expected | float | None]) -> dict[str, float | str | None]:
    """In words and numbers that compare, sorted so that a failure names the account and the day."""
    return {
        f"{account_id} on {as_of_date}": value if value is None or isinstance(value, str) else round(float(value), 9)
        for (account_id, as_of_date), value in sorted(cases.items())
    }


def check(published: Published, metric: str, cases: Cases) -> None:
    assert cases
    found = {case: published.get(case, {}).get(metric) for case in cases}
    assert told(found) == told(cases)


@pytest.mark.parametrize("metric", catalogue())
def test_metric(busy: Published, metric: str) -> None:
    check(busy, metric, BUSY.expected[metric])


@pytest.mark.parametrize("metric", catalogue())
def test_metric_where_tables_are_absent_empty_or_late(quiet: Published, metric: str) -> None:
    check(quiet, metric, QUIET.expected[metric])


def test_population_with_subscriptions(busy: Published) -> None:
    found = {account_id: tuple((account_id, scored_day) in busy for scored_day in DAYS) for account_id in BUSY.scored}
    assert found == BUSY.scored
    assert {account_id for account_id, _ in busy} <= BUSY.scored.keys()


def test_population_without_subscriptions(quiet: Published) -> None:
    def scored(text: str) -> set[str]:
        return {account_id for account_id, as_of_date in quiet if as_of_date == day(text)}

    assert scored("01-01") == scored("01-30") == {"steady", "gone"}
    assert scored("01-31") == {"steady", "gone", "young"}
    assert scored("02-01") == scored("04-10") == {"steady", "young"}


def test_every_scored_account_has_every_metric_on_every_day(busy: Published, quiet: Published) -> None:
    for published in (busy, quiet):
        assert published
        assert all(metrics.keys() == catalogue().keys() for metrics in published.values())


def test_no_value_is_outside_what_the_catalogue_says_it_can_be(busy: Published, quiet: Published) -> None:
    with (PROJECT_ROOT / "seeds" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        ranges = {row["metric_key"]: (float(row["lowest"] or "-inf"), float(row["highest"] or "inf")) for row in csv.DictReader(stream)}
    values = [(key, value) for published in (busy, quiet) for metrics in published.values() for key, value in metrics.items()]
    outside = [(key, value) for key, value in values if not isinstance(value, str) and not ranges[key][0] <= value <= ranges[key][1]]
    assert values and not outside


def test_the_cases_cover_every_metric_and_state() -> None:
    """Every metric of the catalogue, and for each the states in its row of docs/scoring.md."""
    states: dict[str, set[str]] = {metric: set() for metric in catalogue()}
    for company in (BUSY, QUIET):
        for metric, cases in company.expected.items():
            states[metric] |= {value if isinstance(value, str) else "measured" for value in cases.values()}
    assert all({"measured", MISSING} <= found for found in states.values())
    assert {metric for metric, found in states.items() if LATE in found} == {*USAGE_METRICS, *TICKET_METRICS, *CONTACT_METRICS[:3]}
    assert {metric for metric, found in states.items() if STALE in found} >= {
        *("csat_180d", "nps_180d", "product_rating_365d", "csm_pulse", "goal_attainment")
    }
    not_applicable = {metric for metric, found in states.items() if NA in found}
    assert not_applicable >= {
        *USAGE_METRICS,  # the never-used rule
        *("days_late_180d", "overdue_ratio", "mrr_trend_90d"),
        *("negative_ticket_share_90d", "median_first_reply_hours_90d", "median_resolution_hours_90d"),
        *("response_rate_90d", "customer_roi_365d", "champion_days_silent", "decision_maker_days_silent"),
    }
