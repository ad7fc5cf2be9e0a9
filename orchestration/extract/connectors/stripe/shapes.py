"""What the connector keeps of Stripe's objects: the old and the new API shapes, without anything personal.

The journal holds trimmed objects only, so names, addresses and payment details never reach the disk.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from orchestration.extract.connectors.stripe import METADATA

Shape = Mapping[str, Any]
Body = dict[str, Any]

_TIER: Shape = dict.fromkeys(("up_to", "unit_amount", "unit_amount_decimal", "flat_amount", "flat_amount_decimal"))
_QUANTITY: Shape = {"divide_by": None, "round": None}
# A plan is the old form of a price: `recurring` is at its top level and its amounts have other names.
_PRICE: Shape = {
    **dict.fromkeys(("id", "currency", "unit_amount", "unit_amount_decimal", "amount", "amount_decimal")),
    **dict.fromkeys(("nickname", "lookup_key", "name", "billing_scheme", "tiers_mode")),
    **dict.fromkeys(("interval", "interval_count", "usage_type")),
    "product": {"id": None, "name": None},
    "tiers": _TIER,
    "transform_quantity": _QUANTITY,
    "transform_usage": _QUANTITY,
    "recurring": dict.fromkeys(("interval", "interval_count", "usage_type")),
}
_COUPON: Shape = dict.fromkeys(("id", "percent_off", "amount_off", "currency", "duration"))
_DISCOUNT: Shape = {**dict.fromkeys(("id", "start", "end")), "coupon": _COUPON, "source": {"coupon": _COUPON}}
_ITEM: Shape = {
    **dict.fromkeys(("id", "quantity", "current_period_start", "current_period_end")),
    "price": _PRICE,
    "plan": _PRICE,
    "discounts": _DISCOUNT,
}
_SUBSCRIPTION: Shape = {
    **dict.fromkeys(("id", "customer", "status", "currency", "start_date", "start", "created")),
    **dict.fromkeys(("ended_at", "canceled_at", "trial_start", "trial_end", "current_period_start", "current_period_end", "quantity")),
    "pause_collection": dict.fromkeys(("behavior", "resumes_at")),
    "plan": _PRICE,
    "items": {"has_more": None, "data": _ITEM},
    "discount": _DISCOUNT,
    "discounts": _DISCOUNT,
}


@dataclass
class Known:
    """What events name or imply but do not hold.

    Attributes:
        prices: with their tiers, by id.
        discounts: with their coupons, by id.
        of_customers: all discounts that a customer had, by customer and discount.
        seats_from: as configured.
        sold_by_number: ids of the prices that any subscription has, or had, more than once.
    """

    prices: dict[str, Body] = field(default_factory=dict)
    discounts: dict[str, Body] = field(default_factory=dict)
    of_customers: dict[str, dict[str, Body]] = field(default_factory=dict)
    seats_from: Sequence[str] = ()
    sold_by_number: Set[str] = frozenset()


def trimmed_subscription(raw: Mapping[str, Any], seats_from: Sequence[str]) -> Body:
    """The fields of a subscription, or of an event's `previous_attributes`, that the mapping needs."""
    key = seats_key(seats_from)
    return _trim(raw, _SUBSCRIPTION if key is None else {**_SUBSCRIPTION, "metadata": {key: None}})


def seats_key(seats_from: Sequence[str]) -> str | None:
    """The key of the subscription's metadata that holds its seats, where `seats_from` names one."""
    return next((name.removeprefix(METADATA) for name in seats_from if name.startswith(METADATA)), None)


def trimmed_discount(raw: Mapping[str, Any]) -> Body:
    return _trim(raw, _DISCOUNT)


def trimmed_price(raw: Mapping[str, Any]) -> Body:
    return _trim(raw, _PRICE)


def _trim(value: Any, shape: Shape | None) -> Any:
    if isinstance(value, list):
        return [_trim(one, shape) for one in value] if shape is not None else None
    if not isinstance(value, Mapping):
        return value
    if shape is None:
        # An expanded reference.
        return value.get("id")
    return {name: _trim(value[name], inner) for name, inner in shape.items() if name in value}


