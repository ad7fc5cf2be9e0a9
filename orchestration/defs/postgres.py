"""Group `publish`: the copy of the mart in Postgres. Only there where `[exports.postgres]` is configured."""

from collections.abc import Iterator

import dagster as dg

from orchestration.defs.common import OWNERS, PARTITIONS, SETTINGS
from orchestration.progress import now_at
from orchestration.publish.postgres import CopyFailed, copy_to_postgres

CHECK = "copy_is_current"


def _check(passed: bool, description: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=CHECK, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=description)


@dg.definitions
def postgres_copy() -> dg.Definitions:
    target = SETTINGS.exports.postgres
    if target is None:
        return dg.Definitions()

    @dg.asset(
        group_name="publish",
        description=(
            f"The published mart copied to the Postgres schema {target.schema_name}, in one transaction, for BI tools "
            "without a DuckDB driver. A database that is down fails nothing: the check warns, and the next run copies all."
        ),
        deps=["published_mart"],
        owners=OWNERS,
        kinds={"postgres"},
        tags={"layer": "published"},
        partitions_def=PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"run_guard"},
        # Without a copy there is no materialization, and no error either.
        output_required=False,
        check_specs=[dg.AssetCheckSpec(CHECK, asset="postgres_mart", description="Postgres holds the generation that was published last.")],
    )
    def postgres_mart(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        now_at("publish", "Postgres")
        try:
            copied = copy_to_postgres(SETTINGS)
        except CopyFailed as error:
            context.log.warning(str(error))
            yield _check(False, str(error))
            return
        yield dg.MaterializeResult(
            metadata={
                "generation": copied.generation,
                "schema": target.schema_name,
                "rows": dg.MetadataValue.json(copied.rows),
            },
            check_results=[_check(True, f"Postgres holds generation {copied.generation}, the current one.")],
        )

    return dg.Definitions(assets=dg.with_source_code_references([postgres_mart]))
