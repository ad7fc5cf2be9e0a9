"""Group `publish`: the health mart as BI tools read it."""

import base64
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.defs.common import OWNERS, PARTITIONS, SETTINGS, days_of
from orchestration.markdown import verbatim
from orchestration.publish.highlights import describe_movements, describe_weeks, read_highlights
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
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)),
)
def published_mart(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    generation = publish(SETTINGS, context.run_id, datetime.now(UTC))
    figures: dict[str, Any] = {}
    summary: RunSummary | None = None
    drift: list[tuple[date, str]] | None = None
    # Readers have the new generation already: what only the UI shows must not make the step fail.
    try:
        summary = summarize(SETTINGS, generation.path)
        figures = _figures(context, generation.path, summary)
        drift = unexplained_drift(SETTINGS, generation.path, *days_of(context))
    except Exception as error:
        context.log.warning(f"the mart is published, but its figures for this page could not be read: {error}")
    for day, message in drift or []:
        context.log.warning(f"metric drift on {day}: {message}")
    for fault in generation.faults:
        context.log.error(fault)
    return dg.MaterializeResult(
        metadata=figures
        | {
            "as_of_range": f"{generation.first_as_of_date} to {generation.last_as_of_date}",
            "generation": generation.number,
            "revisions_added": generation.revisions,
            "mart": dg.MetadataValue.path(str(SETTINGS.published / "current" / "health.duckdb")),
            "rows": dg.MetadataValue.json(generation.rows),
        },
        check_results=[
            _complete_check(generation.faults),
            _drift_check(drift),
            _data_check(_ORPHANS, None if summary is None else summary.orphan_warnings, "Facts find their accounts."),
            _data_check(_VALUES, None if summary is None else summary.value_warnings, "No values contradict each other."),
        ],
    )


def _figures(context: dg.AssetExecutionContext, generation_path: Path, summary: RunSummary) -> dict[str, Any]:
    """Figures of the newest day for the materialization, which Dagster stores once for each day of the run.

    What is larger is added to the last day's only: the Overview of the asset shows that one.
    """
    highlights = read_highlights(SETTINGS, generation_path)
    chart = base64.b64encode(summary.chart).decode()
    context.add_asset_metadata(
        {
            "tiers_by_week": dg.MetadataValue.md(describe_weeks(highlights)),
            "fell_most": dg.MetadataValue.md(describe_movements(highlights.fell)),
            "rose_most": dg.MetadataValue.md(describe_movements(highlights.rose)),
            "tiers_over_time": dg.MetadataValue.md(f"![accounts by tier over time](data:image/png;base64,{chart})"),
        },
        partition_key=context.partition_key_range.end,
    )
    return {
        "degraded": ", ".join(f"{name} not read" for name in summary.not_read) or "no",
        "accounts_scored": summary.accounts,
        "tiers": dg.MetadataValue.md(" · ".join(f"{tier}: **{count}**" for tier, count in summary.tiers.items())),
        "mean_score": round(summary.mean_score or 0, 1),
        "mean_coverage": round(summary.mean_coverage or 0, 3),
    }


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
