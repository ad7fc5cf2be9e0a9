"""The `stripe` connector: accounts, billing contacts, subscriptions, invoices and account outcomes from a Stripe account.

Every extraction reads the whole table: the lists are short, and only a whole reading sees what is gone.
"""

import re
from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa
from pydantic import Field, field_validator

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import HttpSource, Preview, Window
from orchestration.settings import Settings
from orchestration.sources import SecretReference

# Before the key of a value in an object's metadata.
METADATA = "metadata."


class StripeSource(HttpSource):
    """`connector = "stripe"`.

    Attributes:
        api_key: a restricted key with read access to customers, subscriptions, prices, coupons, invoices and events.
        account_key: what names the account: `customer` (the customer's id), `metadata.<key>` of the customer, or
            `email_domain` of the customer's e-mail address.
        name_key: for `accounts`: `name`, `metadata.<key>` or `email_domain`.
        columns: for `accounts`: contract column -> `metadata.<key>` of the customer (segment, industry, region, csm,
            parent_account_id).
        seats_from: for `subscriptions`: what counts as seats, as ids, lookup keys or nicknames of prices or ids of products, or as the one
            entry `metadata.<key>` of the subscription; by default every price that any subscription has more than once.
        api_version: sent as `Stripe-Version`; by default the version that the account is set to.
    """

    api_key: SecretReference
    base_url: str = "https://api.stripe.com"
    account_key: str = Field(default="customer", pattern=r"^(customer|email_domain|metadata\..+)$")
    name_key: str = Field(default="name", pattern=r"^(name|email_domain|metadata\..+)$")
    columns: dict[str, str] = {}
    seats_from: list[str] = []
    api_version: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d(\.\w+)?$")

    tables: ClassVar[tuple[str, ...]] = ("accounts", "contacts", "subscriptions", "invoices", "account_outcomes")

    @field_validator("seats_from")
    @classmethod
    def _prices_or_one_key(cls, names: list[str]) -> list[str]:
        if len(names) > 1 and any(name.startswith(METADATA) for name in names):
            raise ValueError("give prices and products, or metadata.<key> alone")
        return names

    @field_validator("columns")
    @classmethod
    def _metadata_only(cls, columns: dict[str, str]) -> dict[str, str]:
        for name, place in columns.items():
            if name in ("account_id", "account_name", "created_at"):
                raise ValueError(f"{name} is not mapped here; account_key and name_key say where account_id and name are")
            if not re.fullmatch(r"metadata\..+", place):
                raise ValueError(f"{name}: give metadata.<key>")
        return columns

    def read(self, settings: Settings, table: RawTable, window: Window) -> Iterator[pa.RecordBatch]:
        from orchestration.extract.connectors.stripe import tables

        return tables.read(settings, table, self, window)

    def preview(self, settings: Settings, table: RawTable) -> Preview:
        from orchestration.extract.connectors.stripe import tables

        return tables.preview(table, self)
