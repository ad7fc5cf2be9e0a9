"""Alerts and the weekly digest: jobs that send what is due, and what starts them: a published mart, a failed or missing run, Monday."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import dagster as dg

from orchestration.dead_runs import show_alive
from orchestration.defs.common import SETTINGS
from orchestration.defs.intraday import intraday
from orchestration.defs.jobs import MART, MART_IS_FRESH, daily_health
from orchestration.defs.validate import weekly_validation
from orchestration.errors import UserError, message_of, root_cause
from orchestration.plain_text import as_said
from orchestration.publish import PublishError
from orchestration.publish.alerts import AlertsBusy, FailedRun, Sent, alert_destinations, late_mart, send_alerts, told_once_a_day
from orchestration.publish.digest import is_configured, send_digests
from orchestration.publish.generations import current_generation, read_manifest

_WARN = dg.AssetCheckSeverity.WARN
_NOT_CONFIGURED = "[alerts] of health.toml names no address"


class FailedRunConfig(dg.Config):
    """A run to send word of; blank for none."""

    run_id: str = ""
    what: str = ""
    reason: str = ""


@dg.op(description="Sends what the rules of alert_rules.csv find new in the mart, and what could not be delivered before.")
def send_due_alerts(context: dg.OpExecutionContext, config: FailedRunConfig) -> None:
    failed = FailedRun(config.run_id, config.what, [config.reason]) if config.run_id else None
    send_and_report(context, lambda: send_alerts(SETTINGS, context.log.info, failed))


@dg.op(description="Sends the digests that were not sent this week, and what could not be delivered before.")
def send_weekly_digests(context: dg.OpExecutionContext) -> None:
    send_and_report(context, lambda: send_digests(SETTINGS, datetime.now(UTC).date(), context.log.info))


def send_and_report(context: dg.OpExecutionContext, send: Callable[[], Sent]) -> None:
    show_alive(SETTINGS, context.run_id)
    try:
        sent = send()
    except AlertsBusy as busy:
        context.log.info(str(busy))
        return
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for faults in sent.faults.values():
        for fault in faults:
            context.log.warning(f"not delivered, tried again the next time: {fault}")
    if sent.without_address:
        context.log.info(f"no digest, for want of an address in [digest.owners]: {', '.join(sent.without_address)}")
    context.add_output_metadata({"sent": sum(sent.messages.values()), "not_delivered": sum(map(len, sent.faults.values()))})


# Without the writer lock: it changes nothing that a run writes, and a slow endpoint must hold up no run.
@dg.job(
    name="send_alerts",
    executor_def=dg.in_process_executor,
    description=(
        "Send alerts about the published mart and failed runs by e-mail, to Slack, Teams and the webhook, each once. An endpoint that "
        "cannot be reached fails nothing."
    ),
)
def send_alerts_job() -> None:
    send_due_alerts()


@dg.job(
    name="weekly_digest",
    executor_def=dg.in_process_executor,
    description="Send the digest of the company and that of each owner to the addresses of [digest] in health.toml, once a week each.",
)
def weekly_digest_job() -> None:
    send_weekly_digests()


weekly_digest_schedule = dg.ScheduleDefinition(
    job=weekly_digest_job,
    cron_schedule="0 7 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING if is_configured(SETTINGS) else dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at 07:00 UTC. It is on from the start where [digest] in health.toml names an address.",
)

_ON = dg.DefaultSensorStatus.RUNNING if alert_destinations(SETTINGS) else dg.DefaultSensorStatus.STOPPED


@dg.asset_sensor(
    asset_key=MART,
    job=send_alerts_job,
    name="alerts_after_publish",
    description=(
        "After each publishing of the mart, sends what the rules of alert_rules.csv find new to the addresses of [alerts] in health.toml. "
        "It is on from the start where there is one."
    ),
    minimum_interval_seconds=30,
    default_status=_ON,
)
def alerts_after_publish(context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry) -> dg.RunRequest | dg.SkipReason:
    if not alert_destinations(SETTINGS):
        return dg.SkipReason(_NOT_CONFIGURED)
    # A run over many days records the mart once for each of them: one request for all.
    return dg.RunRequest(run_key=asset_event.run_id or None)


@dg.run_failure_sensor(
    name="alerts_after_failure",
    monitored_jobs=[daily_health, weekly_validation, intraday],
    request_job=send_alerts_job,
    description=(
        "After a run that failed, also one of the command line or one whose process is gone, sends word of it to the addresses of [alerts] "
        "in health.toml; of the hourly job intraday once a day. It is on from the start where there is one."
    ),
    minimum_interval_seconds=30,
    default_status=_ON,
)
def alerts_after_failure(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
    if not alert_destinations(SETTINGS):
        return dg.SkipReason(_NOT_CONFIGURED)
    run = context.dagster_run
    tags = run.tags
    days = [tags.get(f"dagster/asset_partition_range_{end}") or tags.get("dagster/partition") for end in ("start", "end")]
    what = " ".join([run.job_name, "...".join(dict.fromkeys(filter(None, days)))]).strip()
    told_as = told_once_a_day(run.job_name) if run.job_name == intraday.name else run.run_id
    config = FailedRunConfig(run_id=told_as, what=what, reason=as_said(_why(context)))
    return dg.RunRequest(run_key=told_as, run_config=dg.RunConfig({"send_due_alerts": config}))


def _why(context: dg.RunFailureSensorContext) -> str:
    """What the first failed step said, without the classes of Dagster's own errors around it; else what Dagster says of the run."""
    for event in context.get_step_failure_events():
        if (error := event.step_failure_data.error) is not None:
            return f"{event.step_key}: {message_of(root_cause(error))}"
    return context.failure_event.message or ""


