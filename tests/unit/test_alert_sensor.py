"""The sensor and the job through Dagster: one request for each publishing, also over restarts; a dead endpoint fails no run."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from orchestration.alerts import tell_failed_run
from orchestration.defs import alerts as definitions
from orchestration.defs.intraday import intraday
from orchestration.intraday import show_today
from orchestration.publish import PublishError
from orchestration.publish.alerts import delivery
from orchestration.settings import SettingsError, load_settings
from tests.alert_mart import account, publish_mart
from tests.webhook_server import SECRET, Answer, WebhookServer

MART = dg.AssetKey("published_mart")
DAY = date(2026, 6, 29)


@pytest.fixture
def webhook() -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        yield server


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "health.toml"
    config.write_text(
        '[pipeline]\nstart_date = 2026-01-01\nend_date = 2026-06-29\n[sources.accounts]\nconnector = "demo"\n'
        '[alerts]\nwebhook = { env = "TEST_WEBHOOK" }\n'
    )
    monkeypatch.setenv("TEST_WEBHOOK", webhook.url)
    monkeypatch.setattr(definitions, "SETTINGS", load_settings(config))


def record_publishing(instance: dg.DagsterInstance, days: int = 3) -> str:
    """A run that records the mart once for each of its days; returns its id."""

    @dg.op
    def publish_days(context: dg.OpExecutionContext) -> None:
        for n in range(days):
            context.log_event(dg.AssetMaterialization(MART, partition=f"day-{n}"))

    @dg.job(executor_def=dg.in_process_executor)
    def publishing() -> None:
        publish_days()

    return publishing.execute_in_process(instance=instance).run_id


def tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[str | None], str | None]:
    """One evaluation of the sensor, which knows nothing but the instance and its cursor."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        data = definitions.alerts_after_publish.evaluate_tick(context)
        return [request.run_key for request in data.run_requests or []], data.cursor


def test_each_publishing_is_one_request_also_after_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assert tick(instance, None) == ([], None)
        first = record_publishing(instance)
        requests, cursor = tick(instance, None)
        assert requests == [first]
    with dg.DagsterInstance.local_temp(str(home)) as restarted:
        assert tick(restarted, cursor) == ([], cursor)
        second = record_publishing(restarted)
        requests, cursor = tick(restarted, cursor)
        assert requests == [second] != [first]
        assert tick(restarted, cursor) == ([], cursor)


def test_without_an_endpoint_nothing_is_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "plain.toml"
    config.write_text('[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = "demo"\n')
    monkeypatch.setattr(definitions, "SETTINGS", load_settings(config))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(MART))
        requests, cursor = tick(instance, None)
    assert requests == [] and cursor is not None


