"""Alerts: a job that sends what is due, and the sensor that starts it after the mart was published."""

import dagster as dg

from orchestration.dead_runs import show_alive
from orchestration.defs.common import SETTINGS
from orchestration.publish import PublishError
from orchestration.publish.alerts import AlertLogError, AlertsBusy, endpoints, send_alerts


@dg.op(description="Sends what the rules of alert_rules.csv find new in the mart, and what could not be delivered before.")
def send_due_alerts(context: dg.OpExecutionContext) -> None:
    show_alive(SETTINGS, context.run_id)
    try:
        sent = send_alerts(SETTINGS, context.log.info)
    except AlertsBusy as busy:
        context.log.info(str(busy))
        return
    except (AlertLogError, PublishError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for faults in sent.faults.values():
        for fault in faults:
            context.log.warning(f"not delivered, tried again after the next publishing: {fault}")
    context.add_output_metadata(
        {f"{channel}_messages": number for channel, number in sent.messages.items()}
        | {f"{channel}_not_delivered": len(faults) for channel, faults in sent.faults.items()}
    )


# Without the writer lock: it changes nothing that a run writes, and a slow endpoint must hold up no run.
@dg.job(
    name="send_alerts",
    executor_def=dg.in_process_executor,
    description=(
        "Send alerts about the published mart to Slack and to the webhook, each once. An endpoint that cannot be reached fails nothing."
    ),
)
def send_alerts_job() -> None:
    send_due_alerts()


@dg.asset_sensor(
    asset_key=dg.AssetKey("published_mart"),
    job=send_alerts_job,
    name="alerts_after_publish",
    description=(
        "After each publishing of the mart, sends what the rules of alert_rules.csv find new to Slack and to the webhook "
        "of [alerts] in health.toml. It is on from the start where one of the two is configured."
    ),
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING if endpoints(SETTINGS) else dg.DefaultSensorStatus.STOPPED,
)
def alerts_after_publish(context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry) -> dg.RunRequest | dg.SkipReason:
    if not endpoints(SETTINGS):
        return dg.SkipReason("health.toml names neither alerts.slack_webhook nor alerts.webhook")
    # A run over many days records the mart once for each of them: one request for all.
    return dg.RunRequest(run_key=asset_event.run_id or None)


@dg.definitions
def alerts() -> dg.Definitions:
    return dg.Definitions(jobs=[send_alerts_job], sensors=[alerts_after_publish])
