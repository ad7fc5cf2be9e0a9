"""What all pages of the board read: the newest day, the days of history, names and units."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from orchestration.plain_text import BREAKS, HIDDEN, for_duckdb
from orchestration.publish.movements import MOVEMENTS
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import TIER_COLOURS
from orchestration.settings import Settings
from orchestration.warehouse import rows_of

# A name of a megabyte is cut.
NAME_LENGTH = 120
TEXT_LENGTH = 600
# Of an account without an owner, and of one whose owner is called so.
NO_OWNER = "No owner"
# One character a day.
TIER_CODES = " ".join(f"when '{tier}' then {code}" for code, tier in enumerate(TIER_COLOURS))

# `shown` is plain_text.one_line in SQL, but for blanks at the ends.
_MACROS = f"""
create or replace temp macro shown_text(raw, length) as
    case when length(raw) > length then left(raw, length - 1) || '…' else raw end;
create or replace temp macro shown(raw, length) as
    shown_text(
        regexp_replace(
            regexp_replace(left(raw, 4 * length), '{for_duckdb(BREAKS)}', ' ', 'g'), '{for_duckdb(HIDDEN)}', '', 'g'
        ),
        length
    );
create or replace temp macro account_label(account_name, account_id) as
    coalesce(nullif(trim(shown(account_name, {NAME_LENGTH})), ''), shown(account_id, {NAME_LENGTH}));
create or replace temp macro owner_label(csm) as coalesce(nullif(trim(shown(csm, {NAME_LENGTH})), ''), '{NO_OWNER}');
"""

# A row for each account, as lists show it. cap: why the score is held down, in words. weakest: the dimension with the lowest score.
# tier_runs: for each run of days with one tier the first and the last day, in days since the first one of the board, and the tier's code.
_ACCOUNTS = f"""
create or replace temp table board_accounts as

with actions as (

    select
        account_id,
        list(shown(label, {NAME_LENGTH}) order by priority, playbook_key) as labels
    from account_actions
    where {DATE_COLUMN} = $as_of and state = 'open'
    group by account_id

),

runs as (

    select
        account_id,
        min({DATE_COLUMN}) - $first_day as first_offset,
        max({DATE_COLUMN}) - $first_day as last_offset,
        case tier {TIER_CODES} end as code
    from {HISTORY}
    where {DATE_COLUMN} between $first_day and $as_of
    group by account_id, tier_since, tier

),

-- Of dimensions with the same score the one that weighs more.
weakest as (

    select account_id, first(dimension_key order by dimension_score, effective_weight desc, dimension_key) as weakest
    from dimension_scores_history
    where {DATE_COLUMN} = $as_of and dimension_score is not null
    group by account_id

),

tier_runs as (

    select account_id, flatten(list([first_offset, last_offset, code] order by first_offset)) as tier_runs
    from runs
    group by account_id

)

select
    health.account_id,
    account_label(health.account_name, health.account_id) as name,
    owner_label(health.csm) as owner,
    health.tier,
    health.health_score,
    case when health.cap_key is not null then round(health.uncapped_score, 1) end as uncapped_score,
    case when health.cap_key is not null then rtrim(shown(coalesce(scorecard.metric_label, health.cap_key), {NAME_LENGTH}), '.') end as cap,
    round(before.uncapped_score, 1) as uncapped_before,
    health.delta_7d,
    health.delta_28d,
    health.arr,
    health.term_ends_on,
    health.segment,
    shown(health.segment, {NAME_LENGTH}) as segment_name,
    shown(health.stage, {NAME_LENGTH}) as stage,
    round(health.coverage, 3) as coverage,
    health.negative_1_label as reason,
    health.override_expires_on is not null as is_set_by_hand,
    movements.direction,
    coalesce(actions.labels, []) as actions,
    weakest.weakest,
    tier_runs.tier_runs
from account_health as health
left join {HISTORY} as before on health.account_id = before.account_id and before.{DATE_COLUMN} = $as_of - 28
left join scorecard
    on health.scorecard_key = scorecard.scorecard_key
    and scorecard.metric_key = 'cap:' || health.cap_key
