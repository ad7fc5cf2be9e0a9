"""What a subscription is worth a month: amounts, tiers, billing intervals and discounts. Exact fractions throughout."""

import math
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, TypeGuard

from orchestration.extract.connectors.stripe.shapes import (
    Body,
    Known,
    day_of,
    discounts_of,
    has_all_items,
    items_of,
    price_id,
    price_of,
    recurring,
    seats_key,
    text_id,
)

# https://docs.stripe.com/currencies: ISK and UGX have no decimals in life, but two in the API.
_NO_DECIMALS = frozenset(("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"))
_THREE_DECIMALS = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
_MONTHS = {"day": Fraction(12, 365), "week": Fraction(12, 52), "month": Fraction(1), "year": Fraction(12)}
_PLACES = Decimal("0.0001")


def currency_code(currency: Any) -> str | None:
    return currency.upper() if isinstance(currency, str) and currency else None


def full_units(amount: Any, currency: Any) -> Decimal | None:
    """An amount in the currency's smallest unit as full units; None for what is not an amount."""
    value = _fraction(amount)
    return None if value is None else _decimal(value / _smallest_per_unit(currency))


def monthly_value(body: Body, known: Known, day: date) -> Decimal | None:
    """Recurring revenue per month in full currency units, to four decimals, after the discounts in force on `day`.

    Metered items contribute nothing: what they bring is known only after each term. None where the value is not known:
    metered items only, tiers or coupons that the API does not deliver, more items than the state holds.
    """
    if not has_all_items(body):
        return None
    total = Fraction(0)
    months: Fraction | None = None
    for item in items_of(body):
        price = price_of(item, known)
        if price is None:
            return None
        if recurring(price, "usage_type") == "metered":
            continue
        term, amount = _months(price), _amount(price, _fraction(item.get("quantity")))
        if term is None or amount is None:
            return None
        net = _discounted(amount / term, discounts_of(item, known), day, term, currency_of(body, known))
        if net is None:
            return None
        total += net
        months = months or term
    if months is None:
        return None
    value = _discounted(total, discounts_of(body, known), day, months, currency_of(body, known))
    return None if value is None else _decimal(value / _smallest_per_unit(currency_of(body, known)))


def seats(body: Body, known: Known) -> int | None:
    """Sum of the quantities of the prices that `seats_from` names; without it, of those that are sold by number.

    A price that nobody has more than once is a flat one: it has no seats. None where there are no seats or not all are known.
    """
    key = seats_key(known.seats_from)
    if key is not None:
        metadata = body.get("metadata")
        text = str(metadata.get(key)).strip() if isinstance(metadata, dict) else ""
        return int(text) if text.isdecimal() else None
    if not has_all_items(body):
        return None
    counts = [item.get("quantity") for item in items_of(body) if _has_seats(item, known)]
    whole = [one for one in counts if is_number(one)]
    return sum(whole) if whole and len(whole) == len(counts) else None


def is_number(quantity: Any) -> TypeGuard[int]:
    return isinstance(quantity, int) and not isinstance(quantity, bool)


def _has_seats(item: Body, known: Known) -> bool:
    price = price_of(item, known) or {}
    if recurring(price, "usage_type") == "metered":
        return False
    key, product = price_id(item), price.get("product")
    if known.seats_from:
        names = [key, price.get("lookup_key"), price.get("nickname"), text_id(product)]
        return any(name in known.seats_from for name in names if name is not None)
    quantity = item.get("quantity")
    return key in known.sold_by_number or (is_number(quantity) and quantity > 1)


def plan_name(body: Body, known: Known) -> str | None:
    """What the prices are called, in alphabetical order."""
    names = {name for item in items_of(body) if (name := _name(price_of(item, known) or {})) is not None}
    return " + ".join(sorted(names)) or None


def currency_of(body: Body, known: Known) -> str | None:
    prices = [price_of(item, known) or {} for item in items_of(body)]
    codes = (currency_code(one.get("currency")) for one in [*prices, body])
    return next((code for code in codes if code is not None), None)


