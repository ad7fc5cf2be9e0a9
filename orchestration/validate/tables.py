"""The tables of a validation, as data. They are part of every generation, without a row before the first validation."""

from dataclasses import dataclass

_TEXT, _DAY, _COUNT, _FIGURE, _FLAG = "VARCHAR", "DATE", "BIGINT", "DOUBLE", "BOOLEAN"


@dataclass(frozen=True)
class ValidationTable:
    """
    Attributes:
        key: the columns that name a row, in whose order it is written; the primary key in `health.duckdb`.
        columns: name -> (DuckDB type, description).
        is_key_partial: a column of the key may be null, so that it cannot be declared.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: dict[str, tuple[str, str]]
    is_key_partial: bool = False


def _figure(name: str, description: str) -> dict[str, tuple[str, str]]:
    """A figure and the bounds of its 95% interval."""
    return {
        name: (_FIGURE, description),
        f"{name}_low": (_FIGURE, f"Lower bound of {name}: 95%, bootstrap over accounts."),
        f"{name}_high": (_FIGURE, f"Upper bound of {name}."),
    }


_VERSION = {
    "as_of_date": (_DAY, "The newest scored day; nothing after it is looked at."),
    "config_version": (_TEXT, "Version of the scorecard configuration."),
    "status": (_TEXT, "active or candidate."),
    "history": (_TEXT, "as_first_published: what people acted on. as_restated: what the rules say now. A candidate has the second only."),
}
_HORIZON = {"horizon_days": (_COUNT, "An account leaves if it does so within so many days after the scored day.")}
_COUNTS = {
    "account_days": (_COUNT, "Scored Mondays of accounts whose end is known."),
    "accounts": (_COUNT, "Accounts among them."),
    "leavers": (_COUNT, "Accounts among them that left within the horizon."),
}

SCORE_VALIDATION = ValidationTable(
    "score_validation",
    "How far a version's scores told who leaves: AUC within day and tenure, with its verdict, by version, history, horizon, scope, period.",
    ("config_version", "history", "horizon_days", "scope", "period"),
    _VERSION
    | _HORIZON
    | {
        "scope": (_TEXT, "all, or segment: and its name."),
        "period": (_TEXT, "all, or a quarter of scored Mondays such as 2026-Q1."),
        "first_day": (_DAY, "First scored Monday whose end is known."),
        "last_day": (_DAY, "Last scored Monday whose end is known."),
    }
    | _COUNTS
    | _figure(
        "skill",
        "Chance that of two accounts of one day and tenure band, one leaving and one staying, the leaving one scores lower. 0.5 is none.",
    )
    | _figure("auc_within_day", "The same over accounts of one day, whatever their tenure.")
    | _figure("pooled_auc", "The same over all accounts and days.")
    | _figure("lowest_tenth_lift", "Leaving rate of the lowest tenth of the day's scores by that of all.")
    | _figure("all_below_green", "Share of all account days below healthy, to hold the next three against.")
    | _figure("below_green_30d", "Share of those who left that were below healthy 30 days before.")
    | _figure("below_green_60d", "Share of those who left that were below healthy 60 days before.")
    | _figure("below_green_90d", "Share of those who left that were below healthy 90 days before.")
    | {
        "verdict": (_TEXT, "skill, no_skill, or too_few where fewer than 100 accounts left."),
        "reason": (_TEXT, "What decided the verdict."),
    },
)

TIER_VALIDATION = ValidationTable(
    "tier_validation",
    "How often accounts of each tier left within the horizon, and whether neighbouring tiers can be told apart.",
    ("config_version", "history", "horizon_days", "tier"),
    _VERSION
    | _HORIZON
    | {"tier": (_TEXT, "healthy, at_risk or poor; of a candidate the tier by one day's score.")}
    | _COUNTS
    | _figure("leaving_rate", "Share of the tier's account days after which the account left within the horizon.")
    | _figure("ratio_to_better", "Leaving rate by that of the next better tier that has accounts.")
    | {
        "is_separable": (_FLAG, "Whether the lower bound of the ratio is above 1; null for the best tier."),
        "reason": (_TEXT, "Where the tiers do not differ as they should; null otherwise."),
    },
)

CALIBRATION = ValidationTable(
    "calibration",
    "Leaving rate by tenth of the day's scores, and the chance to leave where it may be claimed.",
    ("config_version", "history", "horizon_days", "tenth"),
    _VERSION
    | _HORIZON
    | {
        "tenth": (_COUNT, "1 holds the lowest scores of each day, 10 the highest; equal scores share a tenth."),
        "account_days": _COUNTS["account_days"],
        "leaving_days": (_COUNT, "Those after which the account left within the horizon."),
        "lowest_score": (_FIGURE, "Lowest score of the tenth on any day."),
        "highest_score": (_FIGURE, "Highest score of the tenth on any day."),
    }
    | _figure("leaving_rate", "Share of account days after which the account left within the horizon.")
    | _figure("probability", "Chance to leave within the horizon, falling with the score (isotonic); null where it may not be claimed.")
    | {
        "reason": (_TEXT, "Why no probability is given; null where one is."),
        "base_rate": (_FIGURE, "Leaving rate of all accounts in the last completed horizon."),
        "brier": (
            _FIGURE,
            "Mean squared error of the probabilities in the last completed period, fitted on what was complete before each day.",
        ),
        "base_brier": (_FIGURE, "The same of the base rate as it was known on each day."),
        "expected_over_actual_before": (_FIGURE, "Leavers expected by those that left, in the completed period before the last."),
        "expected_over_actual_last": (_FIGURE, "The same in the last completed period."),
    },
)

METRIC_INFLUENCE = ValidationTable(
    "metric_influence",
    "What each metric does to the scores of the newest day beside what its weight says; one row, all, for the scorecards as a whole.",
    ("config_version", "metric_key"),
    {
        "as_of_date": _VERSION["as_of_date"],
        "config_version": (_TEXT, "The version in force."),
        "metric_key": (_TEXT, "The metric, a cap (cap:<cap_key>), or all for the scorecards as a whole."),
        "dimension_key": (_TEXT, "Its dimension; cap for a cap."),
        "accounts": (_COUNT, "Accounts on whose scorecard it is; of a cap, those it binds."),
        "measured_share": (_FIGURE, "Share of them for which it was measured."),
        "nominal_weight": (_FIGURE, "Mean over them: what it would weigh if every metric had a score."),
        "effective_weight": (_FIGURE, "Mean over them: what it weighed."),
        "variance_share": (_FIGURE, "Share of the variance of the score that comes from its points; all rows sum to 1."),
        "share_at_0": (_FIGURE, "Share of the measured accounts with the normalized score 0."),
        "share_at_100": (_FIGURE, "Share of the measured accounts with the normalized score 100."),
        "separates": (_FLAG, "Whether neither share is above 0.6; else an anchor does not separate the accounts."),
        "twins": (_TEXT, "Metrics whose values have a rank correlation above 0.8 with its own, in either direction."),
    }
    | _figure("skill", "Skill of its normalized score alone, where measured, at the horizon of [validation].")
    | _figure("tier_changes", "Of the row all: accounts that change tier if every weight is off by up to 20%, mean over 1,000 draws."),
)

_TIERS = ("healthy", "at_risk", "poor", "unknown")

RENEWAL_FORECAST = ValidationTable(
    "renewal_forecast",
    "Accounts and arr up for renewal by month of term end and segment, and the arr that may be lost, or why that cannot be said.",
    ("month", "segment"),
    {
        "as_of_date": _VERSION["as_of_date"],
        "config_version": (_TEXT, "The version in force."),
        "month": (_DAY, "First day of the month in which the terms end."),
        "segment": (_TEXT, "Segment; null without one."),
        "horizon_days": (
            _COUNT,
            "Horizon of the chance to leave: the shortest that reaches the last term end of the month; null beyond the longest.",
        ),
        "accounts": (_COUNT, "Accounts whose term ends in the month; trials that never paid are left out."),
        "arr": (_FIGURE, "Their arr, in the reporting currency."),
        "currency": (_TEXT, "Currency of all amounts of the row: the reporting currency."),
    }
    | {f"{tier}_accounts": (_COUNT, f"Those of the tier {tier}.") for tier in _TIERS}
    | {f"{tier}_arr": (_FIGURE, f"Arr of the tier {tier}.") for tier in _TIERS}
    | {
        "expected_loss_low": (_FIGURE, "Arr expected to leave within the horizon, by the lower bounds of the chances; null with a reason."),
        "expected_loss_middle": (_FIGURE, "The same by the chances themselves."),
        "expected_loss_high": (_FIGURE, "The same by their upper bounds."),
        "reason": (_TEXT, "Why no loss is given; null where one is."),
        "base_rate": (_FIGURE, "Leaving rate of all accounts in the last completed horizon."),
    },
    is_key_partial=True,
)

WEIGHT_PROPOSALS = ValidationTable(
    "weight_proposals",
    "Weights learned from who left, and whether they beat the present and equal weights in two later periods. A proposal only.",
    ("period", "metric_key"),
    {
        "as_of_date": _VERSION["as_of_date"],
        "config_version": (_TEXT, "The version in force."),
    }
    | _HORIZON
    | {
        "period": (_TEXT, "first later or second later: a comparison. fitted: a metric's weights."),
        "metric_key": (_TEXT, "all, or the metric."),
        "first_day": (_DAY, "First Monday of the period."),
        "last_day": (_DAY, "Last Monday of the period."),
        "leavers": _COUNTS["leavers"],
    }
    | _figure("present_skill", "Skill of the present weights in the period, without caps.")
    | _figure("equal_skill", "Skill if every metric that weighs anything weighed the same.")
    | _figure("learned_skill", "Skill of the learned weights.")
    | _figure("gain_over_present", "Skill of the learned weights less that of the present ones, paired by draw.")
    | _figure("gain_over_equal", "Skill of the learned weights less that of equal ones, paired by draw.")
    | {
        "is_better": (_FLAG, "Whether both gains have a lower bound above 0."),
        "present_weight": (_FIGURE, "Share of the whole that the metric weighs now, on average."),
        "learned_weight": (_FIGURE, "Share of the whole that it would weigh."),
        "holds": (_FLAG, "Whether both later periods are better, so that make propose-weights writes a candidate."),
        "reason": (_TEXT, "Why there is no proposal; null where there is one."),
    },
)

TABLES = (SCORE_VALIDATION, TIER_VALIDATION, CALIBRATION, METRIC_INFLUENCE, RENEWAL_FORECAST, WEIGHT_PROPOSALS)
BY_NAME = {table.name: table for table in TABLES}
