"""Group `extract`: one asset per raw table, source -> lake."""

import dagster as dg

from orchestration.contract import TABLES, Column, RawTable
from orchestration.defs.common import OWNERS, PARTITIONS, SETTINGS, add_to_last_day, days_of
from orchestration.extract import land_table, thin_event_days
from orchestration.extract.errors import SourceUnavailable
from orchestration.extract.lake.manifest import raw_folder
from orchestration.home import NO_RETRIES, RETRIES_TAG
from orchestration.markdown import table as markdown_table
from orchestration.markdown import verbatim
from orchestration.plain_text import shortened
from orchestration.progress import now_at
from orchestration.sources import FilesSource

CHECK = "source_could_be_read"
FILES_CHECK = "files_are_in_order"
DAYS_CHECK = "days_have_their_events"
_NOTES_SHOWN = 10
# After those that a connector makes by itself within a minute or two.
_RETRIES, _PAUSE_SECONDS = 2, 60


def _asset(table: RawTable) -> dg.AssetsDefinition:
    source = SETTINGS.sources.get(table.name)
    connector = source.connector if source else "no source"

    @dg.asset(
        key=["raw", table.name],
        group_name="extract",
        description=f"{table.description} Landed as typed Parquet in the lake; source: {connector}. One row per {' and '.join(table.key)}.",
        owners=OWNERS,
        kinds={"parquet"} if source is None else {source.system, "parquet"},
        tags={"layer": "raw"},
        partitions_def=PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"run_guard"},
        check_specs=[dg.AssetCheckSpec(name, asset=["raw", table.name], description=sentence) for name, sentence in _checks(table).items()],
        metadata={
            "dagster/column_schema": dg.TableSchema([_column(column) for column in table.columns]),
            # As dbt reads it.
            "dagster/table_name": f"raw.{table.name}",
            "dagster/uri": raw_folder(SETTINGS.lake, table.name).as_uri(),
        },
    )
    def raw_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        start, end = days_of(context)
        now_at("extract", table.name, len(TABLES))
        try:
            landed = land_table(SETTINGS, table, start, end)
        except SourceUnavailable as error:
            if error.may_pass:
                _wait_for_source(context, str(error))
            raise
        if landed.unavailable is not None and landed.may_pass:
            _wait_for_source(context, landed.unavailable)
        if landed.unavailable is not None:
            context.log.error(f"{landed.unavailable}. The table stays as it was; its metrics are late on the days that it lacks")
        for warning in (*landed.losses, *landed.notes):
            context.log.warning(warning)
        quarantined = sum(landed.quarantined.values())
        add_to_last_day(
            context,
            {
                "dagster/row_count": landed.loaded,
                "connector": connector,
                "mode": landed.mode,
                "delivered": landed.delivered,
                "duplicates": landed.duplicates,
                "quarantined": quarantined,
                "quarantine_reasons": dg.MetadataValue.md(_reasons(landed.quarantined)),
                "newest_fact": str(landed.newest_fact or "none"),
                "late_days": len(landed.late_days),
            },
        )
        return dg.MaterializeResult(
            check_results=[
                _warning(CHECK, landed.unavailable, "The source was read."),
                *_check_files(table, landed.notes),
                *_check_days(context, table),
            ]
        )

    return raw_table


def _wait_for_source(context: dg.AssetExecutionContext, why: str) -> None:
    """End this attempt and have Dagster make another one, if any is left. The other tables land meanwhile."""
    if context.retry_number < _RETRIES and context.run.tags.get(RETRIES_TAG) != NO_RETRIES:
        context.log.warning(f"{why}. Read again in {_PAUSE_SECONDS} s")
        raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_PAUSE_SECONDS)


def _checks(table: RawTable) -> dict[str, str]:
    """The checks of a raw table, with what each says."""
    checks = {CHECK: "The source was read and has not lost most of its rows; else the table stays as it was, and its metrics are late."}
    if isinstance(SETTINGS.sources.get(table.name), FilesSource):
        checks[FILES_CHECK] = "No file is empty, has rows of nothing but blank fields, or brings other values for a key of another file."
    if table.by_day:
        checks[DAYS_CHECK] = "No day of the run has less than a fifth of the rows that its weekday had in the four weeks before."
    return checks


def _check_files(table: RawTable, notes: tuple[str, ...]) -> list[dg.AssetCheckResult]:
    if FILES_CHECK not in _checks(table):
        return []
    return [_warning(FILES_CHECK, "\n".join(shortened(notes, _NOTES_SHOWN)) or None, "Nothing to say about the files.")]


def _check_days(context: dg.AssetExecutionContext, table: RawTable) -> list[dg.AssetCheckResult]:
    if not table.by_day:
        return []
    thin_days = thin_event_days(SETTINGS.lake, *days_of(context), table.name)
    if thin_days:
        context.log.warning(thin_days)
    return [_warning(DAYS_CHECK, thin_days, "Every day of the run has about as many rows as its weekday usually has.")]


def _warning(check: str, fault: str | None, otherwise: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=check, passed=fault is None, severity=dg.AssetCheckSeverity.WARN, description=fault or otherwise)


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