def _name(price: Body) -> str | None:
    product = price.get("product")
    expanded = product.get("name") or product.get("id") if isinstance(product, dict) else None
    candidates = (price.get("nickname"), price.get("lookup_key"), expanded, price.get("name"), product, price.get("id"))
    return next((one.strip() for one in candidates if isinstance(one, str) and one.strip()), None)


def _amount(price: Body, quantity: Fraction | None) -> Fraction | None:
    """What one billing interval costs, in the smallest unit."""
    if quantity is None:
        return None
    transform = price.get("transform_quantity") or price.get("transform_usage")
    if isinstance(transform, dict) and (divisor := _fraction(transform.get("divide_by"))):
        packages = quantity / divisor
        quantity = Fraction(math.ceil(packages) if transform.get("round") == "up" else math.floor(packages))
    if price.get("billing_scheme") == "tiered":
        tiers = price.get("tiers")
        return _tiered(tiers, price.get("tiers_mode"), quantity) if tiers is not None and _are_bodies(tiers) else None
    unit = _first_fraction(price, "unit_amount_decimal", "unit_amount", "amount_decimal", "amount")
    return None if unit is None else unit * quantity


def _are_bodies(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, dict) for one in values)


def _tiered(tiers: Sequence[Body], mode: Any, quantity: Fraction) -> Fraction | None:
    """Graduated: each tier's price for the units within it; volume: for all units that of the tier which they reach."""
    total, lower = Fraction(0), Fraction(0)
    for tier in tiers:
        unit = _first_fraction(tier, "unit_amount_decimal", "unit_amount") or Fraction(0)
        flat = _first_fraction(tier, "flat_amount_decimal", "flat_amount") or Fraction(0)
        # The last tier has no end: null, `inf` in old versions.
        upper = _fraction(tier.get("up_to"))
        is_last = upper is None or quantity <= upper
        if mode == "volume" and is_last:
            return unit * quantity + flat
        if mode == "graduated" and quantity > lower:
            total += unit * ((quantity if upper is None else min(quantity, upper)) - lower) + flat
        if mode == "graduated" and is_last:
            return total
        lower = upper or lower
    return None


def _discounted(monthly: Fraction, discounts: Sequence[Body | None], day: date, months: Fraction, currency: str | None) -> Fraction | None:
    """A monthly amount in the smallest unit after the discounts in force; a coupon for one invoice does not recur."""
    for discount in discounts:
        if discount is None:
            return None
        coupon = discount["coupon"]
        start, end = day_of(discount.get("start")), day_of(discount.get("end"))
        if coupon.get("duration") == "once" or (start and day < start) or (end and day >= end):
            continue
        percent, amount = _fraction(coupon.get("percent_off")), _fraction(coupon.get("amount_off"))
        if percent is not None:
            monthly *= 1 - percent / 100
        elif amount is not None and currency_code(coupon.get("currency")) in (None, currency):
            monthly -= amount / months
        else:
            return None
    return max(monthly, Fraction(0))


def _months(price: Body) -> Fraction | None:
    """Length of the billing interval in months."""
    one, count = _MONTHS.get(recurring(price, "interval") or ""), _fraction(recurring(price, "interval_count") or 1)
    return None if one is None or not count else one * count


def _first_fraction(holder: Body, *names: str) -> Fraction | None:
    return next((value for name in names if (value := _fraction(holder.get(name))) is not None), None)


def _fraction(value: Any) -> Fraction | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return None


def _decimal(value: Fraction) -> Decimal | None:
    try:
        return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(_PLACES)
    except InvalidOperation:
        # More digits than any sum of money has.
        return None


def _smallest_per_unit(currency: Any) -> int:
    code = currency_code(currency)
    return 1 if code in _NO_DECIMALS else 1000 if code in _THREE_DECIMALS else 100
