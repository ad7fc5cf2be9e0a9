"""Verification: a weekly job that reads everything stored and fails with what is damaged."""

import dagster as dg

from orchestration.defs.common import SETTINGS


@dg.op(description="Compares lake, revisions and generations with their hashes and reads the warehouse. Changes nothing.")
def verify_stored_files(context: dg.OpExecutionContext) -> None:
    # With it comes the client of Stripe, and a second of imports that no other run needs.
    from orchestration.verify import verify_everything

    report = verify_everything(SETTINGS)
    for line in report.looked_at:
        context.log.info(f"looked at {line}")
    if report.damaged:
        for line in report.damaged:
            context.log.error(line)
        raise dg.Failure("\n".join(report.damaged), allow_retries=False)


# In no writer's pool: it takes the writer lock itself, as `make verify` does.
@dg.job(
    name="weekly_verify",
    executor_def=dg.in_process_executor,
    description=(
        "Reads all files of the lake, the revisions, the generations and the warehouse and fails with those that are damaged, each with "
        "what to do. A daily run compares only what it reads. The same as `make verify`."
    ),
)
def weekly_verify() -> None:
    verify_stored_files()


weekly_verify_schedule = dg.ScheduleDefinition(
    job=weekly_verify,
    cron_schedule="0 1 * * 0",
    execution_timezone="UTC",
    description="Every Sunday at 01:00 UTC. Off until you switch it on.",
)


@dg.definitions
def verification() -> dg.Definitions:
    return dg.Definitions(jobs=[weekly_verify], schedules=[weekly_verify_schedule])
