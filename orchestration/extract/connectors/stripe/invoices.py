"""Invoices, and the renewals that they show."""

from decimal import Decimal
from typing import Any

from orchestration.extract.connectors.stripe.money import currency_code, full_units
from orchestration.extract.connectors.stripe.shapes import Body, day_of, first_day, text_id
from orchestration.extract.connectors.stripe.terms import LEAST_DAYS

_CREDIT_NOTES = ("pre_payment_credit_notes_amount", "post_payment_credit_notes_amount")


def invoice_row(invoice: Body) -> dict[str, Any] | None:
    """A row of `invoices`, with the Stripe customer under `customer`; None for a draft, which nobody has received.

    The amount is the total with taxes, less credit notes, before payments. What is open is what Stripe still wants; it is left empty where
    the day of the payment is known, since all was open until then. An invoice that was paid, nobody knows when, has nothing open. One that
    was written off or voided, nobody knows when, was so from the day on which it was due or issued.
    """
    status = _status(invoice)
    if status == "draft":
        return None
    passed = invoice.get("status_transitions")
    passed = passed if isinstance(passed, dict) else {}
    # `date` is the old name of `created`.
    issued = first_day([passed.get("finalized_at"), *map(invoice.get, ("effective_at", "created", "date"))])
    due = day_of(invoice.get("due_date")) or issued
    paid, voided, written_off = (day_of(passed.get(name)) for name in ("paid_at", "voided_at", "marked_uncollectible_at"))
    currency = invoice.get("currency")
    total, *credited = (full_units(invoice.get(name), currency) for name in ("total", *_CREDIT_NOTES))
    wanted = (full_units(invoice.get(name), currency) for name in ("amount_remaining", "amount_due"))
    still_open = Decimal(0) if status == "paid" else next((one for one in wanted if one is not None), None)
    return {
        "invoice_id": text_id(invoice),
        "customer": text_id(invoice.get("customer")),
        "issued_on": issued,
        "due_on": due,
        "paid_on": paid,
        "amount": None if total is None else total - sum(one for one in credited if one is not None),
        "open_amount": None if paid is not None else still_open,
        "currency": currency_code(currency),
        "voided_on": issued if voided is None and status == "void" else voided,
        "written_off_on": due if written_off is None and status == "uncollectible" else written_off,
    }


def _status(invoice: Body) -> Any:
    """The status; before version 2018-11-08, which brought it, what `paid`, `forgiven` and `closed` say.

    What was closed and is not paid nobody collects any more.
    """
    if invoice.get("status") is not None:
        return invoice["status"]
    if invoice.get("paid"):
        return "paid"
    return "uncollectible" if invoice.get("forgiven") or invoice.get("closed") else "open"


def renewal_row(invoice: Body) -> dict[str, Any] | None:
    """The `renewed` outcome that an invoice shows; None for all others.

    A renewal is a new term of at least three months: monthly rollovers say nothing about the will to stay, and neither does a term that
    nobody paid.
    """
    if invoice.get("billing_reason") != "subscription_cycle" or _status(invoice) in ("draft", "void", "uncollectible"):
        return None
    subscription = _subscription(invoice)
    term = max(_terms(invoice), key=lambda one: (one[1] - one[0], one[0]), default=None)
    if subscription is None or term is None or term[1] - term[0] < LEAST_DAYS * 86_400:
        return None
    day = day_of(term[0])
    return {
        "outcome_id": f"renewed:{subscription}:{day}",
        "subscription": subscription,
        "customer": text_id(invoice.get("customer")),
        "occurred_on": day,
        "kind": "renewed",
        # What a new term changes in price shows as expanded or contracted.
        "arr_delta": 0,
    }


def _subscription(invoice: Body) -> str | None:
    parent = invoice.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, dict) else None
    inner = details.get("subscription") if isinstance(details, dict) else None
    return text_id(invoice.get("subscription")) or text_id(inner)


def _terms(invoice: Body) -> list[tuple[int, int]]:
    """First and last moments of what the lines bill. (The invoice's own period is the term before.)"""
    lines = invoice.get("lines")
    data = lines.get("data") if isinstance(lines, dict) else None
    found = []
    for line in data if isinstance(data, list) else []:
        period = line.get("period") if isinstance(line, dict) and not _is_proration(line) else None
        if isinstance(period, dict) and all(isinstance(period.get(name), int) for name in ("start", "end")):
            found.append((period["start"], period["end"]))
    return found


def _is_proration(line: Body) -> bool:
    details = line.get("parent")
    inner = details.get("subscription_item_details") if isinstance(details, dict) else None
    return bool(line.get("proration") or (isinstance(inner, dict) and inner.get("proration")))
