"""`python -m tests.dagster_run RESULT RANGE [publish]`: `health run RANGE`, and what Dagster recorded.

Writes to RESULT, as JSON: the exit code, the run's materializations and checks. With `publish`, it then materializes
the published mart alone and notes how that ended. Definitions read the configuration when they are imported: so this is
a process of its own.
"""

import json
import sys
from pathlib import Path
from typing import Any

from orchestration.cli import main as main_command
from orchestration.run import JOB


def main(result_file: Path, days: str, publish_alone: bool) -> None:
    exit_code = main_command(["run", days])
    import dagster as dg

    from orchestration.definitions import defs

    definitions = defs()
    with dg.DagsterInstance.get() as instance:
        [latest] = instance.get_run_records(limit=1)
        found = {"exit_code": exit_code, "assets": assets(definitions), "check_sentences": check_sentences(definitions)}
        found |= recorded(instance, latest.dagster_run.run_id)
        if publish_alone:
            start, _, end = days.partition("...")
            alone = definitions.resolve_job_def(JOB).execute_in_process(
                instance=instance,
                raise_on_error=False,
                asset_selection=[dg.AssetKey("published_mart")],
                tags={"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end or start},
            )
            found["published_alone"] = alone.success
    result_file.write_text(json.dumps(found), encoding="utf-8")


def assets(definitions: Any) -> dict[str, dict[str, Any]]:
    """What the UI says of every asset that the pipeline makes."""
    graph = definitions.resolve_asset_graph()
    return {
        spec.key.to_user_string(): {
            "group": spec.group_name,
            "description": spec.description or "",
            "owners": list(spec.owners),
            "kinds": sorted(spec.kinds),
            "layer": spec.tags.get("layer"),
            "backfill": f"{graph.get(spec.key).partitions_def} {graph.get(spec.key).backfill_policy}",
            "table": spec.metadata.get("dagster/table_name"),
            "columns": [column.name for column in getattr(spec.metadata.get("dagster/column_schema"), "columns", [])],
            "source_files": [Path(each.file_path).name for each in spec.metadata["dagster/code_references"].code_references],
        }
        for spec in definitions.resolve_all_asset_specs()
    }


def check_sentences(definitions: Any) -> dict[str, str]:
    """What the UI says of every asset check."""
    graph = definitions.resolve_asset_graph()
    return {key.to_user_string(): graph.get_check_spec(key).description or "" for key in graph.asset_check_keys}


def recorded(instance: Any, run_id: str) -> dict[str, Any]:
    import dagster as dg

    materialized: dict[str, dict[str, Any]] = {}
    checks: list[dict[str, Any]] = []
    status = instance.get_run_by_id(run_id).status.value
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is not None and event.event_type_value == "ASSET_MATERIALIZATION":
            materialization = event.event_specific_data.materialization
            materialized[materialization.asset_key.to_user_string()] = shown(materialization)
        if event is not None and event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.event_specific_data
            checks.append({"name": check.check_name, "asset": check.asset_key.to_user_string(), "passed": check.passed})
    published_days = {
        record.partition_key: shown(record.asset_materialization)
        for record in instance.fetch_materializations(dg.AssetKey("published_mart"), limit=1000).records
    }
    failed = shown_as_failed(instance, run_id)
    return {"status": status, "materialized": materialized, "published_days": published_days, "checks": checks, "failed": failed}


def shown_as_failed(instance: Any, run_id: str) -> list[str]:
    """Assets whose newest plan is of this run, which did not make them; the UI shows them as failed if the run failed."""
    failed = []
    for key in instance.get_asset_keys():
        plan = instance.get_latest_planned_materialization_info(key)
        made = instance.get_latest_materialization_event(key)
        if plan is not None and plan.run_id == run_id and (made is None or made.run_id != run_id):
            failed.append(key.to_user_string())
    return sorted(failed)


def shown(materialization: Any) -> dict[str, Any]:
    metadata = {name: value.value for name, value in materialization.metadata.items()}
    return {name: value if isinstance(value, int | float | str | dict) else str(value) for name, value in metadata.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["publish"])
