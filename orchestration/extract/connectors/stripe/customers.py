"""Which account a Stripe customer belongs to, and the rows of `accounts`."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from orchestration.extract.connectors.http import Api
from orchestration.extract.connectors.mail_domains import company_domain
from orchestration.extract.connectors.stripe import StripeSource, client, journal
from orchestration.extract.connectors.stripe.history import NEVER_IN_FORCE, midnight, start_of
from orchestration.extract.connectors.stripe.journal import Record
from orchestration.extract.connectors.stripe.shapes import Body, day_of, text_id, time_of


def value_at(customer: Mapping[str, Any], place: str) -> str | None:
    """What is at `customer`, `name`, `metadata.<key>` or `email_domain`; None where it is blank.

    The domain is in lower case; a public one, which many accounts share, does not count.
    """
    if place == "customer":
        return text_id(customer)
    if place == "name":
        found = customer.get("name")
    elif place == "email_domain":
        email = str(customer.get("email") or "")
        found = company_domain(email) if "@" in email else None
    else:
        metadata = customer.get("metadata")
        found = metadata.get(place.removeprefix("metadata.")) if isinstance(metadata, Mapping) else None
    return found if isinstance(found, str) and found.strip() else None


def account_rows(customers: Iterable[Body], source: StripeSource) -> list[dict[str, Any]]:
    """One row per account: the oldest customer's values, filled up from the next; one per customer without a key."""
    accounts: dict[str, dict[str, Any]] = {}
    unnamed = []
    for customer in sorted((one for one in customers if not one.get("deleted")), key=_age):
        account = value_at(customer, source.account_key)
        row = {
            "account_id": account,
            "account_name": value_at(customer, source.name_key),
            "created_at": time_of(customer.get("created")),
            **{column: value_at(customer, place) for column, place in source.columns.items()},
            "customer": text_id(customer),
        }
        if account is None:
            unnamed.append(row)
        else:
            older = accounts.setdefault(account, row)
            older |= {name: value for name, value in row.items() if older[name] is None}
    rows = [*accounts.values(), *unnamed]
    return [{**row, "account_name": row["account_name"] or row["customer"]} for row in rows]


def contact_rows(customers: Iterable[Body], source: StripeSource) -> list[dict[str, Any]]:
    """Whom Stripe sends the bills to: one row per customer, since the customer was created."""
    return [
        {
            "contact_id": text_id(customer),
            "account_id": value_at(customer, source.account_key),
            "name": value_at(customer, "name"),
            "email": customer.get("email"),
            "role": "billing",
            "joined_on": day_of(customer.get("created")),
        }
        for customer in customers
        if not customer.get("deleted")
    ]


def deleted_rows(subscriptions: Iterable[Body], keys: "AccountKeys", found: Container[str | None]) -> list[dict[str, Any]]:
    """One row for each account that has a subscription but is not among those found: named after its customer, since its first
    subscription."""
    starts: dict[str, tuple[int, str]] = {}
    for one in subscriptions:
        customer = text_id(one.get("customer"))
        account, start = keys.of(customer), start_of(one)
        is_in_force = one.get("status") not in NEVER_IN_FORCE
        if customer is not None and account is not None and account not in found and start and is_in_force:
            starts[account] = min(starts.get(account, (start, customer)), (start, customer))
    return [
        {"account_id": account, "account_name": customer, "created_at": time_of(start)}
        for account, (start, customer) in sorted(starts.items())
    ]


def _age(customer: Body) -> tuple[bool, float, str]:
    created = customer.get("created")
    return not isinstance(created, int), created if isinstance(created, int) else 0, str(customer.get("id"))


class AccountKeys:
    """The account of each customer, now or as last known.

    With `account_key = "customer"` that is the customer itself and nothing is read. Else every customer's key is
    journalled, so that the subscriptions and invoices of a customer who was deleted keep their account.
    """

    def __init__(self, api: Api, source: StripeSource, records: Sequence[Record], until: date) -> None:
        self._is_customer = source.account_key == "customer"
        self._accounts: dict[str, str] = {}
        self.new_records: list[Record] = []
        if self._is_customer:
            return
        for record in records:
            if record.type == journal.CUSTOMER and record.content["account_key"] == source.account_key:
                self._accounts[record.content["customer"]] = record.content["account_id"]
        for customer in client.all_objects(api, "/v1/customers"):
            key, account = text_id(customer), value_at(customer, source.account_key)
            if key is None or customer.get("deleted"):
                continue
            if account is None:
                # Its key was taken away, which is not the same as a deletion.
                self._accounts.pop(key, None)
            elif self._accounts.get(key) != account:
                self._accounts[key] = account
                content = {"account_id": account, "account_key": source.account_key, "customer": key}
                body = journal.as_text(content)
                name = f"{journal.CUSTOMER}:{key}:{midnight(until)}:{journal.digest(body)}"
                self.new_records.append(Record(name, midnight(until), journal.CUSTOMER, None, body))

    def of(self, customer: str | None) -> str | None:
        return customer if self._is_customer or customer is None else self._accounts.get(customer)


def with_accounts(rows: Iterable[dict[str, Any]], keys: AccountKeys) -> list[dict[str, Any]]:
    """Rows that hold a `customer`, with their `account_id`; None is for the quarantine."""
    return [{**row, "account_id": keys.of(row["customer"])} for row in rows]
