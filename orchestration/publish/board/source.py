"""What all pages of the board read: the newest day, the days of history, names and units."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from orchestration.plain_text import BREAKS, HIDDEN, for_duckdb
from orchestration.publish.movements import MOVEMENTS
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.settings import Settings
from orchestration.warehouse import rows_of

# A name of a megabyte is cut.
NAME_LENGTH = 120
TEXT_LENGTH = 600

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
"""


@dataclass(frozen=True)
class BoardSource:
    """An open mart.

    Attributes:
        connection: read-only, with the macros `shown` and `account_label` and the temporary table `movements`.
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

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query by column name; `$as_of` and `$first_day` are known."""
        return list(rows_of(self.execute(query, **parameters)))

    def execute(self, query: str, **parameters: Any) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(query, self._given(query, parameters))

    def _given(self, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
        # DuckDB refuses a parameter that the query does not name, and cannot count days from one without a type.
        known = {"as_of": self.as_of or date.min, "first_day": self.first_day or date.min} | parameters
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
    return source