def test_the_job_sends_and_a_dead_endpoint_does_not_fail_it(webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_sleep", lambda _: None)
    fallen = account(delta_7d=-10.0)
    publish_mart(definitions.SETTINGS, 1, DAY, {"account_health": [fallen]})
    webhook.always = Answer(500)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.send_alerts_job.execute_in_process(instance=instance)
        assert result.success
        said = "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))
        assert "not delivered, tried again the next time: alerts.webhook: answers 500" in said and SECRET not in said
        webhook.take()
        webhook.always = Answer()
        assert definitions.send_alerts_job.execute_in_process(instance=instance).success
    [post] = webhook.posts
    assert [alert["rule"] for alert in post.content["alerts"]] == ["score_fell_7d"]


def test_a_failed_run_is_told_once_whoever_tells_it_first(webhook: WebhookServer) -> None:
    @dg.op
    def extract() -> None:
        raise PublishError("the disk is gone")

    @dg.job(name="daily_health", executor_def=dg.in_process_executor)
    def failing() -> None:
        extract()

    with dg.DagsterInstance.ephemeral() as instance:
        result = failing.execute_in_process(instance=instance, raise_on_error=False)
        [event] = result.filter_events(lambda event: event.event_type_value == "PIPELINE_FAILURE")
        context = dg.build_run_status_sensor_context("alerts_after_failure", event, instance, result.dagster_run).for_run_failure()
        request = definitions.alerts_after_failure(context)
        assert isinstance(request, dg.RunRequest) and request.run_key == result.run_id
        for _ in range(2):
            assert definitions.send_alerts_job.execute_in_process(instance=instance, run_config=request.run_config).success
    tell_failed_run(definitions.SETTINGS, result.run_id, "daily_health", ["the disk is gone"])
    [post] = webhook.posts
    assert [(alert["kind"], alert["text"], alert["reason"]) for alert in post.content["alerts"]] == [
        ("run_failed", "daily_health failed; what was published before is unchanged", "extract: the disk is gone")
    ]


def test_the_running_day_that_cannot_be_scored_is_told_once_a_day(webhook: WebhookServer) -> None:
    @dg.op
    def score_running_day() -> None:
        raise PublishError("the disk is gone")

    @dg.job(name="intraday", executor_def=dg.in_process_executor)
    def failing() -> None:
        score_running_day()

    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            result = failing.execute_in_process(instance=instance, raise_on_error=False)
            [event] = result.filter_events(lambda event: event.event_type_value == "PIPELINE_FAILURE")
            context = dg.build_run_status_sensor_context("alerts_after_failure", event, instance, result.dagster_run).for_run_failure()
            request = definitions.alerts_after_failure(context)
            assert isinstance(request, dg.RunRequest)
            assert definitions.send_alerts_job.execute_in_process(instance=instance, run_config=request.run_config).success
    # From cron: the company ended before the day that is running.
    definitions.SETTINGS.make_data_dir()
    with pytest.raises(SettingsError, match="Leave out pipeline.end_date"):
        show_today(definitions.SETTINGS)
    [post] = webhook.posts
    assert [(alert["kind"], alert["text"], alert["reason"]) for alert in post.content["alerts"]] == [
        ("run_failed", "intraday failed; what was published before is unchanged", "score_running_day: the disk is gone")
    ]
    assert intraday in (definitions.alerts_after_failure._monitored_jobs or [])


def test_the_command_of_today_sends_word_where_it_fails(webhook: WebhookServer) -> None:
    definitions.SETTINGS.make_data_dir()
    for _ in range(2):
        with pytest.raises(SettingsError):
            show_today(definitions.SETTINGS)
    [post] = webhook.posts
    [alert] = post.content["alerts"]
    assert alert["text"] == "intraday failed; what was published before is unchanged" and "Leave out pipeline.end_date" in alert["reason"]


def test_a_run_that_is_missing_is_seen_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            return definitions.alerts_without_run(context)

    assert isinstance(look(None), dg.SkipReason)  # nothing is published yet
    publish_mart(definitions.SETTINGS, 1, DAY, {"account_health": [account()]})
    seen = look(None)  # the company ends on this day
    assert isinstance(seen, dg.SensorResult) and seen.run_requests == [] and [event.passed for event in seen.asset_events] == [True]
    config = definitions.SETTINGS.config_file
    config.write_text(config.read_text().replace("end_date = 2026-06-29\n", ""))
    monkeypatch.setattr(definitions, "SETTINGS", load_settings(config))
    late = look(seen.cursor)
    assert isinstance(late, dg.SensorResult) and [request.run_key for request in late.run_requests or []] == ["late 2026-06-29"]
    assert [(event.check_name, event.passed) for event in late.asset_events] == [("mart_is_fresh", False)]
    assert isinstance(look(late.cursor), dg.SkipReason)


def test_what_the_ui_says_reads_as_sentences() -> None:
    sensors = (definitions.alerts_after_publish, definitions.alerts_after_failure, definitions.alerts_without_run)
    jobs = (definitions.send_alerts_job, definitions.weekly_digest_job, definitions.weekly_digest_schedule)
    for text in (one.description for one in (*sensors, *jobs)):
        assert text is not None and text[0].isupper() and text.endswith(".")
    assert definitions.alerts_after_publish.job_name == "send_alerts"
