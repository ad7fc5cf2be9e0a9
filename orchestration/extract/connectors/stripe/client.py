"""Stripe's API: its lists page by page, and the few objects that lists do not hold."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from requests import Request, Response

from orchestration.contract import RawTable
from orchestration.extract.connectors.http import Api
from orchestration.extract.connectors.stripe import StripeSource
from orchestration.extract.connectors.stripe.shapes import (
    Body,
    coupon_of,
    items_of,
    raw_discounts,
    text_id,
    trimmed_discount,
    trimmed_subscription,
)
from orchestration.settings import secret_value

PAGE = 100
EXPAND = "expand[]"


class StripePaginator(BasePaginator):
    """The next page begins after the last object of this one, while `has_more`.

    Raises:
        ValueError: an answer that is not a list. (It would look like an empty table.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: str | None = None

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        answer = response.json()
        objects, has_more = answer.get("data"), answer.get("has_more")
        if not isinstance(objects, list) or not isinstance(has_more, bool):
            raise ValueError("no list")
        self._last = text_id(objects[-1]) if objects else None
        if has_more and self._last is None:
            raise ValueError("more is due, but after no object")
        self._has_next_page = has_more

    def update_request(self, request: Request) -> None:
        request.params = {**cast(Mapping[str, Any], request.params or {}), "starting_after": self._last}


def connect(table: RawTable, source: StripeSource) -> Api:
    """The API for one raw table.

    Raises:
        SettingsError: the variable with the key is not set.
    """
    auth = BearerTokenAuth(token=secret_value(f"sources.{table.name}.api_key", source.api_key))
    headers = {"Stripe-Version": source.api_version} if source.api_version else None
    return Api(table.name, source, source.base_url, auth, headers)


def first_page(api: Api, path: str, **params: Any) -> list[Body]:
    """The newest objects of a list, up to a hundred."""
    pages = api.pages(path, "data", StripePaginator(), limit=PAGE, **params)
    return next(pages, [])


def all_objects(api: Api, path: str, **params: Any) -> Iterator[Body]:
    """The objects of a list, newest first, each once even where a page brings it again; without an id all come."""
    seen: set[str] = set()
    for page in api.pages(path, "data", StripePaginator(), limit=PAGE, **params):
        for one in page:
            key = text_id(one)
            if key is None or key not in seen:
                yield one
            if key is not None:
                seen.add(key)


def current_subscriptions(api: Api, seats_from: Sequence[str]) -> list[Body]:
    """Every subscription as it is, trimmed, with all items, discounts and coupons.

    Discounts come as ids unless they are expanded, and asking for that is an error in versions that do not know them:
    the list is read once more only where ids were found.
    """
    found = list(all_objects(api, "/v1/subscriptions", status="all"))
    wanted = ["data.discounts"] if any(_has_ids(one) for one in found) else []
    if any(_has_ids(item) for one in found for item in items_of(one)):
        wanted.append("data.items.data.discounts")
    if wanted:
        found = list(all_objects(api, "/v1/subscriptions", status="all", **{EXPAND: wanted}))
    coupons: dict[str, Body | None] = {}
    return [_completed(api, one, coupons, seats_from) for one in found]


def _has_ids(holder: Body) -> bool:
    return any(isinstance(one, str) for one in raw_discounts(holder))


def _completed(api: Api, raw: Mapping[str, Any], coupons: dict[str, Body | None], seats_from: Sequence[str]) -> Body:
    body = trimmed_subscription(raw, seats_from)
    items = body.get("items")
    if isinstance(items, dict) and items.get("has_more") and body.get("id"):
        # A page within a page holds ten items.
        rest = list(all_objects(api, "/v1/subscription_items", subscription=body["id"]))
        body = trimmed_subscription({**body, "items": {"data": rest, "has_more": False}}, seats_from)
    for holder in (body, *items_of(body)):
        for discount in raw_discounts(holder):
            if isinstance(discount, dict):
                _look_coupon_up(api, discount, coupons)
    # Once more, since a coupon that was looked up has more fields than the journal may hold.
    return trimmed_subscription(body, seats_from)


def _look_coupon_up(api: Api, discount: Body, coupons: dict[str, Body | None]) -> None:
    coupon = coupon_of(discount)
    if isinstance(coupon, str):
        if coupon not in coupons:
            coupons[coupon] = api.get(f"/v1/coupons/{coupon}")
        discount["coupon"] = coupons[coupon] or coupon


def customer_discounts(api: Api) -> dict[str, Body]:
    """The discount that each customer has now, trimmed, with its coupon; by customer."""
    coupons: dict[str, Body | None] = {}
    found: dict[str, Body] = {}
    for customer in all_objects(api, "/v1/customers"):
        key, discount = text_id(customer), customer.get("discount")
        if key is not None and isinstance(discount, dict):
            trimmed = trimmed_discount(discount)
            _look_coupon_up(api, trimmed, coupons)
            found[key] = trimmed_discount(trimmed)
    return found


def price_with_tiers(api: Api, price: str) -> Body | None:
    """A price with its tiers, which lists cannot hold: they are one level too deep to be expanded."""
    return api.get(f"/v1/prices/{price}", **{EXPAND: ["tiers"]})
