"""Group `validate`: whether the scores tell who leaves, week by week."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from orchestration.defs.common import OWNERS, SETTINGS
from orchestration.publish import PublishError
from orchestration.validate.tables import SCORE_VALIDATION, TABLES

GROUP = "validate"
_CHECK = "skill_is_enough"


def _key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["validation", name])


@dg.multi_asset(
    name="validation",
    specs=[
        dg.AssetSpec(
            _key(table.name),
            group_name=GROUP,
            description=table.description,
            deps=["published_mart"],
            owners=OWNERS,
            kinds={"duckdb", "parquet"},
            tags={"layer": "published"},
            metadata={
                "dagster/column_schema": dg.TableSchema(
                    [dg.TableColumn(name, kind, description) for name, (kind, description) in table.columns.items()]
                )
            },
        )
        for table in TABLES
    ],
    check_specs=[
        dg.AssetCheckSpec(
            _CHECK,
            asset=_key(SCORE_VALIDATION.name),
            description="The version in force tells who leaves at least as well as `min_skill` of [validation] in health.toml asks.",
        )
    ],
    required_resource_keys={"run_guard"},
)
def validation(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    # With it come numpy and scipy, which no other run needs.
    from orchestration.validate.run import validate_and_publish

    try:
        done = validate_and_publish(SETTINGS, datetime.now(UTC))
    except PublishError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for line in done.lines:
        context.log.info(line)
    if done.not_copied is not None:
        context.log.warning(done.not_copied)
    for table in TABLES:
        yield dg.MaterializeResult(
            asset_key=_key(table.name),
            metadata={"rows": len(done.rows[table.name]), "generation": done.generation}
            | ({"verdicts": dg.MetadataValue.md("\n".join(f"* {line}" for line in done.lines))} if table is SCORE_VALIDATION else {}),
        )
    yield dg.AssetCheckResult(
        asset_key=_key(SCORE_VALIDATION.name),
        check_name=_CHECK,
        passed=done.low_skill is None,
        severity=dg.AssetCheckSeverity.WARN if SETTINGS.validation.on_low_skill == "warn" else dg.AssetCheckSeverity.ERROR,
        description=done.low_skill or "; ".join(done.lines),
    )


weekly_validation = dg.define_asset_job(
    "weekly_validation",
    selection=dg.AssetSelection.groups(GROUP),
    executor_def=dg.in_process_executor,
    description=(
        "Compares the published scores with who left, for every version, and publishes the result with the mart and the board. "
        "The same as `make validate`."
    ),
)

weekly_validation_schedule = dg.ScheduleDefinition(
    job=weekly_validation,
    cron_schedule="0 6 * * 1",
    execution_timezone="UTC",
    description="Every Monday at 06:00 UTC. Off until you switch it on.",
)


@dg.definitions
def validating() -> dg.Definitions:
    return dg.Definitions(
        assets=dg.with_source_code_references([validation]), jobs=[weekly_validation], schedules=[weekly_validation_schedule]
    )
