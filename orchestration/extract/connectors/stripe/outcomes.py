"""Who left, grew or shrank, from the rows of `subscriptions`: consistent with them, and reaching back as far."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

_MONTHS = 12


def outcome_rows(rows: Iterable[dict[str, Any]], reporting_currency: str, never_paid: Collection[str] = ()) -> list[dict[str, Any]]:
    """Outcomes by account, without renewals.

    `churned` on a day without any subscription after one with; a returning account may churn again. Who was never worth anything, in a
    trial or for free, or never paid a bill, never was a customer to lose. `expanded` and `contracted` where the monthly value rose or fell
    between two values above zero. A trial is worth nothing yet.

    Args:
        rows: of `subscriptions`, with `account_id` and `customer`. Those without an account are taken by customer, and
            their outcomes too have none.
        never_paid: accounts, or customers without one, that were billed and paid nothing. One without any bill may pay elsewhere.
        reporting_currency: `arr_delta` has no currency of its own: it is None where the subscriptions are in another.
    """
    accounts: dict[tuple[bool, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["started_on"] is not None:
            named = row["account_id"] is not None
            accounts.setdefault((named, str(row["account_id"] if named else row["customer"])), []).append(row)
    groups = [(name, accounts[named, name]) for named, name in sorted(accounts)]
    return [
        outcome
        for name, found in groups
        for outcome in _of_account(name, found, reporting_currency)
        if outcome["kind"] != "churned" or name not in never_paid
    ]


def without_payment(bills: Iterable[dict[str, Any]]) -> set[str]:
    """Accounts, or customers without one, of rows of `invoices` of which some ask for money and none was paid."""
    paid: dict[str, bool] = {}
    for bill in bills:
        name = bill["account_id"] or bill["customer"]
        if name is not None and bill["voided_on"] is None and bill["amount"] is not None and bill["amount"] > 0:
            paid[name] = paid.get(name, False) or bill["paid_on"] is not None or bill["open_amount"] == 0
    return {name for name, was_paid in paid.items() if not was_paid}


def without_first_terms(renewals: Iterable[dict[str, Any]], rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The renewals of subscriptions that were worth something before: the first term after a trial is billed like a later one, and is
    none."""
    of_subscription: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["started_on"] is not None:
            of_subscription.setdefault(row["subscription_id"], []).append(row)
    return [
        one
        for one in renewals
        if not (known := of_subscription.get(one["subscription"]))
        or _total(row for row in known if row["started_on"] < one["occurred_on"]) != 0
    ]


def _of_account(name: str, rows: Sequence[dict[str, Any]], reporting_currency: str) -> list[dict[str, Any]]:
    found = []
    for day in sorted({row[column] for row in rows for column in ("started_on", "ended_on")} - {None}):
        before, after = _in_force(rows, day - timedelta(days=1)), _in_force(rows, day)
        old, new = _total(before), _total(after)
        currencies = {row["currency"] for row in (*before, *after)}
        kind = None
        if before and not after:
            kind = "churned" if _total(row for row in rows if row["started_on"] < day) != 0 else None
        elif old and new and old != new and len(currencies) == 1:
            kind = "expanded" if new > old else "contracted"
        if kind is not None:
            in_one_currency = currencies <= {reporting_currency.upper(), None}
            found.append(
                {
                    "outcome_id": f"{kind}:{name}:{day}",
                    "account_id": rows[0]["account_id"],
                    "customer": rows[0]["customer"],
                    "occurred_on": day,
                    "kind": kind,
                    "arr_delta": _MONTHS * (new - old) if old is not None and new is not None and in_one_currency else None,
                }
            )
    return found


def _in_force(rows: Iterable[dict[str, Any]], day: date) -> list[dict[str, Any]]:
    return [row for row in rows if row["started_on"] <= day and (row["ended_on"] is None or day < row["ended_on"])]


def _total(rows: Iterable[dict[str, Any]]) -> Decimal | None:
    values = [Decimal(0) if row["is_trial"] else row["mrr"] for row in rows]
    return None if None in values else sum(values, Decimal(0))
