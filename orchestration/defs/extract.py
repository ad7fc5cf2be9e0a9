"""Group `extract`: one asset per raw table, source -> lake."""

import dagster as dg

from orchestration.contract import TABLES, Column, RawTable
from orchestration.defs.common import OWNERS, PARTITIONS, SETTINGS, days_of
from orchestration.extract import land_table
from orchestration.extract.lake import raw_folder
from orchestration.markdown import table as markdown_table
from orchestration.markdown import verbatim

CHECK = "source_could_be_read"


def _asset(table: RawTable) -> dg.AssetsDefinition:
    source = SETTINGS.sources.get(table.name)
    connector = source.connector if source else "no source"

    @dg.asset(
        key=["raw", table.name],
        group_name="extract",
        description=f"{table.description} Landed as typed Parquet in the lake; source: {connector}. One row per {' and '.join(table.key)}.",
        owners=OWNERS,
        kinds={"python", "parquet"},
        tags={"layer": "raw"},
        partitions_def=PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"run_guard"},
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=["raw", table.name], description="The source could be read; else the table stands as it stood, and its metrics are late."
            )
        ],
        metadata={
            "dagster/column_schema": dg.TableSchema([_column(column) for column in table.columns]),
            # As dbt reads it.
            "dagster/table_name": f"raw.{table.name}",
            "dagster/uri": raw_folder(SETTINGS.lake, table.name).as_uri(),
        },
    )
    def raw_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        start, end = days_of(context)
        landed = land_table(SETTINGS, table, start, end)
        if landed.unavailable is not None:
            context.log.error(f"{landed.unavailable} The table stands as it stood; its metrics are late on the days that it lacks")
        quarantined = sum(landed.quarantined.values())
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=landed.unavailable is None,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=landed.unavailable or "The source was read.",
                )
            ],
            metadata={
                "dagster/row_count": landed.loaded,
                "connector": connector,
                "mode": landed.mode,
                "delivered": landed.delivered,
                "duplicates": landed.duplicates,
                "quarantined": quarantined,
                "quarantine_reasons": dg.MetadataValue.md(_reasons(landed.quarantined)),
                "newest_fact": str(landed.newest_fact or "none"),
                "late_days": len(landed.late_days),
            }
        )

    return raw_table


def _column(column: Column) -> dg.TableColumn:
    """A column with what quarantines a row that breaks it."""
    bounds = [("from", column.minimum), ("to", column.maximum)]
    allowed = ", ".join(column.choices) or " ".join(f"{word} {value:,.15g}" for word, value in bounds if value is not None)
    constraints = dg.TableColumnConstraints(nullable=not column.required, other=[allowed] if allowed else None)
    return dg.TableColumn(column.name, column.duckdb_type, constraints=constraints)


def _reasons(quarantined: dict[str, int]) -> str:
    if not quarantined:
        return "nothing quarantined"
    rows = [[verbatim(reason), str(count)] for reason, count in sorted(quarantined.items(), key=lambda item: -item[1])]
    return markdown_table(["reason", "rows"], rows)


@dg.definitions
def extract() -> dg.Definitions:
    return dg.Definitions(assets=dg.with_source_code_references([_asset(table) for table in TABLES.values()]))
