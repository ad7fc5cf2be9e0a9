"""The raw tables as Stripe's lists fill them.

Stripe says how subscriptions are now and what changed in the last 30 days; a journal in the lake (`journal.py`) keeps that for ever, so
the history grows from the first extraction on.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import Preview, Window, filled_columns, text_batches
from orchestration.extract.connectors.http import Api
from orchestration.extract.connectors.stripe import StripeSource, client, journal
from orchestration.extract.connectors.stripe.customers import (
    AccountKeys,
    account_rows,
    contact_rows,
    deleted_rows,
    value_at,
    with_accounts,
)
from orchestration.extract.connectors.stripe.history import State, sold_by_number, subscription_rows, timeline
from orchestration.extract.connectors.stripe.invoices import invoice_row, renewal_row
from orchestration.extract.connectors.stripe.outcomes import outcome_rows, without_first_terms, without_payment
from orchestration.extract.connectors.stripe.shapes import Body, Known, text_id, trimmed_subscription
from orchestration.extract.errors import SourceError
from orchestration.extract.lake import manifest as lake
from orchestration.extract.session import connect
from orchestration.settings import Settings
from orchestration.warehouse import rows_of

_PATHS = {
    "accounts": "/v1/customers",
    "contacts": "/v1/customers",
    "subscriptions": "/v1/subscriptions",
    "invoices": "/v1/invoices",
    "account_outcomes": "/v1/subscriptions",
}
# Fields of an object that the rows come from, besides those of the same name.
_TAKEN = {
    "accounts": {"id", "created", "metadata", "name", "email", "object"},
    "contacts": {"id", "created", "metadata", "name", "email", "object"},
    "subscriptions": {
        *("id", "object", "customer", "status", "currency", "start_date", "start", "created", "ended_at"),
        *("canceled_at", "items", "plan", "quantity", "discount", "discounts", "trial_start", "trial_end"),
        *("current_period_start", "current_period_end", "pause_collection"),
    },
    "invoices": {
        *("id", "object", "customer", "status", "status_transitions", "effective_at", "created", "date", "due_date"),
        *("total", "currency", "billing_reason", "subscription", "parent", "lines", "amount_remaining", "amount_due"),
        *("paid", "closed", "forgiven", "pre_payment_credit_notes_amount", "post_payment_credit_notes_amount"),
    },
}


def _require_journal(settings: Settings, folder: Path, records: list[journal.Record], window: Window) -> None:
    """Every subscription that landed has left a record. To begin a new journal in silence would forget its older seats and prices.

    Raises:
        SourceError: there is no record although subscriptions, or outcomes made of them, have landed.
    """
    tables = [
        name
        for name in ("account_outcomes", "subscriptions")
        if name in window.landed
        and isinstance(source := settings.sources[name], StripeSource)
        and journal.journal_folder(settings, source) == folder
    ]
    # Customers leave records as well.
    if tables and not any(record.subscription for record in records):
        folders = " and ".join(str(lake.raw_folder(settings.lake, name)) for name in tables)
        raise SourceError(
            f"{folder}: the journal of Stripe's subscriptions is gone. Restore it from a backup; or, if there is none, move {folders}"
            " away and run again: older seats and prices are then lost"
        )


def read(settings: Settings, table: RawTable, source: StripeSource, window: Window) -> Iterator[pa.RecordBatch]:
    """All rows of a table, as text. Subscriptions and outcomes first add to the journal what it lacks.

    Raises:
        SettingsError: the variable with the key is not set.
        SourceUnavailable: the API cannot be read; the journal stays as it was.
        SourceError: the journal is lost or damaged.
    """
    api = client.connect(table, source)
    folder = journal.journal_folder(settings, source)
    if table.name == "accounts":
        yield from text_batches(table, _accounts(settings, table, source, api, window))
        return
    if table.name == "contacts":
        yield from text_batches(table, contact_rows(client.all_objects(api, _PATHS[table.name]), source))
        return
    records = journal.read_journal(folder)
    if table.name != "invoices":
        _require_journal(settings, folder, records, window)
    rows: list[dict[str, Any]] = []
    found: list[journal.Record] = []
    bills: list[dict[str, Any]] = []
    renewals: dict[str, dict[str, Any]] = {}
    if table.name != "invoices":
        rows, found = subscription_rows(api, records, window.until, window.is_backfill, _seats_from(settings, source))
    if table.name != "subscriptions":
        # Only the rows are kept: an invoice holds its lines, of which there may be hundreds.
        for one in client.all_objects(api, _PATHS["invoices"]):
            if (bill := invoice_row(one)) is not None:
                bills.append(bill)
            if table.name == "account_outcomes" and (renewal := renewal_row(one)) is not None:
                renewals[renewal["outcome_id"]] = renewal
    # After what names them: a customer who is new in between is then there.
    keys = AccountKeys(api, source, records, window.until)
    rows = with_accounts(bills if table.name == "invoices" else rows, keys)
    if table.name == "account_outcomes":
        never_paid = without_payment(with_accounts(bills, keys))
        renewed = without_first_terms(with_accounts(renewals.values(), keys), rows)
        rows = outcome_rows(rows, settings.pipeline.reporting_currency, never_paid) + renewed
    journal.append(folder, records, [*found, *keys.new_records])
    yield from text_batches(table, rows)


def _accounts(settings: Settings, table: RawTable, source: StripeSource, api: Api, window: Window) -> list[dict[str, Any]]:
    """The customers that Stripe lists, and those with a subscription that were deleted: as the lake knows them, else as their subscriptions
    tell.

    Who left and was deleted was a customer before: without its account, its last days and its leaving would be nobody's. An account whose
    customers lead elsewhere now, or never had a subscription, is not kept.
    """
    records = journal.read_journal(journal.journal_folder(settings, source))
    # Before the customers: one who is new in between is then no deleted one.
    held = [trimmed_subscription(one, ()) for one in client.all_objects(api, _PATHS["subscriptions"], status="all")]
    held += [body for record in records if record.subscription and isinstance(body := record.content.get("object"), dict)]
    rows = account_rows(client.all_objects(api, _PATHS[table.name]), source)
    listed = {row["customer"] for row in rows}
    gone = [one for one in held if text_id(one.get("customer")) not in listed]
    if not gone:
        return rows
    deleted = deleted_rows(gone, AccountKeys(api, source, records, window.until), {row["account_id"] for row in rows})
    known: dict[str, dict[str, Any]] = {}
    if table.name in window.landed:
        with connect(settings) as connection:
            known = {row["account_id"]: row for row in rows_of(connection.execute(lake.lake_select(settings.lake, table)))}
    return rows + [known.get(row["account_id"], row) for row in deleted]


def preview(table: RawTable, source: StripeSource) -> Preview:
    """The newest hundred objects. Nothing is written.

    Raises:
        SettingsError, SourceUnavailable: as `read`.
    """
    api = client.connect(table, source)
    is_outcomes = table.name == "account_outcomes"
    of_customers = _PATHS[table.name] == _PATHS["accounts"]
    params: dict[str, Any] = {} if of_customers or table.name == "invoices" else {"status": "all"}
    if not of_customers and source.account_key != "customer":
        params[client.EXPAND] = ["data.customer"]
    objects = client.first_page(api, _PATHS[table.name], **params)
    if is_outcomes:
        mapped = tuple(column.name for column in table.columns)
        return Preview(None, mapped, note="worked out in a run from the subscriptions, their events and the invoices")
    rows = [row for one in objects for row in _preview_rows(table, source, one, objects)]
    fields = {name for one in objects for name in one}
    unmapped = tuple(sorted(fields - _TAKEN[table.name]))
    note = "newest objects only" if len(objects) == client.PAGE else ""
    return Preview(list(text_batches(table, rows)), filled_columns(table, rows), unmapped, note)


def _seats_from(settings: Settings, source: StripeSource) -> Sequence[str]:
    """What the subscriptions say, whichever table is read: they share a journal, which keeps what names their seats."""
    of_subscriptions = settings.sources.get("subscriptions")
    return (of_subscriptions if isinstance(of_subscriptions, StripeSource) else source).seats_from


def _preview_rows(table: RawTable, source: StripeSource, one: Body, page: Sequence[Body]) -> list[dict[str, Any]]:
    if table.name == "accounts":
        return account_rows([one], source)
    if table.name == "contacts":
        return contact_rows([one], source)
    if table.name == "invoices":
        row = invoice_row(one)
        rows = [] if row is None else [row]
    else:
        known = Known(seats_from=source.seats_from, sold_by_number=sold_by_number([], page))
        rows = timeline([State(0, trimmed_subscription(one, source.seats_from))], known, date.min)
    customer = one.get("customer")
    holder = customer if isinstance(customer, dict) else {"id": customer}
    return [{**row, "account_id": value_at(holder, source.account_key)} for row in rows]
