"""What the alert rules look at in a published mart: the newest day's accounts, and why their scores and tiers moved."""

from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from orchestration.publish.generations import open_published
from orchestration.publish.tables import DATE_COLUMN, HISTORY, METRIC_HISTORY
from orchestration.settings import Settings

_ACCOUNT_COLUMNS = (
    "account_id, account_name, segment, csm, arr, health_score, tier, previous_tier, tier_since, delta_7d, delta_28d, "
    "availability_7d, availability_28d, term_ends_on, negative_1_label, negative_1_points, negative_1_value"
)
# The metric of the kind `champion_left`.
CHAMPIONS_LEFT = "champions_left_90d"


@dataclass(frozen=True)
class AccountDay:
    """A row of account_health, as far as alerts show it."""

    account_id: str
    account_name: str | None
    segment: str | None
    csm: str | None
    arr: float | None
    health_score: float
    tier: str
    previous_tier: str | None
    tier_since: date
    delta_7d: float | None
    delta_28d: float | None
    availability_7d: float | None
    availability_28d: float | None
    term_ends_on: date | None
    weakest_label: str | None
    weakest_points: float | None
    weakest_value: str | None


@dataclass(frozen=True)
class Freshness:
    """A row of data_freshness, as far as alerts show it."""

    raw_table: str
    status: str
    late_since: date | None
    newest_fact_at: datetime | None
    extracted_through: date | None
    not_read_reason: str | None


@dataclass(frozen=True)
class Rise:
    """What a metric, or the score, is today so far, and what it was on the newest finished day.

    Attributes:
        day: the day that is running.
        finished_on: the newest finished one.
    """

    account_id: str
    day: date
    finished_on: date
    read_until: datetime
    before: float
    now: float


