"""Who the demo company's customers are: everything about an account that does not change, drawn once.

All randomness of the demo comes from `stream`, keyed by the seed, a name and, where it belongs to a day, that day. So a
longer company begins with exactly the shorter one: no draw depends on the last day that was asked for.
"""

import zlib
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EPOCH = date(1970, 1, 1)
# A day that has not come: open subscriptions, unpaid invoices, terms without an end.
NEVER = 2**31 - 1

SEGMENTS = ("smb", "mid-market", "enterprise")
SMB, MID_MARKET, ENTERPRISE = range(3)
REGIONS = ("AMER", "EMEA", "APAC")
EMEA = 1
# Hours that local time is ahead of UTC.
UTC_OFFSET_HOURS = np.array([-6, 1, 8])
CURRENCIES = ("USD", "EUR", "GBP")
# What the company books its outcomes with, in its reporting currency; invoices keep their own currency.
BOOK_RATES = np.array([1.0, 1.08, 1.26])
INDUSTRIES = (
    "Software", "Logistics", "Healthcare", "Manufacturing", "Financial services",
    "Retail", "Education", "Energy", "Media", "Professional services",
)  # fmt: skip
PLANS = ("trial", "starter", "team", "business", "unlimited", "insights add-on")
TRIAL, STARTER, TEAM, BUSINESS, UNLIMITED, ADD_ON = range(6)

CORE_FEATURES = (
    "dashboard", "search", "projects", "tasks", "comments", "files", "reports", "calendar", "templates", "exports",
    "notifications", "permissions", "integrations", "mobile_app",
)  # fmt: skip
NEW_FEATURES = (
    "time_tracking", "custom_fields", "approvals", "workflows", "gantt_view", "audit_log", "forecasts", "guest_access",
    "ai_summaries", "capacity_planner", "sandbox", "webhooks",
)  # fmt: skip
DAYS_BETWEEN_RELEASES = 43

_FIRST_WORDS = (
    "Alder", "Amber", "Anchor", "Apex", "Aspen", "Atlas", "Birch", "Bluff", "Bright", "Cedar", "Cinder", "Clear",
    "Cobalt", "Copper", "Coral", "Crest", "Dawn", "Delta", "Ember", "Evergreen", "Falcon", "Fern", "Flint", "Glacier",
    "Granite", "Harbor", "Hazel", "Heron", "Indigo", "Iron", "Juniper", "Kestrel", "Lark", "Linden", "Lunar", "Maple",
    "Marble", "Meadow", "Mistral", "North", "Oak", "Onyx", "Opal", "Orchard", "Pine", "Polar", "Quarry", "Raven",
    "River", "Rowan", "Sage", "Silver", "Slate", "Solar", "Stone", "Summit", "Thistle", "Timber", "Umber", "Vale",
    "Willow",
)  # fmt: skip
_SECOND_WORDS = (
    "bank", "beam", "bridge", "brook", "bury", "cliff", "crest", "dale", "field", "ford", "forge", "gate", "grove",
    "haven", "hill", "land", "light", "line", "mark", "mill", "peak", "point", "port", "ridge", "rock", "shore",
    "side", "stead", "view", "ward", "water", "well", "wind", "wood", "worth", "yard", "path",
)  # fmt: skip
_LEGAL_FORMS = (("Inc.", "LLC", "Corp."), ("Ltd", "GmbH", "B.V."), ("Pty Ltd", "K.K.", "Pte Ltd"))
_UNITS = ("Nordics", "Iberia", "West", "East", "Labs", "Services", "Canada", "Digital", "Pacific", "Central")
_GIVEN_NAMES = (
    "Ada", "Ben", "Chloe", "Diego", "Elif", "Femi", "Grace", "Hana", "Ivan", "Julia", "Kofi", "Lena", "Mateo", "Nadia",
    "Omar", "Priya", "Quinn", "Rosa", "Sam", "Tess", "Uma", "Viktor", "Wei", "Yara", "Zoe",
)  # fmt: skip
_FAMILY_NAMES = (
    "Okafor", "Lindqvist", "Moreau", "Tanaka", "Silva", "Novak", "Hughes", "Castillo", "Iyer", "Brandt", "Kowalski",
    "Osei", "Romano", "Petrov", "Walsh", "Nakamura", "Dube", "Fischer", "Ahmed", "Larsen", "Costa", "Reid", "Mbeki",
)  # fmt: skip
# Names that a careless reader would execute: as HTML, as a spreadsheet formula, as a text direction.
HOSTILE_NAMES = {
    13: "<script>alert(1)</script> Ltd",
    29: '=HYPERLINK("http://example.invalid","Open") GmbH',
    41: "Rowan\u202eford, \"Sons\" & Daughters; 'Ltd'",
}
_ACCOUNTS_PER_CSM = 35

