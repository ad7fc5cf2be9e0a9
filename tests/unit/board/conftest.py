"""A published mart, written by hand against the contract of `_marts.yml`: what the board is tested on.

Seven accounts on 29 June 2026. Their names and ids are as hostile as text can be; the numbers are few enough to add up
by hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from orchestration.publish.board import write_board
from orchestration.publish.generations import DATABASE
from orchestration.settings import DBT_PROJECT, Settings, load_settings
from orchestration.validate.tables import TABLES as VALIDATION_TABLES
from orchestration.warehouse import connect

AS_OF = date(2026, 6, 29)
PUBLISHED_AT = datetime(2026, 6, 30, 4, 5, tzinfo=UTC)
FIRST_DAY = AS_OF - timedelta(days=59)
RULES_CHANGE = AS_OF - timedelta(days=20)

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://example.invalid","Open")'
BIDI = "Rowan\u202eford\u2066\x00 AG"
LONG = "Long " + "x" * 1_000_000
ODD_ID = "a/b#c%20?d&e=\"f'<g>ü☃"

# account_id: name, tier, score, score 28 days ago, arr, term ends in days, segment, csm
ACCOUNTS: dict[str, tuple] = {
    "calm": ("Calm & Co", "healthy", 80.0, 78.0, 1000.0, 200, "enterprise", "Ada"),
    ODD_ID: (IMAGE, "poor", 20.0, 45.0, 400.0, 30, "smb", "Ben"),
    "script": (SCRIPT, "at_risk", 50.0, 72.0, 600.0, 90, "smb", SCRIPT),
    "formula": (FORMULA, "healthy", 75.0, 60.0, 250.0, 91, IMAGE, "Ada"),
    "bidi": (BIDI, "at_risk", 55.0, 55.0, 100.0, None, "smb", "Ben"),
    "long": (LONG, "healthy", 90.0, 90.0, None, None, None, None),
    "new": ("New one", "unknown", 50.0, None, None, None, "smb", "Ben"),
}


@dataclass(frozen=True)
class Mart:
    """A generation's folder with the mart, its board still to be written or written already."""

    settings: Settings
    folder: Path

    @property
    def board(self) -> Path:
        return self.folder / "board"

    def write(self) -> list[str]:
        return write_board(self.settings, self.folder, PUBLISHED_AT)

    def read(self) -> Any:
        return connect(self.settings, self.folder / DATABASE, read_only=True)


