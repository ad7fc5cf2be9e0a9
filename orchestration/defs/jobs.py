"""The job that runs everything for a day or a range of days, and its daily schedule."""

import dagster as dg

from orchestration.defs.common import PARTITIONS

MART = dg.AssetKey("published_mart")
MART_IS_FRESH = dg.AssetCheckKey(MART, "mart_is_fresh")

daily_health = dg.define_asset_job(
    "daily_health",
    # Validation has a job of its own; whether a run is missing is nothing that a run can tell.
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("validate") - dg.AssetSelection.checks(MART_IS_FRESH),
    partitions_def=PARTITIONS,
    executor_def=dg.in_process_executor,
    description=(
        "Extract, transform and publish the health mart for a day, or for any range of days in one run. A partition is an as-of day: "
        "facts count up to its end, UTC. Days that already ran are replaced; what readers see changes only when every blocking check has "
        "passed."
    ),
)

# The day that ended at midnight UTC, after sources had some hours to deliver it.
daily_health_schedule = dg.build_schedule_from_partitioned_job(
    daily_health,
    hour_of_day=4,
    minute_of_hour=0,
    description="Every day at 04:00 UTC: scores and publishes the day that ended at midnight. Off until you switch it on.",
)