# Most customers are small and may leave every month, and about one in twenty does: so half a year of a few hundred
# accounts has enough departures for a validation to say something. Yearly arrivals, as a share of the size, make up for
# those who leave and for trials that do not convert.
ARRIVALS_PER_YEAR = 0.8
MEAN_TENURE_OF_FOUNDERS = 550
# By segment.
_SHARE_WITH_YEARLY_CONTRACT = np.array([0.15, 0.8, 1.0])


def stream(seed: int, name: str, day: int = 0) -> np.random.Generator:
    """The random numbers of one purpose (and day), independent of all others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), day])


def to_day(value: date) -> int:
    """Days since 1970-01-01."""
    return (value - EPOCH).days


def from_day(day: int) -> date:
    return EPOCH + timedelta(days=day)


@dataclass(frozen=True)
class Accounts:
    """What does not change about each account. All arrays have one entry per account, in order of arrival.

    Attributes:
        created: day of creation; the accounts that exist on a day are a prefix.
        founders: how many of them were there when the history began.
        parent: index of the parent account, -1 without one; always an earlier account.
        segment, industry, region, currency: indexes into the names above.
        fit: how well product and customer suit each other; the level that the account's health returns to.
        bias_use, bias_voice, bias_support: how much the account's signals lie, each for itself.
        seats, seat_price: what it buys first (price per month in its currency).
        is_yearly: contracts of a year; the others may leave every month.
        billing_months: months billed at once.
        draws: (accounts, 8) uniform numbers for whatever is decided once per account.
    """

    created: Ints
    founders: int
    parent: Ints
    segment: Ints
    industry: Ints
    region: Ints
    currency: Ints
    fit: Floats
    bias_use: Floats
    bias_voice: Floats
    bias_support: Floats
    seats: Ints
    seat_price: Floats
    plan: Ints
    is_yearly: Bools
    billing_months: Ints
    draws: Floats

    def __len__(self) -> int:
        return len(self.created)


def found_accounts(size: int, seed: int, first_day: int, last_day: int) -> Accounts:
    """Draw the accounts that are there on `first_day` and those that join up to `last_day`.

    Args:
        size: customers that the company has at any one time, about.
    """
    founders = max(1, round(0.96 * size))
    days = np.arange(first_day, last_day + 1)
    arrivals = np.array([stream(seed, "arrivals", int(day)).poisson(size * ARRIVALS_PER_YEAR / 365) for day in days])
    joined = np.repeat(days, arrivals)
    number = founders + len(joined)

    def uniform(name: str) -> Floats:
        # One stream per attribute: each is a prefix of the same attribute in a longer history.
        return stream(seed, name).random(number)

    def normal(name: str) -> Floats:
        return stream(seed, name).standard_normal(number)

    tenure = np.minimum(-MEAN_TENURE_OF_FOUNDERS * np.log1p(-uniform("tenure")[:founders]), 1800).astype(np.int64) + 1
    created = np.concatenate([first_day - np.sort(tenure)[::-1], joined]).astype(np.int64)
    segment = np.searchsorted([0.8, 0.96], uniform("segment"), side="right").astype(np.int64)
    region = np.searchsorted([0.5, 0.83], uniform("region"), side="right").astype(np.int64)
    foreign = np.searchsorted([0.1, 0.7], uniform("currency"), side="right").astype(np.int64)
    is_yearly = uniform("contract") < _SHARE_WITH_YEARLY_CONTRACT[segment]
    seats = np.maximum(
        1, np.rint(np.exp(np.array([2.0, 3.0, 4.0])[segment] + np.array([0.5, 0.45, 0.5])[segment] * normal("seats")))
    ).astype(np.int64)
    plan = np.where(segment == SMB, np.where(uniform("plan") < 0.45, STARTER, TEAM), BUSINESS)
    plan = np.where((segment == ENTERPRISE) & (uniform("unlimited") < 0.12), UNLIMITED, plan).astype(np.int64)
    price = np.array([0.0, 14.0, 26.0, 42.0, 58.0, 0.0])[plan] * np.exp(0.15 * normal("price"))
    billing = np.array([1, 3, 12])[np.searchsorted([0.35, 0.7], uniform("billing") + 0.2 * (segment - 1), side="right")]
    return Accounts(
        created=created,
        founders=founders,
        parent=_parents(segment, uniform("parent"), uniform("family")),
        segment=segment,
        industry=(uniform("industry") * len(INDUSTRIES)).astype(np.int64),
        region=region,
        currency=np.where(region == EMEA, foreign, 0).astype(np.int64),
        fit=0.3 + 0.1 * (segment - 1) + 0.65 * normal("fit"),
        bias_use=0.5 * normal("bias_use"),
        bias_voice=0.5 * normal("bias_voice"),
        bias_support=0.5 * normal("bias_support"),
        seats=seats,
        seat_price=np.round(price, 2),
        plan=plan,
        is_yearly=is_yearly,
        billing_months=np.where(is_yearly, billing, 1).astype(np.int64),
        draws=stream(seed, "draws").random((number, 8)),
    )


def _parents(segment: Ints, has_parent: Floats, which: Floats) -> Ints:
    """One account in eight belongs to an earlier, larger account that has no parent itself."""
    parent = np.full(len(segment), -1, dtype=np.int64)
    heads: list[int] = []
    for index in range(len(segment)):
        if heads and has_parent[index] < 0.125:
            parent[index] = heads[int(which[index] ** 2 * min(len(heads), 1 + index // 40))]
        elif segment[index] != SMB:
            heads.append(index)
    return parent


def account_names(accounts: Accounts, seed: int, with_hostile: bool) -> list[str]:
    """Company names, each used once up to 2,257 accounts; later ones carry a number."""
    combinations = len(_FIRST_WORDS) * len(_SECOND_WORDS)
    names: list[str] = []
    stems: list[str] = []
    children: Counter[int] = Counter()
    for index in range(len(accounts)):
        # 1,009 has no factor in common with the number of combinations, so the walk meets each of them once.
        round_number, step = divmod(index, combinations)
        first, second = divmod((step * 1009 + 37 * seed) % combinations, len(_SECOND_WORDS))
        stem = _FIRST_WORDS[first] + _SECOND_WORDS[second] + (f" {round_number + 1}" if round_number else "")
        forms = _LEGAL_FORMS[accounts.region[index]]
        form = forms[int(accounts.draws[index, 0] * len(forms))]
        parent = int(accounts.parent[index])
        if parent >= 0:
            lap, unit = divmod(children[parent], len(_UNITS))
            children[parent] += 1
            stem = f"{stems[parent]} {_UNITS[unit]}" + (f" {lap + 1}" if lap else "")
        stems.append(stem)
        names.append(HOSTILE_NAMES[index] if with_hostile and index in HOSTILE_NAMES else f"{stem} {form}")
    return names


def csm_names(accounts: Accounts, size: int) -> list[str | None]:
    """Each account's customer-success manager; one account in twenty has none."""
    team = max(3, size // _ACCOUNTS_PER_CSM)
    names: list[str | None] = []
    for draw_who, draw_none in accounts.draws[:, 1:3]:
        person = int(draw_who * team)
        given = _GIVEN_NAMES[person % len(_GIVEN_NAMES)]
        family = _FAMILY_NAMES[(person * 7) % len(_FAMILY_NAMES)]
        names.append(None if draw_none < 0.05 else f"{given} {family}")
    return names


def person_names(numbers: Ints) -> list[str]:
    """A name for each number; they repeat."""
    return [f"{_GIVEN_NAMES[number % len(_GIVEN_NAMES)]} {_FAMILY_NAMES[number % len(_FAMILY_NAMES)]}" for number in numbers]


def feature_releases(first_day: int, last_day: int) -> tuple[list[str], Ints]:
    """The features released up to `last_day` and their days: the core before the history, then one every six weeks."""
    names = list(CORE_FEATURES)
    days = [first_day - 60 * (len(CORE_FEATURES) - position) for position in range(len(CORE_FEATURES))]
    following = range(first_day + 20, last_day + 1, DAYS_BETWEEN_RELEASES)
    for position, day in enumerate(following):
        number, place = divmod(position, len(NEW_FEATURES))
        names.append(NEW_FEATURES[place] + (f"_{number + 1}" if number else ""))
        days.append(day)
    return names, np.array(days, dtype=np.int64)
