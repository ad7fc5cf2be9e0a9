"""Group `publish`: the health mart as BI tools read it."""

import base64
from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.defs.common import OWNERS, PARTITIONS, SETTINGS, WRITER_POOL
from orchestration.publish import publish
from orchestration.publish.summary import summarize
from orchestration.publish.tables import SCHEMA, TABLES


@dg.asset(
    group_name="publish",
    description=(
        "The published health mart: published/current/health.duckdb and the same tables as Parquet. Written as a new generation, audited, "
        "and flipped in only when every blocking check of this very run has passed; readers are never disturbed."
    ),
    deps=[dg.AssetKey([SCHEMA, table.name]) for table in TABLES],
    owners=OWNERS,
    kinds={"duckdb", "parquet"},
    partitions_def=PARTITIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool=WRITER_POOL,
    required_resource_keys={"run_guard"},
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)),
)
def published_mart(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    generation = publish(SETTINGS, context.run_id, datetime.now(UTC))
    summary = summarize(generation.path)
    chart = base64.b64encode(summary.chart).decode()
    return dg.MaterializeResult(
        metadata={
            "accounts_scored": summary.accounts,
            "tiers": dg.MetadataValue.md(" · ".join(f"{tier}: **{count}**" for tier, count in summary.tiers.items())),
            "mean_score": round(summary.mean_score or 0, 1),
            "mean_coverage": round(summary.mean_coverage or 0, 3),
            "as_of_range": f"{generation.first_as_of_date} to {generation.last_as_of_date}",
            "generation": generation.number,
            "mart": dg.MetadataValue.path(str(SETTINGS.published / "current" / "health.duckdb")),
            "rows": dg.MetadataValue.json(generation.rows),
            "tiers_over_time": dg.MetadataValue.md(f"![accounts by tier over time](data:image/png;base64,{chart})"),
        }
    )


@dg.definitions
def publishing() -> dg.Definitions:
    return dg.Definitions(assets=[published_mart])
