"""Who moved most in the week up to the newest day of a mart, and why."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from orchestration.markdown import table, verbatim
from orchestration.publish.generations import DATABASE
from orchestration.publish.tables import DATE_COLUMN
from orchestration.publish.tiers import TIER_COLOURS, TIER_LABELS
from orchestration.warehouse import SAFE_OPTIONS

WEEK = timedelta(days=7)
# In the words of the drivers of account_health.
_COMPONENT_LABELS = {
    "configuration": "The rules of the score changed",
    "scorecard": "Another scorecard (stage or segment)",
    "availability": "Data came or went",
    "cap": "A cap began, ended or moved",
}
# Worse tiers have the greater number; unknown is neither better nor worse.
_RANKS = {tier: rank for rank, tier in enumerate(TIER_COLOURS) if tier != "unknown"}

_SCORES_THAT_MOVED = f"""
with reasons as (

    select
        account_id,
        component,
        metric_key,
        points,
        row_number() over (partition by account_id, points > 0 order by abs(points) desc, component, metric_key) as position
    from score_changes
    where k = 7 and {DATE_COLUMN} = (select max({DATE_COLUMN}) from account_health)

)

select
    coalesce(health.account_name, health.account_id) as account,
    health.health_score,
    health.delta_7d,
    health.tier,
    reasons.component,
    coalesce(metrics.label, reasons.metric_key) as metric
from account_health as health
left join reasons
    on health.account_id = reasons.account_id
    and (reasons.points > 0) = (health.delta_7d > 0)
    and reasons.position = 1
left join metric_catalogue as metrics on reasons.metric_key = metrics.metric_key
where sign(health.delta_7d) = ?
order by abs(health.delta_7d) desc, health.arr desc nulls last, health.account_id
limit ?
"""
_TIERS_THAT_CHANGED = f"select previous_tier, tier, {DATE_COLUMN}, tier_since from account_health where previous_tier is not null"


@dataclass(frozen=True)
class Movement:
    """An account whose score is another than a week before.

    Attributes:
        account: its name, as in the data.
        score, change: health_score on the newest day, and less that of 7 days before.
        tier: in force on the newest day.
        reason: the strongest part of the change in its direction, in words.
    """

    account: str
    score: float
    change: float
    tier: str
    reason: str


@dataclass(frozen=True)
class Week:
    """The week up to the newest day.

    Attributes:
        to_worse, to_better: accounts whose tier became worse or better in these seven days, and is so still.
        fell, rose: the accounts whose score moved most, the largest movement first.
    """

    to_worse: int
    to_better: int
    fell: list[Movement]
    rose: list[Movement]


def movements_of_the_week(generation_path: Path, limit: int = 5) -> Week:
    """Read who moved from a generation's `health.duckdb`; at most `limit` accounts each way."""
    with duckdb.connect(str(generation_path / DATABASE), read_only=True, config=SAFE_OPTIONS | {"memory_limit": "512MB"}) as mart:
        changed = [
            _RANKS[now] - _RANKS[before]
            for before, now, day, since in mart.execute(_TIERS_THAT_CHANGED).fetchall()
            if since > day - WEEK and before in _RANKS and now in _RANKS
        ]
        fell, rose = (
            [
                Movement(account, score, change, tier, metric or _COMPONENT_LABELS.get(component, ""))
                for account, score, change, tier, component, metric in mart.execute(_SCORES_THAT_MOVED, [sign, limit]).fetchall()
            ]
            for sign in (-1, 1)
        )
    return Week(sum(step > 0 for step in changed), sum(step < 0 for step in changed), fell, rose)


def describe_week(week: Week) -> str:
    """The week in Markdown; names from data are text in it, whatever they hold."""
    lines = [f"**{week.to_worse}** to a worse tier, **{week.to_better}** to a better one in 7 days."]
    for title, moved in (("Fell most", week.fell), ("Rose most", week.rose)):
        rows = [
            [verbatim(each.account), f"{each.score:.1f}", f"{each.change:+.1f}", TIER_LABELS[each.tier], verbatim(each.reason)] for each in moved
        ]
        if rows:
            lines.append(table([title, "score", "7 days", "tier", "most of it"], rows))
    return "\n\n".join(lines)
