"""Group `publish`: the health mart as BI tools read it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from orchestration.defs.common import OWNERS, PARTITIONS, SETTINGS, add_to_last_day, days_of
from orchestration.markdown import table as markdown_table
from orchestration.markdown import verbatim
from orchestration.plain_text import shortened
from orchestration.progress import now_at
from orchestration.publish.highlights import Highlights, describe_movements, describe_weeks, draw_weeks, read_highlights
from orchestration.publish.publishing import publish
from orchestration.publish.summary import RunSummary, summarize, unexplained_drift
from orchestration.publish.tables import SCHEMA, TABLES

_ORPHANS, _VALUES = "facts_find_their_accounts", "values_fit_together"
_COMPLETE = "board_and_exports_are_complete"


@dg.asset(
    group_name="publish",
    description=(
        "The published health mart: published/current/health.duckdb and the same tables as Parquet. Written as a new generation, audited, "
        "and flipped in only when every blocking check of this very run has passed; readers are never disturbed."
    ),
    deps=[dg.AssetKey([SCHEMA, table.name]) for table in TABLES],
    owners=OWNERS,
    kinds={"duckdb", "parquet"},
    tags={"layer": "published"},
    metadata={"dagster/uri": (SETTINGS.published / "current" / "health.duckdb").as_uri()},
    partitions_def=PARTITIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    required_resource_keys={"run_guard"},
    check_specs=[
        dg.AssetCheckSpec(
            _COMPLETE,
            asset="published_mart",
            description="The board and the exports could be written; else the mart is published without them, and the log says why.",
        ),
        dg.AssetCheckSpec(
            "no_metric_drift",
            asset="published_mart",
            description="No metric jumped for most accounts on one day of the run without a release that explains it.",
        ),
        dg.AssetCheckSpec(
            _ORPHANS,
            asset="published_mart",
            description="Every raw table finds its accounts: no unusual number of rows, and no whole day of them, has an unknown "
            "account_id, and none has one that nearly is an account's.",
        ),
        dg.AssetCheckSpec(
            _VALUES,
            asset="published_mart",
            description="No values or rows of a raw table contradict each other: overlapping periods, times before their beginning, "
            "other scales.",
        ),
    ],
    freshness_policy=dg.FreshnessPolicy.time_window(
        warn_window=timedelta(days=SETTINGS.pipeline.cadence_days, hours=2),
        fail_window=timedelta(days=SETTINGS.pipeline.cadence_days, hours=12),
    ),
)
def published_mart(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    generation = publish(SETTINGS, context.run_id, datetime.now(UTC))
    summary: RunSummary | None = None
    drift: list[tuple[date, str]] | None = None
    now_at("publish", "figures")
    # Readers have the new generation already: what only the UI shows must not make the step fail.
    try:
        summary = summarize(SETTINGS, generation.path)
        drift = unexplained_drift(SETTINGS, generation.path, *days_of(context))
        add_to_last_day(context, _news(summary, read_highlights(SETTINGS, generation.path), _warnings(summary, drift, generation.faults)))
        _add_figures_of_days(context, summary)
    except Exception as error:
        context.log.warning(f"the mart is published, but its figures for this page could not be read: {error}")
    add_to_last_day(
        context,
        {
            "as_of_range": f"{generation.first_as_of_date} to {generation.last_as_of_date}",
            "generation": generation.number,
            "revisions_added": generation.revisions,
            "mart": dg.MetadataValue.path(str(SETTINGS.published / "current" / "health.duckdb")),
            "rows": dg.MetadataValue.json(generation.rows),
        },
    )
    for day, message in drift or []:
        context.log.warning(f"metric drift on {day}: {message}")
    for fault in generation.faults:
        context.log.error(fault)
    return dg.MaterializeResult(
        check_results=[
            _complete_check(generation.faults),
            _drift_check(drift),
            _data_check(_ORPHANS, None if summary is None else summary.orphan_warnings, "Facts find their accounts."),
            _data_check(_VALUES, None if summary is None else summary.value_warnings, "No values contradict each other."),
        ],
    )


def _warnings(summary: RunSummary, drift: list[tuple[date, str]], faults: Sequence[str]) -> list[str]:
    return [
        *(f"{table}: not read: {why}" for table, why in summary.not_read.items()),
        *summary.warnings,
        *(f"metric drift on {day}: {message}" for day, message in drift),
        *faults,
    ]


def _news(summary: RunSummary, highlights: Highlights, warnings: Sequence[str]) -> dict[str, Any]:
    """What a person wants to know first, in this order: of the newest day of the mart, whatever days the run was for."""
    picture = draw_weeks(highlights)
    return {
        "newest_day": str(summary.last_as_of_date or "no account is scored"),
        "degraded": ", ".join(f"{name} not read" for name in summary.not_read) or "no",
        "warnings": dg.MetadataValue.md("\n".join(f"* {verbatim(one, 170)}" for one in shortened(warnings, 5)) or "none"),
        "tiers_by_week": dg.MetadataValue.md(describe_weeks(highlights)),
        **({"tiers_over_time": dg.MetadataValue.md(picture)} if picture else {}),
        "fell_most": dg.MetadataValue.md(describe_movements(highlights.fell)),
        "rose_most": dg.MetadataValue.md(describe_movements(highlights.rose)),
        "freshness": dg.MetadataValue.md(
            markdown_table(
                ["raw table", "newest fact", "status"],
                [[table, str(newest or ""), status] for table, (newest, status) in summary.freshness.items()],
            )
        ),
    }


def _add_figures_of_days(context: dg.AssetExecutionContext, summary: RunSummary) -> None:
    """Numbers for each day of the run: few, since Dagster stores them for all days. *Plots* draws them."""
    first, last = days_of(context)
    for day, figures in summary.days.items():
        if first <= day <= last:
            numbers: dict[str, float] = {"accounts_scored": figures.accounts, **figures.tiers}
            means = {"mean_score": (figures.mean_score, 1), "mean_coverage": (figures.mean_coverage, 3)}
            numbers |= {name: round(value, places) for name, (value, places) in means.items() if value is not None}
            context.add_asset_metadata(numbers, partition_key=str(day))


def _complete_check(faults: Sequence[str]) -> dg.AssetCheckResult:
    """A warning: BI tools have the mart, people lack their pages."""
    return dg.AssetCheckResult(
        check_name=_COMPLETE,
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(faults) or "The board and the exports are part of this generation.",
    )


def _drift_check(drift: list[tuple[date, str]] | None) -> dg.AssetCheckResult:
    """A warning, never a failure: a jump of the instrumentation is a reason to look, not to withhold the mart."""
    if drift is None:
        return dg.AssetCheckResult(
            check_name="no_metric_drift", passed=False, severity=dg.AssetCheckSeverity.WARN, description="It could not be read."
        )
    found = [f"{day}: {message}" for day, message in drift]
    return dg.AssetCheckResult(
        check_name="no_metric_drift",
        passed=not drift,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(found[:3]) if found else "No metric jumped for most accounts without a release that explains it.",
        metadata={"jumps": dg.MetadataValue.md("\n".join(f"* {verbatim(line)}" for line in found))} if found else None,
    )


def _data_check(name: str, warnings: dict[str, str] | None, otherwise: str) -> dg.AssetCheckResult:
    """A warning, never a failure: it may be true, and a person should look."""
    if warnings is None:
        return dg.AssetCheckResult(check_name=name, passed=False, severity=dg.AssetCheckSeverity.WARN, description="It could not be read.")
    said = "\n".join(f"{table}: {warning}" for table, warning in warnings.items())
    return dg.AssetCheckResult(check_name=name, passed=not warnings, severity=dg.AssetCheckSeverity.WARN, description=said or otherwise)


@dg.definitions
def publishing() -> dg.Definitions:
    return dg.Definitions(assets=dg.with_source_code_references([published_mart]))