@dg.sensor(
    name="alerts_without_run",
    job=send_alerts_job,
    description=(
        "Notices that no run published a newer day in time (cadence_days in health.toml), which no run can: shows it as the check "
        "mart_is_fresh and sends word of it, once for each day."
    ),
    minimum_interval_seconds=900,
    default_status=_ON,
)
def alerts_without_run(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    try:
        newest, late = _newest_day()
    except PublishError as error:
        return dg.SkipReason(str(error))
    seen = f"{newest} {'late' if late else 'in time'}"
    if newest is None or seen == context.cursor:
        return dg.SkipReason("no day is published yet" if newest is None else f"the newest published day is {seen}")
    evaluation = dg.AssetCheckEvaluation(MART, MART_IS_FRESH.name, late is None, severity=_WARN, description=_said(newest))
    requests = [dg.RunRequest(run_key=f"late {late}")] if late and alert_destinations(SETTINGS) else []
    return dg.SensorResult(run_requests=requests, asset_events=[evaluation], cursor=seen)


@dg.asset_check(
    asset=MART,
    name=MART_IS_FRESH.name,
    description=(
        "Whether a newer day was published in time (cadence_days in health.toml). Also looked at without a run, by the sensor "
        "alerts_without_run."
    ),
)
def mart_is_fresh() -> dg.AssetCheckResult:
    newest, late = _newest_day()
    return dg.AssetCheckResult(passed=late is None, severity=_WARN, description=_said(newest))


def _newest_day() -> tuple[date | None, date | None]:
    """The newest published day; and again if a newer one is overdue."""
    number = current_generation(SETTINGS)
    manifest = None if number is None else read_manifest(SETTINGS, number)
    if manifest is None:
        return None, None
    return manifest.newest_day, late_mart(SETTINGS, manifest, datetime.now(UTC).date())


def _said(newest: date | None) -> str:
    return "No day is published yet." if newest is None else f"The newest published day is {newest}."


@dg.definitions
def alerts() -> dg.Definitions:
    return dg.Definitions(
        asset_checks=[mart_is_fresh],
        jobs=[send_alerts_job, weekly_digest_job],
        schedules=[weekly_digest_schedule],
        sensors=[alerts_after_publish, alerts_after_failure, alerts_without_run],
    )