def state_before(after: Body, previous: Body) -> Body:
    """The state before an event, from its object and its `previous_attributes` (both trimmed).

    `previous_attributes` holds hashes in part and lists as a whole; old API versions name plan and quantity of the only
    item at the top level.
    """
    before = _merged(after, previous)
    items = items_of(after)
    if "items" not in previous and len(items) == 1:
        item = dict(items[0])
        if previous.get("quantity") is not None:
            item["quantity"] = previous["quantity"]
        if isinstance(previous.get("plan"), dict):
            item = {name: value for name, value in item.items() if name != "price"} | {"plan": before["plan"]}
        before["items"] = {"data": [item]}
    return before


def _merged(after: Body, previous: Body) -> Body:
    merged = dict(after)
    for name, value in previous.items():
        whole = not (isinstance(value, dict) and isinstance(after.get(name), dict))
        merged[name] = value if whole else _merged(after[name], value)
    return merged


def items_of(body: Body) -> list[Body]:
    """The items of a subscription; of a very old one its plan and quantity as the only item."""
    items = body.get("items")
    data = items.get("data") if isinstance(items, dict) else None
    if isinstance(data, list):
        return [one for one in data if isinstance(one, dict)]
    return [{"plan": body["plan"], "quantity": body.get("quantity")}] if isinstance(body.get("plan"), dict) else []


def has_all_items(body: Body) -> bool:
    """Whether the items that the body holds are all that there are."""
    items = body.get("items")
    return bool(items_of(body)) and not (isinstance(items, dict) and items.get("has_more"))


def price_of(item: Body, known: Known) -> Body | None:
    """The price of an item, or its plan; with its tiers where they are known."""
    price = item.get("price") or item.get("plan")
    if not isinstance(price, dict):
        return known.prices.get(price) if isinstance(price, str) else None
    return known.prices.get(price.get("id", ""), price) if lacks_tiers(price) else price


def price_id(item: Body) -> str | None:
    return text_id(item.get("price") or item.get("plan"))


def recurring(price: Body, name: str) -> Any:
    """A field of how a price recurs; it is at the top level of a plan."""
    holder = price.get("recurring")
    return (holder if isinstance(holder, dict) else price).get(name)


def lacks_tiers(price: Body) -> bool:
    return price.get("billing_scheme") == "tiered" and not price.get("tiers")


def discounts_of(holder: Body, known: Known) -> list[Body | None]:
    """The discounts of a subscription or an item with their coupons, in the order they apply; None: unknown.

    A subscription without any has those of its customer.
    """
    single, *listed = raw_discounts(holder)
    by_id = known.discounts
    if isinstance(single, dict) and single.get("id"):
        by_id = {single["id"]: single} | by_id
    own = listed or ([single] if single else [])
    found = own or known.of_customers.get(text_id(holder.get("customer")) or "", {}).values()
    return [_with_coupon(one, by_id) for one in found]


def raw_discounts(holder: Body) -> list[Any]:
    """`discount`, of old versions, and what `discounts` lists: objects, ids or None."""
    listed = holder.get("discounts")
    return [holder.get("discount"), *(listed if isinstance(listed, list) else [])]


def _with_coupon(discount: Any, by_id: Mapping[str, Body]) -> Body | None:
    if isinstance(discount, str):
        discount = by_id.get(discount)
    if not isinstance(discount, dict):
        return None
    coupon = coupon_of(discount)
    if not isinstance(coupon, dict):
        coupon = coupon_of(by_id.get(discount.get("id", ""), {}))
    return {**discount, "coupon": coupon} if isinstance(coupon, dict) else None


def coupon_of(discount: Body) -> Any:
    """The coupon of a discount: an object, its id, or None."""
    source = discount.get("source")
    return discount.get("coupon") or (source.get("coupon") if isinstance(source, dict) else None)


def text_id(value: Any) -> str | None:
    """The id of a reference, expanded or not."""
    found = value.get("id") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) and found else None


def day_of(moment: Any) -> date | None:
    """The UTC day of epoch seconds."""
    when = time_of(moment)
    return None if when is None else when.date()


def time_of(moment: Any) -> datetime | None:
    """Epoch seconds as a UTC time without zone, as the contract reads it; None for what is not a time."""
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return None
    try:
        return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    except (OverflowError, OSError, ValueError):
        return None


def first_day(moments: Iterable[Any]) -> date | None:
    """The first of several moments that is one, as a day."""
    return next((day for moment in moments if (day := day_of(moment)) is not None), None)
