"""Files of the newest day for spreadsheets and CRMs, made from a generation's closed `health.duckdb`."""

from pathlib import Path

from orchestration.publish.exports.crm import FULL, UPDATE, told_files, write_crm
from orchestration.publish.exports.files import write_csv
from orchestration.publish.exports.workbook import write_workbook
from orchestration.publish.generations import DATABASE
from orchestration.publish.tables import DATE_COLUMN
from orchestration.publish.tiers import AT_RISK
from orchestration.settings import Settings
from orchestration.warehouse import connect, literal

EXPORTS = "exports"

_BATCH = 10_000
# The most arr at risk first, then the worst score.
_ACCOUNTS = f"""
select * from account_health
order by case when tier in {AT_RISK} then arr end desc nulls last, health_score, account_id
"""
_ACTIONS = f"""
select
    actions.account_id,
    actions.{DATE_COLUMN},
    health.account_name,
    health.csm,
    health.tier,
    health.health_score,
    health.arr,
    actions.playbook_key,
    actions.label,
    actions.priority,
    actions.reason,
    actions.since,
    actions.due_on,
    actions.state,
    actions.snoozed_until,
    actions.owner
from account_actions as actions
inner join account_health as health
    on health.account_id = actions.account_id and health.{DATE_COLUMN} = actions.{DATE_COLUMN}
order by actions.state <> 'open', actions.priority, health.arr desc nulls last, actions.account_id, actions.playbook_key
"""
# What is still claimed first, of it what is overdue longest.
_RECEIVABLES = "select * from receivables order by written_off_on is not null, days_overdue desc, owed desc, invoice_id"
# In the order of the accounts, whoever is in force first.
_PEOPLE = f"""
select contacts.*, health.account_name, health.csm
from account_contacts as contacts
inner join account_health as health on contacts.account_id = health.account_id
order by
    case when health.tier in {AT_RISK} then health.arr end desc nulls last, health.health_score, contacts.account_id,
    not contacts.is_in_force, contacts.role <> 'champion', contacts.role <> 'decision_maker', contacts.role, contacts.contact_number
"""


def write_exports(settings: Settings, building: Path, generation: int) -> list[str]:
    """Write `exports/` into a generation that is being built.

    Args:
        settings: currency, the board's address, limits of the connection; and the generations before, for what a CRM was sent.
        building: folder of the generation, with `health.duckdb` closed and audited.
        generation: its number.

    Returns:
        The names of the files, relative to the folder.

    Raises:
        PublishError, OSError, duckdb.Error: a file cannot be written.
    """
    folder = building / EXPORTS
    folder.mkdir()
    with connect(settings) as connection:
        # An instance of its own: that of the board has other settings, and both are at work at the same time.
        connection.execute(f"attach {literal(building / DATABASE)} as health (read_only)")
        connection.execute("use health")
        write_csv(folder / "account_health.csv", connection.sql(_ACCOUNTS).to_arrow_reader(_BATCH))
        write_csv(folder / "account_actions.csv", connection.sql(_ACTIONS).to_arrow_reader(_BATCH))
        queries = {"Accounts": _ACCOUNTS, "Actions": _ACTIONS, "Receivables": _RECEIVABLES, "People": _PEOPLE}
        write_workbook(settings, connection, folder / "account_health.xlsx", generation, queries)
        write_crm(connection, folder, told_files(settings, EXPORTS))
    names = ("account_actions.csv", "account_health.csv", "account_health.xlsx", FULL, UPDATE)
    return [f"{EXPORTS}/{name}" for name in names]
