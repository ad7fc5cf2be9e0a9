"""What happened up to the newest day of a mart, for the page of the publish asset: tiers week by week, who moved most, and why."""

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from orchestration.markdown import table, verbatim
from orchestration.publish.generations import open_published
from orchestration.publish.movements import MOVEMENTS, WEEK_REASONS
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import TIER_COLOURS, TIER_LABELS, WORST_FIRST
from orchestration.settings import Settings

WEEKS = 26
_BARS = "▁▂▃▄▅▆▇█"
# Of the picture, in steps that its coordinates count in whole numbers: few characters, see `orchestration.markdown`.
_HEIGHT = 60
# Characters that may stay as they are in the address of a picture in Markdown.
_PLAIN = "/:=',"

_TIERS_BY_WEEK = f"""
with newest as (select max({DATE_COLUMN}) as newest_date from {HISTORY})

select {DATE_COLUMN}, tier, count(*) as accounts
from {HISTORY}, newest
where {DATE_COLUMN} > newest_date - {7 * WEEKS} and (newest_date - {DATE_COLUMN}) % 7 = 0
group by {DATE_COLUMN}, tier
"""
_TIERS_THAT_CHANGED = f"""
select count(*) filter (direction = -1), count(*) filter (direction = 1)
from ({MOVEMENTS})
"""
_SCORES_THAT_MOVED = f"""
select
    coalesce(health.account_name, health.account_id) as account,
    health.health_score,
    round(health.delta_7d - health.availability_7d, 1) as change,
    health.tier,
    health.raw_tier,
    reasons.label
from account_health as health
left join ({WEEK_REASONS}) as reasons
    on health.account_id = reasons.account_id
    and (reasons.points > 0) = (health.delta_7d > health.availability_7d)
where sign(round(health.delta_7d - health.availability_7d, 1)) = ?
order by abs(health.delta_7d - health.availability_7d) desc, health.arr desc nulls last, health.account_id
limit ?
"""


@dataclass(frozen=True)
class Movement:
    """An account whose score is another than a week before.

    Attributes:
        account: its name, as in the data.
        score, change: health_score on the newest day, and less that of 7 days before, without what data that came or went did to it.
        tier: in force on the newest day, and that of the day's own score where it is another one, in words.
        reason: the strongest part of the change in its direction, in words.
    """

    account: str
    score: float
    change: float
    tier: str
    reason: str


@dataclass(frozen=True)
class Highlights:
    """What happened up to the newest day.

    Attributes:
        weeks: accounts of each tier on the newest day and the days whole weeks before it, oldest first; days that nobody scored are left
            out.
        to_worse, to_better: accounts whose tier is a worse or a better one than seven days before.
        fell, rose: the accounts whose score moved most in seven days, the largest movement first.
    """

    weeks: dict[str, list[int]]
    to_worse: int
    to_better: int
    fell: list[Movement]
    rose: list[Movement]


def read_highlights(settings: Settings, generation_path: Path, limit: int = 5) -> Highlights:
    """Read what happened from a generation's `health.duckdb`; at most `limit` accounts each way."""
    with open_published(settings, generation_path) as mart:
        counts = {(day, tier): accounts for day, tier, accounts in mart.execute(_TIERS_BY_WEEK).fetchall()}
        [(newest_day,)] = mart.execute(f"select max({DATE_COLUMN}) from {HISTORY}").fetchall()
        [(to_worse, to_better)] = mart.execute(_TIERS_THAT_CHANGED, {"as_of": newest_day or date.min}).fetchall()
        fell, rose = (
            [
                Movement(account, score, change, _tier(tier, raw_tier), label or "")
                for account, score, change, tier, raw_tier, label in mart.execute(_SCORES_THAT_MOVED, [sign, limit]).fetchall()
            ]
            for sign in (-1, 1)
        )
    days = sorted({day for day, _ in counts})
    return Highlights(
        weeks={tier: [counts.get((day, tier), 0) for day in days] for tier in TIER_COLOURS},
        to_worse=to_worse,
        to_better=to_better,
        fell=fell,
        rose=rose,
    )


def _tier(tier: str, raw_tier: str) -> str:
    """A tier is confirmed by some days in a row, so a score may already lie in another one."""
    return TIER_LABELS[tier] if tier == raw_tier else f"{TIER_LABELS[tier]} (today {TIER_LABELS[raw_tier].lower()})"


def describe_weeks(highlights: Highlights) -> str:
    """The tiers week by week as a table with a bar for each week, in Markdown."""
    rows = [[TIER_LABELS[tier], str(counts[-1] if counts else 0), _sparkline(counts)] for tier, counts in highlights.weeks.items()]
    moved = f"In 7 days **{highlights.to_worse}** to a worse tier, **{highlights.to_better}** to a better one."
    return f"{table(['tier', 'accounts', 'week by week'], rows)}\n\n{moved}"


def draw_weeks(highlights: Highlights) -> str:
    """The tiers week by week as a picture in Markdown: areas, stacked from the worst tier up. Nothing without a score."""
    weeks = [[highlights.weeks[tier][week] for tier in WORST_FIRST] for week in range(len(highlights.weeks[WORST_FIRST[0]]))]
    full = max(map(sum, weeks), default=0)
    if not full:
        return ""
    # One week is drawn as one that stays.
    weeks = weeks if len(weeks) > 1 else weeks * 2
    # Each area reaches down to the ground, behind those that were stacked before it.
    areas = []
    for place in reversed(range(len(WORST_FIRST))):
        if any(week[place] for week in weeks):
            tops = [_HEIGHT - round(_HEIGHT * sum(week[: place + 1]) / full) for week in weeks]
            steps = ",".join(f"1,{later - earlier}" for earlier, later in pairwise(tops)).replace(",-", "-")
            areas.append(
                (WORST_FIRST[place], f"<path fill='{TIER_COLOURS[WORST_FIRST[place]]}' d='M0,{_HEIGHT}V{tops[0]}l{steps}V{_HEIGHT}'/>")
            )
    size = f"width='440' height='110' viewBox='0 0 {len(weeks) - 1} {_HEIGHT}' preserveAspectRatio='none'"
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{''.join(path for _, path in areas)}</svg>"
    names = ", ".join(TIER_LABELS[tier].lower() for tier, _ in areas)
    return f"![](data:image/svg+xml,{quote(svg, safe=_PLAIN)})\n\nWeek by week, from the top: {names}; {full:,} accounts at most."


def describe_movements(movements: list[Movement]) -> str:
    """Accounts that moved, as a table in Markdown; names from data are text in it, whatever they hold."""
    rows = [
        [verbatim(each.account, 32), f"{each.score:.1f}", f"{each.change:+.1f}", each.tier, verbatim(each.reason, 60)] for each in movements
    ]
    return table(["account", "score", "7 days", "tier", "mostly because of"], rows) if rows else "No score moved this way."


def _sparkline(counts: list[int]) -> str:
    """A bar for each count, the highest of them full; a count of 0 is the lowest bar."""
    full = max(counts, default=0) or 1
    return "".join(_BARS[round(count * (len(_BARS) - 1) / full)] for count in counts)
