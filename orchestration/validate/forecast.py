"""What is up for renewal, and how much of it may be lost (docs/scoring.md, "Probability")."""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from orchestration.validate.points import HORIZONS, TENTHS
from orchestration.warehouse import rows_of

Row = dict[str, Any]

_SHORTEST = " ".join(f"when max(term_ends_on - as_of_date) <= {horizon} then {horizon}" for horizon in HORIZONS)

_FORECAST = f"""
with accounts as (

    select
        health.*,
        cast(floor({TENTHS} * (
            2 * (rank() over (order by health.health_score) - 1) + count(*) over (partition by health.health_score) - 1
        ) / (2 * count(*) over ())) as integer) + 1 as tenth
    from account_health as health
    inner join labelled_accounts on health.account_id = labelled_accounts.account_id

),

renewals as (

    select *, date_trunc('month', term_ends_on) as month
    from accounts
    where term_ends_on >= as_of_date

),

-- The shortest horizon that reaches the last term end of the month.
months as (

    select
        month,
        case {_SHORTEST} end as horizon
    from renewals
    group by month

)

select
    any_value(renewals.as_of_date) as as_of_date,
    any_value(renewals.config_version) as config_version,
    cast(renewals.month as date) as month,
    renewals.segment,
    any_value(months.horizon) as horizon_days,
    count(*) as accounts,
    sum(renewals.arr) as arr,
    any_value(renewals.currency) as currency,
    count(*) filter (renewals.tier = 'healthy') as healthy_accounts,
    count(*) filter (renewals.tier = 'at_risk') as at_risk_accounts,
    count(*) filter (renewals.tier = 'poor') as poor_accounts,
    count(*) filter (renewals.tier = 'unknown') as unknown_accounts,
    coalesce(sum(renewals.arr) filter (renewals.tier = 'healthy'), 0) as healthy_arr,
    coalesce(sum(renewals.arr) filter (renewals.tier = 'at_risk'), 0) as at_risk_arr,
    coalesce(sum(renewals.arr) filter (renewals.tier = 'poor'), 0) as poor_arr,
    coalesce(sum(renewals.arr) filter (renewals.tier = 'unknown'), 0) as unknown_arr,
    case when count(chances.low) = count(*) then sum(renewals.arr * chances.low) end as expected_loss_low,
    case when count(chances.middle) = count(*) then sum(renewals.arr * chances.middle) end as expected_loss_middle,
    case when count(chances.high) = count(*) then sum(renewals.arr * chances.high) end as expected_loss_high,
    case
        when any_value(months.horizon) is null then 'the month ends more than {max(HORIZONS)} days ahead, the longest horizon'
        when count(chances.middle) < count(*) then coalesce(any_value(chances.reason), 'nothing was validated at this horizon')
        when sum(renewals.arr) is null then 'no amounts are known'
    end as reason,
    any_value(chances.base_rate) as base_rate
from renewals
inner join months on renewals.month = months.month
left join chances on months.horizon = chances.horizon and renewals.tenth = chances.tenth
group by renewals.month, renewals.segment
order by renewals.month, renewals.segment
"""


def forecast_renewals(connection: duckdb.DuckDBPyConnection, calibration: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Renewals by month of term end and segment, with the arr that may be lost, or why that cannot be said.

    Args:
        connection: as `points.prepare` left it.
        calibration: rows of that table, of the version in force as restated.
    """
    connection.execute(
        "create or replace temp table chances "
        "(horizon bigint, tenth integer, low double, middle double, high double, reason varchar, base_rate double)"
    )
    chances = [
        [row[name] for name in ("horizon_days", "tenth", "probability_low", "probability", "probability_high", "reason", "base_rate")]
        for row in calibration
    ]
    if chances:
        connection.executemany("insert into chances values (?, ?, ?, ?, ?, ?, ?)", chances)
    return list(rows_of(connection.execute(_FORECAST)))
