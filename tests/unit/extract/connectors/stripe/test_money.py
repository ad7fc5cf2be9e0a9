"""Monthly values, worked out by hand from Stripe's rules for prices."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from orchestration.extract.connectors.stripe import money
from orchestration.extract.connectors.stripe.shapes import Known, trimmed_subscription
from tests.unit.extract.connectors.stripe.conftest import at, item, price, subscription

DAY = date(2026, 3, 1)


def monthly(*items: dict[str, Any], known: Known | None = None, day: date = DAY, **fields: Any) -> Decimal | None:
    return money.monthly_value(trimmed_subscription(subscription(*items, **fields), ()), known or Known(), day)


def priced(quantity: int = 1, **fields: Any) -> dict[str, Any]:
    return item(quantity, price=price(**fields))


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [(1050, "eur", "10.5"), (1050, "jpy", "1050"), (1050, "ugx", "10.5"), (1050, "isk", "10.5"), (1050, "kwd", "1.05"),
     (0, "usd", "0"), (-500, "usd", "-5"), (None, "usd", None), ("no", "usd", None)],
)  # fmt: skip
def test_amounts_are_in_full_units(amount: Any, currency: str, expected: str | None) -> None:
    assert money.full_units(amount, currency) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("interval", "count", "expected"),
    # 12 euros: a day x 365/12, a week x 52/12, each 3 months / 3, a year / 12, each 2 weeks x 26/12.
    [("day", 1, "365"), ("week", 1, "52"), ("month", 1, "12"), ("month", 3, "4"), ("year", 1, "1"), ("week", 2, "26")],
)
def test_every_interval_is_made_a_month(interval: str, count: int, expected: str) -> None:
    assert monthly(priced(amount=1200, interval=interval, recurring={"interval_count": count})) == Decimal(expected)


def test_items_of_several_prices_are_added_up() -> None:
    assert monthly(priced(3, amount=1000), priced(2, amount=12000, interval="year")) == Decimal(50)


def test_a_decimal_amount_counts_before_the_rounded_one() -> None:
    assert monthly(priced(1000, amount=1, unit_amount_decimal="0.5")) == Decimal(5)


def test_metered_items_count_nothing_and_alone_are_unknown() -> None:
    metered = item(None, price=price(recurring={"usage_type": "metered"}))
    assert monthly(priced(2), metered) == Decimal(20)
    assert money.seats(subscription(priced(2), metered), Known()) == 2
    assert monthly(metered) is None
    assert money.seats(subscription(metered), Known()) is None


TIERS = [
    {"up_to": 5, "unit_amount": 700, "flat_amount": 1000},
    {"up_to": 10, "unit_amount": 600, "flat_amount": None},
    {"up_to": None, "unit_amount": None, "unit_amount_decimal": "500", "flat_amount": 0},
]


@pytest.mark.parametrize(
    ("mode", "quantity", "expected"),
    # graduated 12: 10 + 5 x 7 + 5 x 6 + 2 x 5 = 85. volume 12: 12 x 5 = 60; 5: 10 + 5 x 7 = 45; 6: 6 x 6 = 36.
    [("graduated", 12, "85"), ("graduated", 5, "45"), ("graduated", 6, "51"), ("volume", 12, "60"), ("volume", 5, "45"),
     ("volume", 6, "36")],
)  # fmt: skip
def test_tiers(mode: str, quantity: int, expected: str) -> None:
    tiered = {"amount": None, "billing_scheme": "tiered", "tiers_mode": mode}
    assert monthly(priced(quantity, tiers=TIERS, **tiered)) == Decimal(expected)
    assert monthly(priced(quantity, **tiered)) is None
    known = Known(prices={"price_1": price(tiers=TIERS, **tiered)})
    assert monthly(priced(quantity, **tiered), known=known) == Decimal(expected)


@pytest.mark.parametrize(("rounding", "expected"), [("up", "30"), ("down", "20")])
def test_packages_are_rounded(rounding: str, expected: str) -> None:
    # 25 units in packages of 10: three or two of them.
    assert monthly(priced(25, transform_quantity={"divide_by": 10, "round": rounding})) == Decimal(expected)


def coupon(**fields: Any) -> dict[str, Any]:
    return {"id": "c", "percent_off": None, "amount_off": None, "currency": None, "duration": "forever", **fields}


TEN_PERCENT = {"id": "di_1", "start": at("2026-01-10"), "end": None, "coupon": coupon(percent_off=10.5)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"discount": TEN_PERCENT}, "89.5"),
        ({"discounts": [TEN_PERCENT]}, "89.5"),
        ({"discount": TEN_PERCENT, "discounts": ["di_1"]}, "89.5"),
        ({"discounts": [{**TEN_PERCENT, "coupon": None, "source": {"coupon": coupon(percent_off=50)}}]}, "50"),
        ({"discounts": [{**TEN_PERCENT, "coupon": coupon(amount_off=3000, currency="eur")}]}, "70"),
        ({"discounts": [{**TEN_PERCENT, "coupon": coupon(amount_off=30000, currency="eur")}]}, "0"),
        ({"discounts": [{**TEN_PERCENT, "coupon": coupon(amount_off=3000, currency="usd")}]}, None),
        ({"discounts": [{**TEN_PERCENT, "coupon": coupon(percent_off=50, duration="once")}]}, "100"),
        ({"discounts": [{**TEN_PERCENT, "end": at("2026-03-01")}]}, "100"),
        ({"discounts": [{**TEN_PERCENT, "end": at("2026-03-02")}]}, "89.5"),
        ({"discounts": [{**TEN_PERCENT, "start": at("2026-03-02")}]}, "100"),
        ({"discounts": ["di_unknown"]}, None),
        ({"discount": None, "discounts": None}, "100"),
    ],
)
def test_discounts_in_force(fields: dict[str, Any], expected: str | None) -> None:
    assert monthly(priced(10), **fields) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "50"),
        ({"discounts": []}, "50"),
        ({"discount": None}, "50"),
        # Its own discount counts instead, not beside it.
        ({"discounts": [TEN_PERCENT]}, "89.5"),
        ({"discount": TEN_PERCENT}, "89.5"),
        ({"customer": {"id": "cus_1"}}, "50"),
        ({"customer": "cus_2"}, "100"),
    ],
)
def test_a_subscription_without_discounts_has_its_customers(fields: dict[str, Any], expected: str) -> None:
    half = {**TEN_PERCENT, "coupon": coupon(percent_off=50)}
    ended = {**half, "end": at("2026-03-01")}
    known = Known(of_customers={"cus_1": {"di_1": half, "di_0": ended}})
    assert monthly(priced(10), known=known, **fields) == Decimal(expected)


def test_an_amount_off_is_spread_over_the_billing_interval() -> None:
    # 1,200 a year less 240 a year.
    yearly = {**TEN_PERCENT, "coupon": coupon(amount_off=24000, currency="eur")}
    assert monthly(priced(amount=120000, interval="year"), discounts=[yearly]) == Decimal(80)


def test_a_discount_of_one_item_leaves_the_others() -> None:
    half = {**TEN_PERCENT, "coupon": coupon(percent_off=50)}
    assert monthly({**priced(10), "discounts": [half]}, priced(10)) == Decimal(150)


@pytest.mark.parametrize(
    "broken",
    [{"items": None}, {"items": {"data": []}}, {"items": {"data": [item()], "has_more": True}},
     {"items": {"data": [{}]}},
     {"items": {"data": [item(price={"id": "p"})]}}, {"items": {"data": [item(None)]}}, {"items": 7, "discounts": 7}],
)  # fmt: skip
def test_what_is_not_understood_is_unknown(broken: dict[str, Any]) -> None:
    assert monthly(**broken) is None


def test_the_plan_of_old_versions() -> None:
    plan = {
        "id": "gold",
        "amount": 2500,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "product": "prod_1",
    }
    old = trimmed_subscription({"id": "sub_1", "plan": plan, "quantity": 4, "items": {"data": [{"plan": plan, "quantity": 4}]}}, ())
    assert (money.monthly_value(old, Known(), DAY), money.seats(old, Known())) == (Decimal(100), 4)
    assert (money.plan_name(old, Known()), money.currency_of(old, Known())) == ("prod_1", "USD")
    del old["items"]
    assert money.monthly_value(old, Known(), DAY) == Decimal(100)


def test_plans_are_named_by_nickname_lookup_key_or_product() -> None:
    items = [priced(nickname="Seats"), priced(nickname=None, lookup_key="api"), priced(nickname=" ", product="prod_9")]
    assert money.plan_name(subscription(*items), Known()) == "Seats + api + prod_9"
