"""The sensor and the job through Dagster: one request for each publishing, also over restarts; a dead endpoint fails no run."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from orchestration.defs import alerts as definitions
from orchestration.publish.alerts import delivery
from orchestration.settings import load_settings
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
        '[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = "demo"\n[alerts]\nwebhook = { env = "TEST_WEBHOOK" }\n'
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
        assert "not delivered, tried again after the next publishing: alerts.webhook: answers 500" in said and SECRET not in said
        webhook.take()
        webhook.always = Answer()
        assert definitions.send_alerts_job.execute_in_process(instance=instance).success
    [post] = webhook.posts
    assert [alert["rule"] for alert in post.content["alerts"]] == ["score_fell_7d"]


def test_what_the_ui_says_reads_as_sentences() -> None:
    for text in (definitions.alerts_after_publish.description, definitions.send_alerts_job.description):
        assert text is not None and text[0].isupper() and text.endswith(".")
    assert definitions.alerts_after_publish.job_name == "send_alerts"
