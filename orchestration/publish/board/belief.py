"""The page *Can you believe it?*, and the words that the verdict allows (docs/scoring.md, "Words")."""

from dataclasses import dataclass
from typing import Any

from orchestration.publish.board.formats import counted, share
from orchestration.publish.board.source import BoardSource
from orchestration.publish.tiers import TIER_LABELS, WORST_FIRST
from orchestration.validate.headline import Headline, read_headline
from orchestration.validate.judge_rules import EXPECTED_RATIO, MIN_LEAVERS, MIN_LOWER_BOUND, NO_SKILL, SKILL, TOO_FEW

# Name of the yellow tier where nothing shows that its accounts are at risk.
_WITHOUT_SKILL = "Fair"
_STRENGTHS = ((0.8, "strongly"), (0.7, "clearly"), (0.6, "modestly"), (0, "slightly"))

_TIERS = """
select tier, account_days, accounts, leavers, leaving_rate, leaving_rate_low, leaving_rate_high, ratio_to_better, reason
from tier_validation
where config_version = $version and history = 'as_first_published' and horizon_days = $horizon
order by case tier when 'healthy' then 1 when 'at_risk' then 2 else 3 end
"""

_TENTHS = """
select
    tenth, account_days, leaving_days, lowest_score, highest_score, leaving_rate, leaving_rate_low, leaving_rate_high,
    probability, reason, base_rate, expected_over_actual_before, expected_over_actual_last
from calibration
where config_version = $version and history = 'as_first_published' and horizon_days = $horizon
order by tenth
"""

_RENEWALS = """
select
    month,
    cast(sum(accounts) as integer) as accounts,
    sum(arr) as arr,
    case when count(expected_loss_middle) = count(*) then sum(expected_loss_low) end as low,
    case when count(expected_loss_middle) = count(*) then sum(expected_loss_middle) end as middle,
    case when count(expected_loss_middle) = count(*) then sum(expected_loss_high) end as high,
    any_value(reason) as reason,
    any_value(base_rate) as base_rate,
    cast(sum(healthy_accounts) as integer) as healthy_accounts,
    cast(sum(at_risk_accounts) as integer) as at_risk_accounts,
    cast(sum(poor_accounts) as integer) as poor_accounts,
    cast(sum(unknown_accounts) as integer) as unknown_accounts,
    sum(healthy_arr) as healthy_arr,
    sum(at_risk_arr) as at_risk_arr,
    sum(poor_arr) as poor_arr,
    sum(unknown_arr) as unknown_arr
from renewal_forecast
group by month
order by month
limit 6
"""

_WHOLE = """
select *
from score_validation
where
    config_version = $version and history = 'as_first_published' and horizon_days = $horizon and scope = 'all' and period = 'all'
"""


@dataclass(frozen=True)
class Words:
    """What may be said of accounts that are not healthy.

    Attributes:
        tier_labels: tier -> name.
        risk: of their arr, behind "ARR": "at risk" or "below healthy".
        whose: before their arr in a sentence.
        is_risk: behind it, as a verb.
        either: the name of both tiers together.
    """

    tier_labels: dict[str, str]
    risk: str
    whose: str
    is_risk: str
    either: str


AT_RISK_WORDS = Words(TIER_LABELS, "at risk", "", "is at risk", "At risk or poor")
SCORE_WORDS = Words(TIER_LABELS | {"at_risk": _WITHOUT_SKILL}, "below healthy", "Accounts with ", "score below healthy", "Below healthy")


def words_of(headline: Headline | None) -> Words:
    """Nothing is at risk unless the score has shown that it tells who leaves."""
    return AT_RISK_WORDS if headline is not None and headline.verdict == SKILL else SCORE_WORDS


