"""The product log: one day of usage events at a time, so that any volume fits in little memory."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.contract import TABLES
from orchestration.extract.connectors.demo.company import (
    CORE_FEATURES,
    UTC_OFFSET_HOURS,
    Ints,
    feature_releases,
    stream,
)
from orchestration.extract.connectors.demo.simulation import SECONDS_PER_DAY, History, season

EVENTS_PER_ACCOUNT_DAY = 8.0
# Active users per account and day that the simulation brings forth, measured; turns the wanted events per account and
# day into events per active user.
_ACTIVE_USERS_PER_ACCOUNT_DAY = 2.6
_FADE_DAYS = 9
_GONE_AFTER_DAYS = 45
# Newly released features are tried for as long as they are among the newest ones.
_NEWEST = 4
_LATE_SHARE = 0.015
# One row in so many is delivered twice, is bad, or belongs to no account. By position instead of by chance: a day with
# few events has none, so that no single day's file can exceed the share of bad rows at which an extraction fails.
_ONE_DUPLICATE_IN = 499
_ONE_BAD_IN = 397
_ONE_ORPHAN_IN = 311
_SANDBOXES = ("internal-qa", "sandbox-01", "sandbox-02")


@dataclass(frozen=True)
class UsageDay:
    """The events that happened on one day.

    Attributes:
        events: the columns of `usage_events`, by time.
        arrives: for each event the day on which it is delivered, the day itself or one to three days later.
    """

    events: pa.Table
    arrives: Ints


class ProductLog:
    """Writes the usage events of a company's days.

    Args:
        history: the company.
        with_dirt: also late, duplicate, bad and orphaned rows.
        events_per_account_day: mean over accounts with a subscription and all days of the week; below about 3 the
            number of active users sets the number of events.
    """

    def __init__(self, history: History, with_dirt: bool, events_per_account_day: float = EVENTS_PER_ACCOUNT_DAY) -> None:
        self._history = history
        self._with_dirt = with_dirt
        self._further_events = max(events_per_account_day / _ACTIVE_USERS_PER_ACCOUNT_DAY - 1, 0.0)
        self._account_ids = numbered("acc-", np.arange(len(history.accounts)), 5)
        self._user_ids = numbered("usr-", np.arange(len(history.users.account)), 6)
        names, self._released_on = feature_releases(history.first_day, history.last_day)
        self._features = pa.array(names, pa.string())

    @property
    def days(self) -> tuple[int, int]:
        """First and last day of the log."""
        return self._history.first_day, self._history.last_day

    def on(self, day: int) -> UsageDay:
        """The events of one day (days since 1970-01-01) of the company's history.

        Raises:
            ValueError: the day lies outside the history.
        """
        history = self._history
        if not history.first_day <= day <= history.last_day:
            raise ValueError(f"day {day} lies outside the history {history.first_day} to {history.last_day}")
        rng = stream(history.seed, "usage", day)
        user = self._active_users(day, rng)
        per_user = 1 + rng.poisson(self._further_events * rng.gamma(2.0, 0.5, len(user)))
        session = self._session_starts(user, rng)
        user = np.repeat(user, per_user)
        seconds = np.repeat(session, per_user) + rng.exponential(2400, len(user))
        # What would run into the next UTC day happens in this day's last seconds: users stay on the day that was drawn.
        seconds = np.minimum(seconds, SECONDS_PER_DAY - 1).astype(np.int64)
        order = np.argsort(seconds, kind="stable")
        user, seconds = user[order], seconds[order]
        number = len(user)
        account = history.users.account[user]
        feature = self._features_used(day, account, rng)
        duration = np.rint(rng.lognormal(5.0, 0.9, number))
        gaps = rng.random((2, number))
        moment = (day * SECONDS_PER_DAY + seconds) * 1_000_000
        stamp = np.datetime64(day, "D").astype(str).replace("-", "")
        events = pa.table(
            {
                "event_id": numbered(f"evt-{stamp}-", np.arange(number), 6),
                "account_id": self._account_ids.take(pa.array(account)),
                "user_id": self._user_ids.take(pa.array(user)),
                "feature": self._features.take(pa.array(feature, mask=gaps[0] < 0.02)),
                "occurred_at": pa.array(moment).cast(pa.timestamp("us")),
                "duration_seconds": pa.array(duration, mask=gaps[1] < 0.03),
            },
            schema=TABLES["usage_events"].arrow_schema,
        )
        arrives = np.full(number, day)
        return self._soil(day, UsageDay(events, arrives), rng) if self._with_dirt else UsageDay(events, arrives)

    def _active_users(self, day: int, rng: np.random.Generator) -> Ints:
        history = self._history
        position = day - history.first_day
        number = int(history.users_on[position])
        account = history.users.account[:number]
        fading_for = day - history.users.fading[:number]
        chance = history.users.propensity[:number] * history.activity[position][account]
        chance = chance * season(day)[history.accounts.region[account]]
        chance = np.where(fading_for > 0, chance * 0.5 ** (np.maximum(fading_for, 0) / _FADE_DAYS), chance)
        chance = np.where(fading_for > _GONE_AFTER_DAYS, 0.0, np.minimum(chance, 0.97))
        return np.flatnonzero(rng.random(number) < chance)

    def _session_starts(self, user: Ints, rng: np.random.Generator) -> Ints:
        region = self._history.accounts.region[self._history.users.account[user]]
        local_hour = rng.normal(12.0, 2.5, len(user)) - UTC_OFFSET_HOURS[region]
        return (local_hour % 24 * 3600).astype(np.int64)

    def _features_used(self, day: int, account: Ints, rng: np.random.Generator) -> Ints:
        """Healthy accounts know more of the product and try what is new; each has a taste of its own."""
        history = self._history
        health = np.clip(history.health[day - history.first_day][account], -2.5, 2.5)
        released = int(np.searchsorted(self._released_on, day, side="right"))
        core, new = len(CORE_FEATURES), released - len(CORE_FEATURES)
        draw = rng.random((3, len(account)))
        known = np.clip(7 + 2.5 * health, 2, core)
        rank = (known * draw[0] ** 1.8).astype(np.int64)
        # The first five features are everybody's; the order of the others differs from account to account.
        feature = np.where(rank < 5, rank, 5 + (rank - 5 + account) % (core - 5))
        if new > 0:
            recent = min(new, _NEWEST)
            tries_new = draw[1] < 0.08 / (1 + np.exp(-1.5 * health))
            feature = np.where(tries_new, released - 1 - (draw[2] * recent).astype(np.int64), feature)
        return feature

    def _soil(self, day: int, clean: UsageDay, rng: np.random.Generator) -> UsageDay:
        """Add late, duplicate, bad and orphaned rows; the clean facts stay as they are."""
        number = len(clean.arrives)
        is_late = rng.random(number) < _LATE_SHARE
        arrives = np.where(is_late, day + rng.integers(1, 4, number), day)
        position = np.arange(number)
        doubled = np.flatnonzero(position % _ONE_DUPLICATE_IN == 100 + day % 97)
        bad = np.flatnonzero(position % _ONE_BAD_IN == 150 + day % 97)
        orphaned = np.flatnonzero(position % _ONE_ORPHAN_IN == 60 + day % 97)
        events = pa.concat_tables(
            [
                clean.events,
                clean.events.take(pa.array(doubled)),
                _spoil(clean.events.take(pa.array(bad))),
                _orphan(clean.events.take(pa.array(orphaned))),
            ]
        )
        # Every second double comes with the next day's delivery.
        redelivered = np.maximum(arrives[doubled], day + np.arange(len(doubled)) % 2)
        return UsageDay(events, np.concatenate([arrives, redelivered, np.full(len(bad) + len(orphaned), day)]))


def numbered(prefix: str, numbers: Ints, width: int) -> pa.StringArray:
    """`prefix` and the number with leading zeros; wider numbers keep all their digits."""
    digits = pc.cast(pa.array(numbers), pa.string())
    return pc.binary_join_element_wise(prefix, pc.utf8_lpad(digits, width, "0"), "")


def _with_suffix(ids: pa.ChunkedArray, suffix: str) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(ids, suffix, "")


def _spoil(events: pa.Table) -> pa.Table:
    """Bad rows under keys of their own: no account, white space around it, a negative duration, no user, in turn."""
    kind = np.arange(events.num_rows) % 4
    accounts = events["account_id"]
    columns = {
        "event_id": _with_suffix(events["event_id"], "-bad"),
        "account_id": pc.if_else(
            pa.array(kind == 0),
            pa.scalar(None, pa.string()),
            pc.if_else(pa.array(kind == 1), pc.binary_join_element_wise(" ", accounts, " ", ""), accounts),
        ),
        "user_id": pc.if_else(pa.array(kind == 3), pa.scalar(None, pa.string()), events["user_id"]),
        "duration_seconds": pc.if_else(pa.array(kind == 2), -60.0, events["duration_seconds"]),
    }
    return _replaced(events, columns)


def _orphan(events: pa.Table) -> pa.Table:
    """Rows of accounts that no customer list knows."""
    sandboxes = pa.array(_SANDBOXES).take(pa.array(np.arange(events.num_rows) % len(_SANDBOXES)))
    return _replaced(events, {"event_id": _with_suffix(events["event_id"], "-int"), "account_id": sandboxes})


def _replaced(events: pa.Table, columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    return pa.table({name: columns.get(name, events[name]) for name in events.column_names}, schema=events.schema)
