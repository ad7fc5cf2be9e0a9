"""A Stripe to read from, and what a reading brings."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestration.contract import TABLES
from orchestration.extract.connectors.base import Preview, Window
from orchestration.extract.connectors.stripe import StripeSource
from orchestration.settings import Settings, load_settings
from orchestration.sources import Secret
from tests.stripe_server import KEY, StripeServer, stripe_server
from tests.unit.extract.connectors.stripe.replay import Replay, replay_server

VARIABLE = "STRIPE_TEST_KEY"


def at(text: str) -> int:
    """Epoch seconds of an ISO time, UTC; noon where only a day is given."""
    return int(datetime.fromisoformat(text if "T" in text else f"{text}T12:00").replace(tzinfo=UTC).timestamp())


@dataclass
class Reader:
    """Reads tables from one server into one lake."""

    folder: Path
    url: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        path = self.folder / "health.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n')
        return load_settings(path)

    @property
    def source(self) -> StripeSource:
        return StripeSource(
            connector="stripe", api_key=Secret(env=VARIABLE), base_url=self.url, max_attempts=3,
            max_retry_delay_seconds=0.2, timeout_seconds=5, **self.options,
        )  # fmt: skip

    def read(self, table: str, until: str = "2026-06-30") -> list[dict[str, str | None]]:
        window = Window(None, date.fromisoformat(until))
        batches = self.source.read(self.settings, TABLES[table], window)
        return [row for batch in batches for row in batch.drop_columns("_deleted").to_pylist()]

    def values(self, table: str, *columns: str, until: str = "2026-06-30") -> list[tuple[str | None, ...]]:
        return [tuple(row[column] for column in columns) for row in self.read(table, until)]

    def preview(self, table: str) -> Preview:
        return self.source.preview(self.settings, TABLES[table])

    @property
    def journal(self) -> dict[str, bytes]:
        """Files of the journal by name, half-written ones too."""
        folder = self.settings.lake / "journal"
        return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replay_server() as server:
        yield server


@pytest.fixture
def reader(replay: Replay, tmp_path: Path) -> Reader:
    return Reader(tmp_path / "world", replay.url)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeServer]:
    with stripe_server(tmp_path_factory.mktemp("localstripe")) as running:
        yield running


@pytest.fixture
def localstripe(server: StripeServer) -> StripeServer:
    server.clear()
    return server


def price(key: str = "price_1", amount: int = 1000, interval: str = "month", **fields: Any) -> dict[str, Any]:
    """A licensed price per unit, in euro, in the new shape."""
    recurring = {"interval": interval, "interval_count": 1, "usage_type": "licensed"} | fields.pop("recurring", {})
    return {"id": key, "currency": "eur", "unit_amount": amount, "recurring": recurring, "nickname": "Basic", **fields}


def item(quantity: int | None = 1, end: str = "2026-07-10", **fields: Any) -> dict[str, Any]:
    return {"id": "si_1", "quantity": quantity, "price": price(), "current_period_end": at(end), **fields}


def subscription(*items: dict[str, Any], key: str = "sub_1", **fields: Any) -> dict[str, Any]:
    """An active subscription of cus_1 since 2026-01-10, in the new shape."""
    return {
        "id": key, "object": "subscription", "customer": "cus_1", "status": "active", "currency": "eur",
        "start_date": at("2026-01-10"), "created": at("2026-01-10"), "ended_at": None, "trial_start": None,
        "trial_end": None, "discounts": [], "items": {"data": list(items or [item()]), "has_more": False}, **fields,
    }  # fmt: skip


def event(when: str, after: dict[str, Any], previous: dict[str, Any] | None = None, kind: str = "updated") -> dict[str, Any]:
    data = {"object": after} | ({} if previous is None else {"previous_attributes": previous})
    name = f"evt_{when}_{after['id']}_{kind}"
    return {"id": name, "type": f"customer.subscription.{kind}", "created": at(when), "data": data}
