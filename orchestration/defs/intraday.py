"""The running day, scored provisionally: an hourly job beside the daily run."""

import dagster as dg

from orchestration.dead_runs import show_alive
from orchestration.defs.common import SETTINGS
from orchestration.errors import UserError
from orchestration.publish.alerts import send_alerts


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Lands what the sources have of the running UTC day, scores it, and publishes it beside the mart. Gives way to a run.",
)
def score_running_day(context: dg.OpExecutionContext) -> None:
    # With it comes the landing of all connectors, which the UI need not wait for.
    from orchestration.intraday import GaveWay, clock, describe, score_today

    show_alive(SETTINGS, context.run_id)
    try:
        scored = score_today(SETTINGS, clock, context.log.warning)
    except GaveWay as why:
        context.log.info(str(why))
        return
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for line in describe(scored):
        context.log.info(line)
    context.add_output_metadata({"accounts": scored.accounts, "day": str(scored.day)})


@dg.op(ins={"scored": dg.In(dg.Nothing)}, description="Sends what the rules of kind today in alert_rules.csv find new.")
def send_alerts_of_today(context: dg.OpExecutionContext) -> None:
    # Which itself knows this job, to tell where it fails.
    from orchestration.defs.alerts import send_and_report

    send_and_report(context, lambda: send_alerts(SETTINGS, context.log.info))


# In no writer's pool: it takes no writer lock, and stops when somebody else does.
@dg.job(
    name="intraday",
    executor_def=dg.in_process_executor,
    description=(
        "Scores the day that is still running, provisionally: account_health_today and metric_scores_today beside the mart. It changes "
        "nothing that a daily run reads or writes, and stops when one begins. The same as `health run today`."
    ),
)
def intraday() -> None:
    send_alerts_of_today(score_running_day())


intraday_schedule = dg.ScheduleDefinition(
    job=intraday,
    cron_schedule="0 * * * *",
    execution_timezone="UTC",
    description="Every hour. Off until you switch it on.",
)


@dg.definitions
def running_day() -> dg.Definitions:
    return dg.Definitions(jobs=[intraday], schedules=[intraday_schedule])
