"""Dagster's history as our storage keeps it: what the UI shows of assets and partitions, and what is deleted."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from orchestration import event_log
from orchestration.home import prepare_home
from orchestration.settings import load_settings

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-04-01")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(), check_specs=[dg.AssetCheckSpec("is_right", asset="history")])
def history(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    if context.has_tag("broken"):
        raise ValueError("broken")
    return dg.MaterializeResult(metadata={"rows": 7}, check_results=[dg.AssetCheckResult(passed=True, check_name="is_right")])


@dg.asset(deps=[history])
def view() -> dg.MaterializeResult:
    return dg.MaterializeResult()


JOB = dg.Definitions(
    assets=[history, view], jobs=[dg.define_asset_job("days", partitions_def=DAYS, executor_def=dg.in_process_executor)]
).resolve_job_def("days")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    config = tmp_path / "health.toml"
    config.write_text("[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = 'files'\npath = 'a.csv'\n")
    for name in ("DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE"):
        monkeypatch.setenv(name, "")
    prepare_home(load_settings(config))
    with dg.DagsterInstance.get() as found:
        yield found


def run(instance: dg.DagsterInstance, first: str, last: str, **tags: str) -> dg.ExecuteInProcessResult:
    days = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return JOB.execute_in_process(instance=instance, raise_on_error=False, tags=days | tags)


def attempts(instance: dg.DagsterInstance) -> dict[str, str]:
    found = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(history.key)
    return {partition: run_id for partition, (run_id, _) in found.items()}


def count(instance: dg.DagsterInstance, shard: str) -> int:
    with instance.event_log_storage.run_connection(shard) as connection:
        return connection.execute(text("select count(*) from event_logs where asset_key is not null")).scalar_one()


def test_every_day_is_materialized_and_stored_once(instance: dg.DagsterInstance) -> None:
    ran = run(instance, "2026-01-01", "2026-02-10")
    assert ran.success
    assert len(instance.get_materialized_partitions(history.key)) == 41
    newest = instance.get_latest_materialization_event(history.key)
    assert newest is not None and newest.asset_materialization.metadata["rows"].value == 7
    # Its day alone knows where it comes from; the others have their metadata.
    tagged = {
        record.partition_key: bool(record.asset_materialization.tags)
        for record in instance.fetch_materializations(history.key, limit=50).records
        if record.asset_materialization.metadata["rows"].value == 7
    }
    assert len(tagged) == 41
    assert [day for day, has_tags in tagged.items() if has_tags] == ["2026-02-10"]
    assert instance.get_latest_materialization_event(view.key) is not None
    assert not instance.get_materialized_partitions(view.key)
    # In the index 41 days, a view and their two plans; in the file of the run each asset and its plan once.
    assert (count(instance, "index"), count(instance, ran.run_id)) == (44, 4)
    # What Dagster itself says of the run.
    assert {
        entry.get_dagster_event().asset_key for entry in instance.all_logs(ran.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    } == {
        history.key,
        view.key,
    }


def test_a_check_is_planned_and_judged_once_for_all_days(instance: dg.DagsterInstance) -> None:
    check = dg.AssetCheckKey(history.key, "is_right")
    run(instance, "2026-01-01", "2026-02-10", broken="yes")
    assert run(instance, "2026-01-01", "2026-02-10").success
    executions = instance.event_log_storage.get_asset_check_execution_history(check, limit=100)
    assert [(each.partition, each.status.value) for each in executions] == [(None, "SUCCEEDED"), (None, "PLANNED")]
    assert executions[0].event.get_dagster_event().asset_check_evaluation_data.passed


def test_the_days_of_a_failed_range_are_its_attempts_until_they_pass(instance: dg.DagsterInstance) -> None:
    assert run(instance, "2026-01-01", "2026-01-03").success
    failed = run(instance, "2026-01-02", "2026-01-05", broken="yes")
    assert attempts(instance) == dict.fromkeys(("2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"), failed.run_id)
    assert run(instance, "2026-01-02", "2026-01-04").success
    assert attempts(instance) == {"2026-01-05": failed.run_id}


def test_the_oldest_runs_are_deleted_and_partitions_stay_materialized(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run(instance, *days) for days in (("2026-01-01", "2026-01-09"), ("2026-01-05", "2026-01-06"), ("2026-01-06", "2026-01-07"))]
    assert event_log.prune_history(instance) == []
    monkeypatch.setattr(event_log, "KEPT_RUNS", 1)
    assert event_log.prune_history(instance) == [each.run_id for each in runs[:2]]
    assert [record.dagster_run.run_id for record in instance.get_run_records()] == [runs[2].run_id]
    folder = Path(instance.event_log_storage._base_dir)
    assert {path.stem for path in folder.glob("*.db")} == {"index", runs[2].run_id}
    assert len(instance.get_materialized_partitions(history.key)) == 9
    # Nine days, the view, and the plans of the run that is left.
    assert count(instance, "index") == 12