def empty_mart(folder: Path, board: str = "") -> Mart:
    """All tables of the contract, no row."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "health.toml"
    config.write_text(
        '[pipeline]\nstart_date = 2026-01-01\nmemory_limit = "512MB"\nthreads = 2\nreporting_currency = "EUR"\n'
        f'[sources.accounts]\nconnector = "demo"\n[board]\n{board}\n'
    )
    generation = folder / "generation"
    generation.mkdir()
    # Where the board is opened through the link `current`, what is provisional of today is beside that.
    (folder / "today").mkdir()
    (folder / "today" / "today.js").write_text("")
    contract = yaml.safe_load((DBT_PROJECT / "models" / "marts" / "_marts.yml").read_text(encoding="utf-8"))
    with duckdb.connect(str(generation / DATABASE)) as connection:
        for model in contract["models"]:
            columns = ", ".join(f'"{column["name"]}" {column["data_type"]}' for column in model["columns"])
            connection.execute(f"create table {model['name']} ({columns})")
        for table in VALIDATION_TABLES:
            columns = ", ".join(f"{name} {kind}" for name, (kind, _) in table.columns.items())
            connection.execute(f"create table {table.name} ({columns})")
    return Mart(load_settings(config), generation)


def insert(connection: duckdb.DuckDBPyConnection, table: str, **row: Any) -> None:
    connection.execute(f"insert into {table} ({', '.join(row)}) values ({', '.join('?' for _ in row)})", list(row.values()))


ACCOUNT_TIERS = ("healthy", "at_risk", "poor", "unknown")


def validate(connection: duckdb.DuckDBPyConnection, verdict: str, skill: float = 0.65) -> None:
    """A validation of v2: 120 of 800 accounts left; poor ones leave twice as often as at-risk ones."""
    version = {"as_of_date": AS_OF, "config_version": "v2", "status": "active", "history": "as_first_published", "horizon_days": 90}
    whole = {"scope": "all", "period": "all", "first_day": FIRST_DAY, "last_day": AS_OF, "account_days": 1000, "accounts": 800}
    figures = {"skill": skill, "skill_low": skill - 0.03, "skill_high": skill + 0.03, "below_green_30d": 0.8, "all_below_green": 0.5}
    insert(connection, "score_validation", **version, **whole, **figures, leavers=120, verdict=verdict, reason=f"because {IMAGE}")
    for tier, rate, ratio, reason in (
        ("healthy", 0.05, None, None),
        ("at_risk", 0.1, 2.0, None),
        ("poor", 0.12, 1.2, "less than expected"),
    ):
        row = {"tier": tier, "account_days": 300, "accounts": 200, "leavers": 30, "leaving_rate": rate, "leaving_rate_low": rate / 2}
        insert(connection, "tier_validation", **version, **row, leaving_rate_high=2 * rate, ratio_to_better=ratio, reason=reason)
    loss = (
        {"expected_loss_low": 40.0, "expected_loss_middle": 70.0, "expected_loss_high": 110.0}
        if verdict == "skill"
        else {"reason": "no skill"}
    )
    tiers = {f"{tier}_accounts": 1 if tier == "poor" else 0 for tier in ACCOUNT_TIERS} | dict.fromkeys(
        (f"{tier}_arr" for tier in ACCOUNT_TIERS), 300
    )
    insert(connection, "renewal_forecast", as_of_date=AS_OF, month=date(2026, 7, 1), segment="smb", accounts=1, arr=300.0, **tiers, **loss)
    for tenth in range(1, 11):
        rate = (11 - tenth) / 50
        row = {
            "tenth": tenth,
            "account_days": 100,
            "leaving_days": int(100 * rate),
            "lowest_score": 9.0 * tenth,
            "highest_score": 9.5 * tenth,
        }
        claimed = {"probability": rate, "expected_over_actual_before": 1.1, "expected_over_actual_last": 0.9}
        refused = {"reason": f"the score has not shown that it tells who leaves within 90 days (verdict {verdict})", "base_rate": 0.11}
        insert(connection, "calibration", **version, **row, leaving_rate=rate, **(claimed if verdict == "skill" else refused))


def fill(mart: Mart) -> Mart:
    with duckdb.connect(str(mart.folder / DATABASE)) as connection:
        connection.execute("begin")
        for metric, dimension, label, unit in (
            ("active_days_28d", "adoption", "Active days", "days"),
            ("csm_pulse", "voice", "CSM pulse", "1 to 5"),
            ("days_late_180d", "commercial", "Days late", "days"),
        ):
            insert(connection, "metric_catalogue", metric_key=metric, dimension_key=dimension, label=label, unit=unit)
            insert(
                connection,
                "scorecard",
                config_version="v2",
                scorecard_key="standard",
                scorecard_label="Standard",
                metric_key=metric,
                metric_label=label,
                rule="0 at 0.0, 100 at 20.0",
            )
        insert(
            connection,
            "scorecard",
            config_version="v2",
            scorecard_key="standard",
            scorecard_label="Standard",
            metric_key="cap:late_payer",
            metric_label="Invoices are late.",
            rule="at most 20 where days_late_180d >= 20",
            tested_metric_key="days_late_180d",
        )
        for version, healthy in (("v1", 70), ("v2", 75)):
            for tier, least in (("healthy", healthy), ("at_risk", 40), ("poor", 0)):
                insert(
                    connection,
                    "scorecard_tiers",
                    config_version=version,
                    scorecard_key="standard",
                    tier_mode="threshold",
                    tier=tier,
                    min_score=least,
                    min_percentile=0,
                    min_coverage=0.5,
                )
        validate(connection, "skill")
        for account_id, (name, tier, score, before, arr, term, segment, csm) in ACCOUNTS.items():
            _add_account(connection, account_id, name, tier, score, before, arr, term, segment, csm)
        _add_details(connection)
        connection.execute("commit")
    return mart


def _add_account(connection, account_id, name, tier, score, before, arr, term, segment, csm) -> None:
    connection.execute(
        """
        insert into account_health_history
            (account_id, as_of_date, health_score, uncapped_score, tier, tier_since, coverage, stage, segment, scorecard_key,
             config_version, rules_hash, arr)
        select
            $id, cast(day as date), case when day <= $as_of - 28 then coalesce($before, $score) else $score end,
            case when day <= $as_of - 28 then coalesce($before, $score) else $score end, $tier, $first, 0.8, 'mature', $segment,
            'standard', case when day < $change then 'v1' else 'v2' end, case when day < $change then 'r1' else 'r2' end, $arr
        from generate_series($first, $as_of, interval 1 day) as days (day)
        """,
        {
            "id": account_id,
            "as_of": AS_OF,
            "before": before,
            "score": score,
            "tier": tier,
            "segment": segment,
            "change": RULES_CHANGE,
            "arr": arr,
            "first": AS_OF - timedelta(days=2) if before is None else FIRST_DAY,
        },
    )
    delta = None if before is None else score - before
    insert(
        connection,
        "account_health",
        account_id=account_id,
        as_of_date=AS_OF,
        account_name=name,
        segment=segment,
        csm=csm,
        health_score=score,
        uncapped_score=score,
        tier=tier,
        model_tier=tier,
        raw_tier=tier,
        coverage=0.8,
        delta_7d=0.0 if delta is not None else None,
        delta_28d=delta,
        trend="new" if delta is None else "stable",
        tier_since=FIRST_DAY,
        days_in_tier=60,
        stage="mature",
        scorecard_key="standard",
        config_version="v2",
        arr=arr,
        term_ends_on=None if term is None else AS_OF + timedelta(days=term),
        negative_1_label="Active days",
    )
    insert(
        connection,
        "segment_health",
        as_of_date=AS_OF,
        segment=segment,
        stage=account_id,
        tier=tier,
        accounts=1,
        arr=arr,
        mean_score=score,
    )
    insert(
        connection,
        "dimension_scores_history",
        account_id=account_id,
        as_of_date=AS_OF,
        dimension_key="adoption",
        dimension_score=score,
        nominal_weight=1.0,
        effective_weight=1.0,
        points=score - 50,
        coverage=0.8,
    )
    insert(
        connection,
        "metric_scores_history",
        account_id=account_id,
        as_of_date=AS_OF,
        metric_key="active_days_28d",
        dimension_key="adoption",
        value=score / 5,
        state="measured",
        normalized_score=score,
        nominal_weight=1.0,
        effective_weight=1.0,
        points=score - 50,
        scorecard_key="standard",
    )


def _add_details(connection) -> None:
    changed = {"account_id": ODD_ID, "config_version": "v2"}
    # The first is back where it was, so it did not move; the second fell in two steps, the third rose; the fourth
    # changed before this week, and the last came from unknown.
    for account_id, days_ago, before, after, cause, reason, points in (
        ("calm", 3, "healthy", "at_risk", "score", "Active days", -9.0),
        ("calm", 1, "at_risk", "healthy", "score", "Active days", 9.0),
        (ODD_ID, 5, "healthy", "at_risk", "score", "Data came or went", -5.0),
        (ODD_ID, 2, "at_risk", "poor", "score", "Critical tickets wait.", -25.0),
        ("formula", 6, "at_risk", "healthy", "override", f"Set by a person: {BIDI}", None),
        ("script", 7, "healthy", "at_risk", "score", "Active days", -22.0),
        ("bidi", 0, "unknown", "at_risk", "coverage", "Enough can be measured again", -3.0),
    ):
        insert(
            connection,
            "tier_changes",
            account_id=account_id,
            as_of_date=AS_OF - timedelta(days=days_ago),
            from_tier=before,
            to_tier=after,
            cause=cause,
            reason=reason,
            points=points,
        )
    connection.execute(
        "update account_health set cap_key = 'late_payer', uncapped_score = 30, previous_tier = 'at_risk' where account_id = ?", [ODD_ID]
    )
    # Another one under the same cap, with a score that another account has without one.
    connection.execute("update account_health set cap_key = 'late_payer', uncapped_score = 64 where account_id = 'script'")
    insert(
        connection,
        "metric_scores_history",
        account_id=ODD_ID,
        as_of_date=AS_OF,
        metric_key="cap:late_payer",
        dimension_key="cap",
        value=21.0,
        state="measured",
        effective_weight=0.0,
        points=-10.0,
        scorecard_key="standard",
    )
    for component, metric, label, points in (
        ("behaviour", "active_days_28d", "Active days", -20.0),
        ("availability", None, "Data came or went", 5.0),
        ("cap", None, "Invoices are late.", -10.0),
    ):
        insert(
            connection,
            "score_changes",
            **changed,
            as_of_date=AS_OF,
            k=28,
            component=component,
            metric_key=metric,
            label=label,
            points=points,
        )
    insert(
        connection,
        "metric_scores_history",
        account_id="new",
        as_of_date=AS_OF,
        metric_key="csm_pulse",
        dimension_key="voice",
        state="late",
        nominal_weight=0.5,
        effective_weight=0.0,
        points=0.0,
        scorecard_key="standard",
    )
    insert(
        connection,
        "account_actions",
        account_id=ODD_ID,
        as_of_date=AS_OF,
        playbook_key="call",
        label=SCRIPT,
        priority=1.0,
        reason=IMAGE,
        since=AS_OF - timedelta(days=3),
        due_on=AS_OF - timedelta(days=1),
        state="open",
        owner=SCRIPT,
    )
    insert(
        connection,
        "account_actions",
        account_id=ODD_ID,
        as_of_date=AS_OF,
        playbook_key="visit",
        label="Visit",
        priority=0.5,
        reason="Far away",
        since=AS_OF - timedelta(days=3),
        state="snoozed",
        snoozed_until=AS_OF + timedelta(days=3),
    )
    for account_id, invoice, owed, is_scored, csm in (("calm", IMAGE, 50.0, True, "Ada"), ("gone", "i-2", 150.0, False, "Ada")):
        claim = {"account_id": account_id, "as_of_date": AS_OF, "account_name": SCRIPT, "csm": csm, "is_scored": is_scored}
        insert(connection, "receivables", **claim, invoice_id=invoice, days_overdue=9, owed=owed)
    insert(
        connection,
        "account_actions",
        account_id="calm",
        as_of_date=AS_OF,
        playbook_key="ask",
        label="Ask for a review",
        priority=2.0,
        reason="A friend",
        since=AS_OF - timedelta(days=30),
        due_on=AS_OF,
        state="open",
    )
    connection.execute(
        "update account_health set override_reason = ?, override_author = ?, override_expires_on = ?, "
        "model_tier = 'healthy' where account_id = 'script'",
        [IMAGE, SCRIPT, AS_OF + timedelta(days=10)],
    )
    # A score of a week ago.
    weekly = {"metric_key": "active_days_28d", "state": "measured", "normalized_score": 50.0, "points": 0.0, "scorecard_key": "standard"}
    insert(connection, "metric_scores_history", account_id="calm", as_of_date=AS_OF - timedelta(days=7), value=10.0, **weekly)
    late = {"metric_key": "days_late_180d", "state": "measured", "value": 21.0, "normalized_score": 0.0, "points": 0.0}
    insert(connection, "metric_scores_history", account_id=ODD_ID, as_of_date=AS_OF, scorecard_key="standard", **late)
    for account_id, kind, fact_id, began, due, escalated, ended, label, value, author, note, metrics in (
        (ODD_ID, "ticket", IMAGE, 20, None, 15, None, "critical bug", None, None, None, None),
        (ODD_ID, "invoice", "inv-1", 100, 70, None, None, "invoice", 1200.0, None, None, "days_late_180d overdue_ratio"),
        (ODD_ID, "contact", "c-1", 2, None, None, None, "inbound call", 30.0, None, None, None),
        (ODD_ID, "rating", "r-1", 10, None, None, None, "CSM rating", 2.0, SCRIPT, IMAGE, "csm_pulse"),
        ("script", "override", "o-1", 5, None, None, -10, "at_risk", None, SCRIPT, IMAGE, None),
        ("bidi", "contact", "c-2", 100, None, None, None, "outbound email", None, None, None, None),
    ):
        days = {"began_on": began, "due_on": due, "escalated_on": escalated, "ended_on": ended}
        dates = {name: None if ago is None else AS_OF - timedelta(days=ago) for name, ago in days.items()}
        texts = {"label": label, "value": value, "author": author, "note": note, "metric_keys": metrics}
        insert(connection, "account_facts", account_id=account_id, kind=kind, fact_id=fact_id, **dates, **texts)
    # One account as it is with `[privacy] contact_names`, and one as it is without.
    for account_id, number, role, joined, left, heard, names in (
        (ODD_ID, 1, "champion", 400, 12, 40, (IMAGE, "was@odd.example")),
        (ODD_ID, 2, "champion", 10, None, None, (SCRIPT, "is@odd.example")),
        (ODD_ID, 3, "user", 300, None, 0, (None, "user@odd.example")),
        (ODD_ID, 4, "user", 900, 500, None, ("Long gone", None)),
        ("calm", 1, "billing", 900, None, 1, None),
        ("calm", 2, "decision_maker", 800, None, 30, None),
        ("calm", 3, "decision_maker", 800, None, 20, None),
        ("calm", 4, "decision_maker", 800, 90, 100, None),
        ("calm", 5, "decision_maker", 800, 89, None, None),
        ("calm", 6, "champion", 800, 5, 10, None),
    ):
        days = {"joined_on": joined, "left_on": left, "last_contact_on": heard}
        known = {name: None if ago is None else AS_OF - timedelta(days=ago) for name, ago in days.items()}
        known |= {"account_id": account_id, "contact_number": number, "as_of_date": AS_OF, "role": role, "is_in_force": left is None}
        if names is not None:
            known |= {"contact_id": f"c-{number}", "contact_name": names[0], "contact_email": names[1]}
        insert(connection, "account_contacts", **known)
    insert(
        connection, "account_outcomes", account_id=ODD_ID, occurred_on=AS_OF - timedelta(days=25), kind="renewed", source="account_outcomes"
    )
    connection.execute("update account_health set parent_account_id = 'calm' where account_id in ('bidi', ?)", [ODD_ID])
    insert(
        connection,
        "parent_health",
        as_of_date=AS_OF,
        parent_account_id="calm",
        parent_name="Calm & Co",
        mean_score=27.0,
        children=2,
    )
    for table, days_ago, late_after, through, quarantined, status, late_for in (
        ("usage_events", 3, 2, 0, 12, "late", 0),
        ("tickets", 3, None, 0, 0, "up to date", None),
        ("invoices", 0, None, 1, 0, "not read", 0),
    ):
        insert(
            connection,
            "data_freshness",
            raw_table=table,
            newest_fact_at=datetime.combine(AS_OF - timedelta(days=days_ago), datetime.min.time()),
            late_after_days=late_after,
            extracted_through_date=AS_OF - timedelta(days=through),
            status=status,
            late_since=None if late_for is None else AS_OF - timedelta(days=late_for),
            not_read_reason="the server <b>is</b> down" if status == "not read" else None,
            delivered_rows=100,
            loaded_rows=100 - quarantined,
            orphan_rows=0,
            duplicate_rows=0,
            quarantined_rows=quarantined,
        )
    insert(connection, "quarantine_summary", raw_table="usage_events", reason=IMAGE, quarantined_rows=12)


@pytest.fixture(scope="session")
def mart(tmp_path_factory: pytest.TempPathFactory) -> Mart:
    """The mart with its board."""
    mart = fill(empty_mart(tmp_path_factory.mktemp("board")))
    mart.write()
    return mart


@pytest.fixture
def open_mart(mart: Mart) -> Iterator[tuple[Settings, duckdb.DuckDBPyConnection]]:
    with mart.read() as connection:
        yield mart.settings, connection