left join movements on health.account_id = movements.account_id
left join actions on health.account_id = actions.account_id
left join weakest on health.account_id = weakest.account_id
left join tier_runs on health.account_id = tier_runs.account_id
"""


@dataclass(frozen=True)
class BoardSource:
    """An open mart.

    Attributes:
        connection: read-only, with the macros `shown`, `account_label` and `owner_label` and the temporary tables `movements` and
            `board_accounts`.
        as_of, first_day: the days that the board shows, both included; None when no account was scored.
        currency: of all amounts.
        metrics: metric_key -> label, unit, dimension and description, in the order of the catalogue.
        scorecards: scorecard_key -> label.
        rules: scorecard_key -> metric_key (or cap:<cap_key>) -> label, rule and, of a cap, the metric that it tests, as in force.
        tier_limits: [config_version, scorecard_key, tier_mode, tier, min_score], the best tier first.
    """

    connection: duckdb.DuckDBPyConnection
    as_of: date | None
    first_day: date | None
    currency: str
    metrics: dict[str, dict[str, Any]]
    scorecards: dict[str, str]
    rules: dict[str, dict[str, list[str | None]]]
    tier_limits: list[list[Any]]

    @property
    def has_contacts(self) -> bool:
        """Whether any contact of any account is known."""
        return bool(self.execute("select 1 from account_contacts limit 1").fetchall())

    @property
    def owners(self) -> list[str]:
        """By name; NO_OWNER last."""
        return [
            owner
            for (owner,) in self.execute(
                f"select distinct owner from board_accounts order by owner = '{NO_OWNER}', lower(owner), owner"
            ).fetchall()
        ]

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query by column name; `$as_of`, `$first_day` and `$metrics`, the keys of the metrics, are known."""
        return list(rows_of(self.execute(query, **parameters)))

    def execute(self, query: str, **parameters: Any) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(query, self._given(query, parameters))

    def _given(self, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
        # DuckDB refuses a parameter that the query does not name, and cannot count days from one without a type.
        known = {"as_of": self.as_of or date.min, "first_day": self.first_day or date.min, "metrics": list(self.metrics)} | parameters
        return {name: value for name, value in known.items() if f"${name}" in query}


def open_source(settings: Settings, connection: duckdb.DuckDBPyConnection) -> BoardSource:
    """Look at a closed mart and prepare what its pages share."""
    connection.execute(_MACROS)
    ((as_of, first_day),) = connection.execute(f"select max({DATE_COLUMN}), min({DATE_COLUMN}) from {HISTORY}").fetchall()
    if as_of is not None:
        first_day = max(first_day, as_of - timedelta(days=settings.board.history_days - 1))
    metrics = {
        key: {"label": label, "unit": unit, "dimension": dimension, "description": description}
        for key, label, unit, dimension, description in connection.execute(
            "select metric_key, coalesce(label, metric_key), unit, dimension_key, description from metric_catalogue"
        ).fetchall()
    }
    scorecards: dict[str, str] = {}
    rules: dict[str, dict[str, Any]] = {}
    for card, card_label, metric, *rule in connection.execute(
        "select scorecard_key, coalesce(scorecard_label, scorecard_key), metric_key, metric_label, rule, tested_metric_key from scorecard"
    ).fetchall():
        scorecards[card] = card_label
        rules.setdefault(card, {})[metric] = rule
    limits = connection.execute(
        "select config_version, scorecard_key, tier_mode, tier, min_score from scorecard_tiers "
        "order by config_version, scorecard_key, min_score desc"
    ).fetchall()
    source = BoardSource(
        connection,
        as_of,
        first_day,
        settings.pipeline.reporting_currency,
        metrics,
        scorecards,
        rules,
        list(map(list, limits)),
    )
    source.execute(f"create or replace temp table movements as {MOVEMENTS}")
    source.execute(_ACCOUNTS)
    return source