def read_belief(source: BoardSource, horizon_days: int) -> tuple[Words, dict[str, Any]]:
    """The words of the whole board, and what `believe.html` shows; `charts` holds the rows of its charts."""
    headline = read_headline(source.connection, horizon_days)
    words = words_of(headline)
    page: dict[str, Any] = {
        "headline": headline,
        "answer": _answer(headline),
        "horizon": horizon_days,
        "min_leavers": MIN_LEAVERS,
        "min_lower_bound": MIN_LOWER_BOUND,
        "expected_ratio": EXPECTED_RATIO,
        "skill_verdict": SKILL,
        "charts": {},
    }
    if headline is None:
        return words, page
    given = {"version": headline.config_version, "horizon": horizon_days}
    [whole] = source.rows(_WHOLE, **given)
    tiers, tenths = source.rows(_TIERS, **given), source.rows(_TENTHS, **given)
    renewals = source.rows(_RENEWALS)
    lead = [
        {"label": f"{days} days before", "rate": whole[f"below_green_{days}d"], "low": whole[f"below_green_{days}d_low"],
         "high": whole[f"below_green_{days}d_high"], "base": whole["all_below_green"]}
        for days in (90, 60, 30)
    ]  # fmt: skip
    base = sum(row["leaving_days"] for row in tenths) / whole["account_days"] if whole["account_days"] else None
    page |= {
        "whole": whole,
        "tier_rates": tiers,
        "tenths": tenths,
        "lead": lead,
        "forecast": renewals,
        "base": base,
        "charts": {
            "tierRates": [{"tier": row["tier"], **_bar(words.tier_labels[row["tier"]], row, base)} for row in tiers if row["account_days"]],
            "tenthRates": [_bar(_tenth(row["tenth"]), row, base) for row in tenths if row["account_days"]],
            "forecast": [
                {
                    "start": str(row["month"]),
                    "tier": tier,
                    "stack": WORST_FIRST.index(tier),
                    "arr": row[f"{tier}_arr"],
                    "accounts": row[f"{tier}_accounts"],
                }
                for row in renewals
                for tier in WORST_FIRST
                if row[f"{tier}_accounts"]
            ],
            "leadTimes": [{**row, "text": _text(row["rate"], row["low"], row["high"])} for row in lead if row["rate"] is not None],
        },
    }
    return words, page


def _tenth(number: int) -> str:
    names = {1: "Lowest tenth", 2: "2nd", 3: "3rd", 10: "Highest tenth"}
    return names.get(number, f"{number}th")


def _bar(label: str, row: dict[str, Any], base: float | None) -> dict[str, Any]:
    rate, low, high = row["leaving_rate"], row["leaving_rate_low"], row["leaving_rate_high"]
    return {"label": label, "rate": rate, "low": low, "high": high, "base": base, "text": _text(rate, low, high)}


def _text(rate: float | None, low: float | None, high: float | None) -> str:
    return share(rate, 1) if low is None or high is None else f"{share(rate, 1)} ({share(low, 1)} to {share(high, 1)})"


def _answer(headline: Headline | None) -> dict[str, str]:
    """`short` for the portfolio, `long` for the page; neither claims more than the verdict."""
    if headline is None:
        return {"short": "Not checked yet.", "long": "Nobody has checked yet whether a low score means leaving."}
    left = counted(headline.leavers, "account")
    within = f"within {headline.horizon_days} days"
    if headline.verdict == TOO_FEW:
        said = f"Too early to tell: {left} left {within}, and {MIN_LEAVERS} are needed."
        return {"short": said, "long": said}
    pairs = f"in {_of_hundred(headline.skill)} of 100 cases"
    if headline.skill_low is not None and headline.skill_high is not None:
        pairs += f" ({_of_hundred(headline.skill_low)} to {_of_hundred(headline.skill_high)})"
    found = f"Of two accounts of the same day and age, the one that left {within} had the lower score {pairs}; chance gives 50."
    if headline.verdict == NO_SKILL:
        return {"short": "Not shown: a low score did not tell who left.", "long": f"No, not so far. {found}"}
    strength = next(word for least, word in _STRENGTHS if (headline.skill or 0) >= least)
    return {"short": f"A low score {strength} tells who leaves.", "long": f"Yes, {strength}. {found}"}


def _of_hundred(figure: float | None) -> str:
    return "–" if figure is None else f"{100 * figure:.0f}"