class PublishedMart:
    """A generation's `health.duckdb`, open for reading; use it as a context manager."""

    def __init__(self, settings: Settings, generation: int | Path) -> None:
        self._opened = ExitStack()
        self._connection = self._opened.enter_context(open_published(settings, generation))

    def __enter__(self) -> "PublishedMart":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def newest_day(self) -> date | None:
        """The newest scored day; None where no account was ever scored."""
        [(day,)] = self._rows(f"select max({DATE_COLUMN}) from {HISTORY}")
        return day

    def accounts(self) -> list[AccountDay]:
        """Those scored on the newest day, the largest arr first."""
        rows = self._rows(f"select {_ACCOUNT_COLUMNS} from account_health order by arr desc nulls last, account_id")
        return [AccountDay(*row) for row in rows]

    def tiers_before(self, first: date) -> dict[str, str]:
        """The tier before the present one, `unknown` apart, of the accounts whose present one began on or after `first`."""
        return dict(
            self._rows(
                f"""
                select newest.account_id, arg_max(history.tier, history.{DATE_COLUMN})
                from account_health as newest
                inner join {HISTORY} as history
                    on newest.account_id = history.account_id
                    and history.{DATE_COLUMN} < newest.tier_since
                where newest.tier_since >= $first and history.tier <> 'unknown'
                group by newest.account_id
                """,
                first=first,
            )
        )

    def falls(self, points: float, days: int) -> dict[str, date]:
        """Since when the score is at least `points` lower than `days` before, of the accounts where it is on the newest day.

        That is the first of the scored days in a row on which it was so. What data that came or went did to the score, such as a late
        feed, does not count: the source is reported, not the account.
        """
        # From a constant of alert_rules.py, never from text.
        delta = {7: "delta_7d - availability_7d", 28: "delta_28d - availability_28d"}[days]
        return self._since(
            f"""
            select account_id, {DATE_COLUMN} as day, coalesce(round({delta}, 1) <= -$points, false) as holds
            from {HISTORY}
            where account_id in (select account_id from account_health where round({delta}, 1) <= -$points)
            """,
            points=points,
        )

    def without_champion(self) -> dict[str, date]:
        """Since when more champions have left than joined in 90 days, of the accounts where it is so on the newest day; of the days of
        which the mart has the metrics."""
        return self._since(
            f"""
            select account_id, {DATE_COLUMN} as day, coalesce(value >= 1, false) as holds
            from {METRIC_HISTORY}
            where metric_key = $metric
            """,
            metric=CHAMPIONS_LEFT,
        )

    def _since(self, days: str, **parameters: Any) -> dict[str, date]:
        """The first of the scored days in a row, up to the newest, on which `holds` is true.

        Args:
            days: SQL of account_id, day and holds.
        """
        return dict(
            self._rows(
                f"""
                with history as ({days}),

                last_without as (

                    select account_id, max(day) as day from history where not holds group by account_id

                )

                select history.account_id, min(history.day)
                from history
                inner join account_health using (account_id)
                left join last_without using (account_id)
                where history.day > coalesce(last_without.day, date '0001-01-01')
                group by history.account_id
                """,
                **parameters,
            )
        )

    def has_today(self) -> bool:
        """Whether the generation shows what is provisional; one of an earlier version does not."""
        return bool(self._rows("select 1 from duckdb_views() where view_name = 'account_health_today'"))

    def falls_today(self, points: float) -> list[Rise]:
        """The accounts whose score is at least `points` lower than on the newest finished day, though no less of it is measured."""
        return [
            Rise(*row)
            for row in self._rows(
                f"""
                select today.account_id, today.{DATE_COLUMN}, finished_on, read_until, finished_score, today.health_score
                from account_health_today as today
                inner join account_health as finished on today.account_id = finished.account_id
                where change_so_far <= -$points and round(today.coverage, 9) >= round(finished.coverage, 9)
                """,
                points=points,
            )
        ]

    def rises_today(self, metric: str) -> list[Rise]:
        """The accounts of which a metric is higher than on the newest finished day, where it counts as 0 if it was not measured."""
        return [
            Rise(*row)
            for row in self._rows(
                f"""
                select today.account_id, today.{DATE_COLUMN}, finished_on, read_until, coalesce(before.value, 0), metrics.value
                from metric_scores_today as metrics
                inner join account_health_today as today on metrics.account_id = today.account_id
                inner join account_health as finished on today.account_id = finished.account_id
                left join {METRIC_HISTORY} as before
                    on metrics.account_id = before.account_id
                    and before.{DATE_COLUMN} = finished_on
                    and before.metric_key = $metric
                where metrics.metric_key = $metric and round(metrics.value, 9) > round(coalesce(before.value, 0), 9)
                """,
                metric=metric,
            )
        ]

    def label_of(self, metric: str) -> str:
        [(label,)] = self._rows("select label from metric_catalogue where metric_key = $metric", metric=metric) or [(metric,)]
        return label

    def freshness(self) -> list[Freshness]:
        columns = "raw_table, status, late_since, newest_fact_at, extracted_through_date, not_read_reason"
        return [Freshness(*row) for row in self._rows(f"select {columns} from data_freshness order by raw_table")]

    def drift(self, first: date) -> list[tuple[date, str, str]]:
        """Jumps on or after `first` that nothing explains: day, metric, what happened in one sentence."""
        return self._rows(
            f"select {DATE_COLUMN}, metric_key, message from metric_drift "
            f"where explanation is null and {DATE_COLUMN} >= $first order by all",
            first=first,
        )

    def fall_reasons(self, accounts: Collection[str], day: date, k: int) -> dict[str, str]:
        """What took most from the score of each account in the `k` days up to `day`."""
        rows = self._rows(
            f"""
            select account_id, label, points
            from (
                select
                    changes.*,
                    row_number() over (
                        partition by changes.account_id order by changes.points, changes.component, changes.metric_key
                    ) as position
                from score_changes as changes
                where
                    changes.{DATE_COLUMN} = $day
                    and changes.k = $k
                    and changes.component <> 'availability'
                    and changes.account_id in (select unnest(cast($accounts as varchar[])))
            ) as ranked
            where position = 1 and points < 0
            """,
            day=day,
            k=k,
            accounts=list(accounts),
        )
        return {account: _moved_by(label, points, k) for account, label, points in rows}

    def moved_by_data(self, changes: Iterable[tuple[str, date]]) -> set[str]:
        """The accounts whose change of tier on the day given comes from data that came or went: no account is to blame for a late feed."""
        rows = self._of_changes(changes, DATE_COLUMN, "account_id from tier_changes where component = 'availability'")
        return {account for (account,) in rows}

    def held_before(self, changes: Iterable[tuple[str, date]]) -> set[str]:
        """The accounts whose tier was held until the day given with it: only late data was missing, and it stayed late for too long."""
        rows = self._of_changes(changes, f"{DATE_COLUMN} + 1", "account_id from account_health_history where is_tier_held")
        return {account for (account,) in rows}

    def tier_reasons(self, changes: Iterable[tuple[str, date]]) -> dict[str, str]:
        """What made each account's tier another one on the day given with it."""
        rows = self._of_changes(
            changes, DATE_COLUMN, "account_id, reason, case when cause = 'score' then points end, k from tier_changes where true"
        )
        return {account: reason if points is None else _moved_by(reason, points, k) for account, reason, points, k in rows}

    def _of_changes(self, changes: Iterable[tuple[str, date]], day: str, selected: str) -> list[tuple[Any, ...]]:
        """What `select <selected>`, up to its last condition, gives for the accounts, each on its own day."""
        changes = list(changes)
        return self._rows(
            f"select {selected} and (account_id, {day}) in (select unnest(cast($accounts as varchar[])), unnest(cast($days as date[])))",
            accounts=[account for account, _ in changes],
            days=[day for _, day in changes],
        )

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, parameters).fetchall()


def _moved_by(label: str, points: float, k: int) -> str:
    # The label of a cap is a sentence.
    return f"{label.removesuffix('.')} ({points_text(points)} in {k} days)"


def points_text(points: float) -> str:
    """`-18.3 points`, with a true minus sign."""
    return f"{points:+.1f} points".replace("-", "\N{MINUS SIGN}")
