"""What happens to the demo company, day by day.

One latent health per account drives everything that can be seen of it: use, tickets, payments, answers, contacts,
goals, growth, and whether it leaves. Each signal adds a lasting bias and daily noise of its own. Leaving is decided by
chance: likelier where health has been low, bills stay unpaid or tickets pile up, and one departure in seven is announced
by nothing. So a good score tells more than chance who leaves, and none can find all. What wears an account down also drives
its champion away, often before the account itself leaves; a happy account loses one rarely, and finds the next sooner.

A day depends on the days before it and on its own random numbers, never on the last day: a longer history begins with
the shorter one. Days are days since 1970-01-01, moments are seconds since then; a fact may be dated after the last day
(an invoice's payment, a ticket's resolution): whoever delivers it hides what has not happened yet.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from orchestration.extract.connectors.demo.company import (
    ADD_ON,
    BOOK_RATES,
    NEVER,
    REGIONS,
    TRIAL,
    UTC_OFFSET_HOURS,
    Accounts,
    Floats,
    Ints,
    found_accounts,
    from_day,
    stream,
)

SECONDS_PER_DAY = 86_400
TRIAL_DAYS = 21
YEAR = 365
OUTCOMES = ("churned", "renewed", "expanded", "contracted")
CHURNED, RENEWED, EXPANDED, CONTRACTED = range(4)
SURVEYS = ("nps", "csat", "ces", "product_rating")
NPS, CSAT, CES, PRODUCT_RATING = range(4)
CHANNELS = ("email", "chat", "call", "meeting", "campaign")
PRIORITIES = ("low", "normal", "high", "critical")
TOPICS = ("question", "bug", "billing", "feature_request", "complaint", "other")
ADVOCACY = ("referral", "review", "case_study", "reference_call", "community")
TIERS = ("healthy", "at_risk", "poor")
ROLES = ("champion", "decision_maker", "billing", "user", "other")
CHAMPION, DECISION_MAKER, BILLING, USER, OTHER = range(5)
# Who is met first, second, ... in an account, and how many are known by segment at the beginning.
_ROLES_MET = np.array([CHAMPION, DECISION_MAKER, BILLING, USER, OTHER, USER])
_CONTACTS_KNOWN = np.array([2, 4, 6])
# A new customer's people are known some days after the contract.
_MET_AFTER_DAYS = 10

Fact = dict[str, NDArray]


@dataclass(frozen=True)
class Users:
    """The users of all accounts, in order of arrival: those who were there on a day are a prefix.

    Attributes:
        account: index of the account.
        fading: day from which the user is seen less and less; NEVER while there is no such day.
        propensity: share of working days with activity, for an account of middling health.
    """

    account: Ints
    fading: Ints
    propensity: Floats


@dataclass(frozen=True)
class History:
    """The company from `first_day` to `last_day`.

    Attributes:
        accounts: see `Accounts`.
        users: see `Users`.
        users_on: (days,) number of users who had arrived by each day.
        activity: (days, accounts) factor on the users' activity, 1 for middling health, 0 without a subscription.
        health: (days, accounts) the latent health, about -2 to 2; for tests, no table shows it.
        facts: raw table -> column -> values, in order of occurrence.
    """

    seed: int
    first_day: int
    last_day: int
    accounts: Accounts
    users: Users
    users_on: Ints
    activity: NDArray[np.float32]
    health: NDArray[np.float32]
    facts: dict[str, Fact]


def simulate(size: int, seed: int, first_day: int, last_day: int) -> History:
    """Let the company live from `first_day` to `last_day`, both included.

    Args:
        size: customers at any one time, about.
    """
    company = _Company(size, seed, first_day, last_day)
    for day in range(first_day, last_day + 1):
        company.live_through(day)
    return company.history()


def season(day: int) -> Floats:
    """Activity of people at work, per region; an ordinary working day is about 1."""
    today = from_day(day)
    factor = np.full(len(REGIONS), (0.98, 1.06, 1.05, 1.02, 0.89, 0.12, 0.10)[today.weekday()])
    if today >= date(today.year, 12, 22) or today <= date(today.year, 1, 2):
        factor *= 0.45
    if today.month == 8:
        factor *= np.array([0.93, 0.75, 0.95])
    return factor


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


class _Company:
    """The state of the company on one day; `live_through` moves it on by a day."""

    def __init__(self, size: int, seed: int, first_day: int, last_day: int) -> None:
        self.accounts = found_accounts(size, seed, first_day, last_day)
        self.seed, self.first_day, self.last_day = seed, first_day, last_day
        number, days = len(self.accounts), max(0, last_day - first_day + 1)
        self.chunks: dict[str, list[Fact]] = defaultdict(list)
        self.counts: dict[str, int] = defaultdict(int)

        self.fit = self.accounts.fit.copy()
        self.health = self.fit + 0.4 * stream(seed, "first_health").standard_normal(number)
        self.level = self.health.copy()
        self.mood = np.zeros(number)
        self.trouble = np.zeros(number)
        self.distressed_since = np.full(number, NEVER)

        self.is_live = np.zeros(number, dtype=bool)
        self.is_trial = np.zeros(number, dtype=bool)
        self.seats = self.accounts.seats.copy()
        self.price = self.accounts.seat_price.copy()
        self.add_on_mrr = np.zeros(number)
        self.decides_on = np.full(number, NEVER)
        self.bills_on = np.full(number, NEVER)
        self.row = np.full(number, -1)
        self.row_started = np.full(number, NEVER)
        self.add_on_row = np.full(number, -1)
        self.ended: list[tuple[Ints, int]] = []

        self.unpaid = np.empty(0, dtype=np.int64)
        self.unpaid_account = np.empty(0, dtype=np.int64)
        self.planned_payment = np.empty(0, dtype=np.int64)
        self.paid: list[tuple[Ints, int]] = []

        self.user_account = np.empty(0, dtype=np.int64)
        self.user_fading = np.empty(0, dtype=np.int64)
        self.user_propensity = np.empty(0)
        self.crowd = np.zeros(number)

        self.contact_account = np.empty(0, dtype=np.int64)
        self.contact_role = np.empty(0, dtype=np.int64)
        self.contact_is_there = np.empty(0, dtype=bool)
        self.gone: list[tuple[Ints, int]] = []

        self.users_on = np.zeros(days, dtype=np.int64)
        self.activity = np.zeros((days, number), dtype=np.float32)
        self.health_record = np.zeros((days, number), dtype=np.float32)

    # --- one day ---------------------------------------------------------------------------------------------------

    def live_through(self, day: int) -> None:
        self.day = day
        self.rng = stream(self.seed, "day", day)
        # Of its own, so that the people change nothing else.
        self.people = stream(self.seed, "contacts", day)
        self.pace = season(day)
        self._arrive()
        live = np.flatnonzero(self.is_live)
        self._drift(live)
        self._run_into_distress(live)
        self._decide(live)
        live = np.flatnonzero(self.is_live)
        self._change_size(live)
        self._bill(live)
        self._pay()
        self._come_and_go(live)
        self._open_tickets(live)
        self._meet_people(live)
        self._keep_in_touch(live)
        self._measure_goals(live)
        self._speak_up(live)
        position = day - self.first_day
        self.users_on[position] = len(self.user_account)
        use = 0.75 * self.health[live] + self.mood[live] + self.accounts.bias_use[live]
        self.activity[position, live] = 2 * _sigmoid(1.1 * use)
        self.health_record[position] = self.health

    def history(self) -> History:
        facts = {
            table: {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]} for table, chunks in self.chunks.items()
        }
        ends = (("subscriptions", "ended_on", self.ended), ("invoices", "paid_on", self.paid), ("contacts", "left_on", self.gone))
        for table, column, settled in ends:
            if table in facts:
                facts[table][column] = np.full(self.counts[table], NEVER)
                for rows, day in settled:
                    facts[table][column][rows] = day
        users = Users(self.user_account, self.user_fading, self.user_propensity)
        return History(
            self.seed, self.first_day, self.last_day, self.accounts, users, self.users_on, self.activity,
            self.health_record, facts,
        )  # fmt: skip

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _record(self, table: str, account: Ints, **columns: NDArray | int | float | bool) -> Ints:
        """Note facts of today, one per entry of `account`; returns their numbers in the table."""
        numbers = np.arange(self.counts[table], self.counts[table] + len(account))
        if len(account):
            fact = {name: np.broadcast_to(np.asarray(value), account.shape) for name, value in columns.items()}
            self.chunks[table].append({"number": numbers, "account": account, **fact})
            self.counts[table] += len(account)
        return numbers

    def _moments(self, account: Ints) -> Ints:
        """A moment of today in each account's office hours; local hours beyond the UTC day wrap within it."""
        local_hour = self.rng.normal(13, 2.6, len(account)) - UTC_OFFSET_HOURS[self.accounts.region[account]]
        return self.day * SECONDS_PER_DAY + (local_hour % 24 * 3600).astype(np.int64)

    def _chosen(self, live: Ints, yearly_rate: NDArray | float, *, in_office: bool = False) -> Ints:
        """Accounts to which something happens today that happens so often a year, more than once a day never."""
        rate = np.broadcast_to(yearly_rate, live.shape) / YEAR
        if in_office:
            rate = rate * 1.35 * self.pace[self.accounts.region[live]]
        return live[self.rng.random(len(live)) < rate]

    def _mrr(self, account: Ints) -> Floats:
        return np.round(self.seats[account] * self.price[account], 2) + self.add_on_mrr[account]

    def _booked(self, account: Ints, monthly: Floats) -> Floats:
        """A monthly amount in the account's currency as yearly revenue in the company's."""
        return np.round(12 * monthly * BOOK_RATES[self.accounts.currency[account]], 2)

    # --- contracts -------------------------------------------------------------------------------------------------

    def _open_subscription(self, account: Ints, *, started: NDArray | int | None = None) -> None:
        """Begin the next row of the main subscription as it is now."""
        on_trial = self.is_trial[account]
        self.row_started[account] = self.day if started is None else started
        self.row[account] = self._record(
            "subscriptions",
            account,
            is_add_on=False,
            plan=np.where(on_trial, TRIAL, self.accounts.plan[account]),
            seats=self.seats[account],
            mrr=np.where(on_trial, 0.0, np.round(self.seats[account] * self.price[account], 2)),
            started_on=self.row_started[account],
            term_ends_on=np.where(self.accounts.is_yearly[account] & ~on_trial, self.decides_on[account] - 1, NEVER),
            is_trial=on_trial,
        )

    def _end_subscription(self, account: Ints, *, with_add_on: bool = False) -> None:
        self.ended.append((self.row[account], self.day))
        if with_add_on:
            add_ons = self.add_on_row[account]
            self.ended.append((add_ons[add_ons >= 0], self.day))

    def _arrive(self) -> None:
        accounts = self.accounts
        if self.day == self.first_day:
            founders = np.arange(accounts.founders)
            self.is_live[founders] = True
            # Founders are somewhere in their contract year and their billing period.
            tenure = self.day - accounts.created[founders]
            into_year = np.where(accounts.is_yearly[founders], tenure % YEAR, np.minimum(tenure, YEAR))
            period = np.where(accounts.is_yearly[founders], YEAR - tenure % YEAR, 30 - tenure % 30)
            self.decides_on[founders] = self.day + period
            self.bills_on[founders] = self.day + (accounts.draws[founders, 3] * 30 * accounts.billing_months[founders]).astype(np.int64)
            self._open_subscription(founders, started=self.day - into_year)
            self._join(founders, self._wanted_users(founders).astype(np.int64))
            self.level[founders] = self.health[founders]
        new = np.flatnonzero(accounts.created == self.day)
        self.is_live[new] = True
        self.is_trial[new] = accounts.draws[new, 4] < np.array([0.85, 0.5, 0.15])[accounts.segment[new]]
        self._start_term(new)
        self._open_subscription(new)

    def _start_term(self, account: Ints) -> None:
        yearly = np.where(self.accounts.is_yearly[account], YEAR, 30)
        self.decides_on[account] = self.day + np.where(self.is_trial[account], TRIAL_DAYS, yearly)
        self.bills_on[account] = np.where(self.is_trial[account], NEVER, self.day)

    def _decide(self, live: Ints) -> None:
        """Trials end, contracts come up, and who has not paid for long is cut off."""
        due = live[self.decides_on[live] == self.day]
        self._end_trials(due[self.is_trial[due]])
        due = due[(self.decides_on[due] == self.day) & ~self.is_trial[due] & self.is_live[due]]
        level = self.level[due]
        in_distress = self.distressed_since[due] < self.day
        yearly = self.accounts.is_yearly[due]
        odds = np.where(yearly, -1.8, -3.2) - 2.4 * level + 1.2 * in_distress + 0.4 * self.trouble[due]
        draws = self.rng.random((2, len(due)))
        # Sold, closed down, a new boss with another tool: what no table announces.
        leaves = (draws[0] < _sigmoid(odds)) | (draws[1] < np.where(yearly, 0.05, 0.012))
        self._leave(due[leaves])
        stays = due[~leaves]
        self._renew(stays[self.accounts.is_yearly[stays]])
        monthly = stays[~self.accounts.is_yearly[stays]]
        self.decides_on[monthly] = self.day + 30

        since = self.distressed_since[live]
        cut_off = live[(since < self.day - 75) & (self.rng.random(len(live)) < 1 / 40)]
        # A row that begins today cannot end today.
        is_running = self.is_live[cut_off] & ~self.is_trial[cut_off] & (self.row_started[cut_off] < self.day)
        self._leave(cut_off[is_running])

    def _end_trials(self, account: Ints) -> None:
        converts = self.rng.random(len(account)) < _sigmoid(1.0 + 0.9 * self.level[account])
        self._end_subscription(account)
        lost, won = account[~converts], account[converts]
        # A lost trial never was a customer: no outcome is booked.
        self.is_live[lost] = False
        self.is_trial[won] = False
        self._start_term(won)
        self._open_subscription(won)

    def _leave(self, account: Ints) -> None:
        self._end_subscription(account, with_add_on=True)
        self._book(account, CHURNED, -self._mrr(account))
        self.is_live[account] = False
        self.bills_on[account] = NEVER

    def _renew(self, account: Ints) -> None:
        before = self._mrr(account)
        self._end_subscription(account)
        self.price[account] = np.round(self.price[account] * self.rng.choice([1.0, 1.03, 1.05], len(account)), 2)
        self.decides_on[account] = self.day + YEAR
        self._open_subscription(account)
        self._book(account, RENEWED, self._mrr(account) - before)

    def _change_size(self, live: Ints) -> None:
        """More seats, an add-on, or fewer seats, between the renewals."""
        settled = live[~self.is_trial[live] & (self.row_started[live] < self.day)]
        level = self.level[settled]
        grows = self._chosen(settled, 0.32 * np.exp(0.6 * level))
        shrinks = np.setdiff1d(self._chosen(settled, 0.08 * np.exp(-0.9 * level)), grows)
        shrinks = shrinks[self.seats[shrinks] >= 4]
        buys_add_on = (self.rng.random(len(grows)) < 0.2) & (self.add_on_row[grows] < 0)
        self._add_on(grows[buys_add_on])
        self._resize(grows[~buys_add_on], EXPANDED, self.rng.uniform(1.1, 1.4, int((~buys_add_on).sum())))
        self._resize(shrinks, CONTRACTED, self.rng.uniform(0.6, 0.85, len(shrinks)))

    def _resize(self, account: Ints, kind: int, factor: Floats) -> None:
        before = self._mrr(account)
        step = np.maximum(1, np.rint(np.abs(factor - 1) * self.seats[account])).astype(np.int64)
        self._end_subscription(account)
        self.seats[account] += step if kind == EXPANDED else -step
        self._open_subscription(account)
        self._book(account, kind, self._mrr(account) - before)

    def _add_on(self, account: Ints) -> None:
        before = self._mrr(account)
        self.add_on_mrr[account] = np.round(0.18 * before, 2)
        self.add_on_row[account] = self._record(
            "subscriptions",
            account,
            is_add_on=True,
            plan=ADD_ON,
            seats=0,
            mrr=self.add_on_mrr[account],
            started_on=self.day,
            term_ends_on=NEVER,
            is_trial=False,
        )
        self._book(account, EXPANDED, self._mrr(account) - before)

    def _book(self, account: Ints, kind: int, monthly: Floats) -> None:
        self._record("account_outcomes", account, occurred_on=self.day, kind=kind, arr_delta=self._booked(account, monthly))

    # --- money -----------------------------------------------------------------------------------------------------

    def _bill(self, live: Ints) -> None:
        account = live[(self.bills_on[live] == self.day) & (self._mrr(live) > 0)]
        number = len(account)
        months = self.accounts.billing_months[account]
        self.bills_on[account] += np.where(months == 12, YEAR, 30 * months)
        due_on = self.day + np.array([14, 30, 45])[self.accounts.segment[account]]
        delay = np.rint(self.rng.normal(-7, 4, number))
        is_careless = self.rng.random(number) < 0.05 * np.exp(-0.6 * self.health[account])
        delay += is_careless * (5 + np.rint(self.rng.exponential(12, number)))
        is_voided = self.rng.random(number) < 0.012
        voided_on = np.where(is_voided, self.day + self.rng.integers(1, 13, number), NEVER)
        numbers = self._record(
            "invoices",
            account,
            issued_on=self.day,
            due_on=due_on,
            amount=np.round(self._mrr(account) * months, 2),
            voided_on=voided_on,
        )
        self.unpaid = np.concatenate([self.unpaid, numbers[~is_voided]])
        self.unpaid_account = np.concatenate([self.unpaid_account, account[~is_voided]])
        planned = np.maximum(self.day + 1, due_on + delay.astype(np.int64))
        self.planned_payment = np.concatenate([self.planned_payment, planned[~is_voided]])

    def _pay(self) -> None:
        """Who is in distress pays nothing until it is over; who leaves in distress never pays."""
        is_settled = (self.planned_payment <= self.day) & (self.distressed_since[self.unpaid_account] > self.day)
        self.paid.append((self.unpaid[is_settled], self.day))
        self.unpaid = self.unpaid[~is_settled]
        self.unpaid_account = self.unpaid_account[~is_settled]
        self.planned_payment = self.planned_payment[~is_settled]

    # --- health ----------------------------------------------------------------------------------------------------

    def _drift(self, live: Ints) -> None:
        """Health returns to the account's fit, wanders, and is set back or lifted now and then, in part for good."""
        number = len(live)
        self.health[live] += (self.fit[live] - self.health[live]) / 70 + 0.095 * self.rng.standard_normal(number)
        setback = self._chosen(live, 0.8)
        self.health[setback] -= 0.8 + self.rng.exponential(0.7, len(setback))
        self.fit[setback] -= 0.3
        lift = self._chosen(live, 0.35)
        self.health[lift] += 0.9
        self.fit[lift] += 0.3
        self.level[live] += (self.health[live] - self.level[live]) / 30
        self.mood[live] += -self.mood[live] / 45 + 0.09 * self.rng.standard_normal(number)
        self.trouble[live] *= 0.93

    def _run_into_distress(self, live: Ints) -> None:
        """Financial distress: rare, likelier where health is low, and it may end."""
        since = self.distressed_since[live]
        recovers = live[(since < self.day) & (self.rng.random(len(live)) < 1 / 80)]
        starts = self._chosen(live, 0.25 * np.exp(-0.7 * self.health[live]))
        self.distressed_since[recovers] = NEVER
        self.distressed_since[starts] = np.minimum(self.distressed_since[starts], self.day)

    # --- users -----------------------------------------------------------------------------------------------------

    def _wanted_users(self, account: Ints) -> Floats:
        appetite = 0.55 + 0.2 * (self.health[account] + 0.5 * self.accounts.bias_use[account])
        return np.rint(self.seats[account] * np.clip(appetite, 0.1, 1.05))

    def _join(self, account: Ints, counts: Ints) -> None:
        joining = np.repeat(account, counts)
        self.user_account = np.concatenate([self.user_account, joining])
        self.user_fading = np.concatenate([self.user_fading, np.full(len(joining), NEVER)])
        propensity = 0.03 + 0.9 * self.rng.beta(1.6, 2.2, len(joining))
        self.user_propensity = np.concatenate([self.user_propensity, propensity])

    def _come_and_go(self, live: Ints) -> None:
        """Users join up to what the account needs, fade, and answer surveys: at most one of the latter a day."""
        account = self.user_account
        is_there = self.is_live[account] & (self.user_fading > self.day)
        self.crowd = np.bincount(account[is_there], minlength=len(self.is_live)).astype(np.float64)
        draw = self.rng.random(len(account))
        leaving_rate = 0.0011 * np.exp(-0.5 * self.health) + 0.006 * (self.crowd > 1.15 * self.seats)
        self.user_fading[is_there & (draw < leaving_rate[account])] = self.day + 1
        pace = self.pace[self.accounts.region[account]]
        self._answer(NPS, np.flatnonzero(is_there & (draw > 1 - pace * 1.2 / YEAR)))
        is_rating = (draw < 0.8) & (draw > 0.8 - pace * 0.5 / YEAR)
        self._answer(PRODUCT_RATING, np.flatnonzero(is_there & is_rating))

        tenure = self.day - self.accounts.created[live]
        gap = np.maximum(self._wanted_users(live) - self.crowd[live], 0)
        pace = 1.3 * self.pace[self.accounts.region[live]]
        self._join(live, self.rng.poisson(gap * np.where(tenure < 45, 0.12, 0.02) * pace))

    def _answer(self, survey: int, user: Ints) -> None:
        account = self.user_account[user]
        noise = self.rng.standard_normal(len(user))
        voice = self.health[account] + self.accounts.bias_voice[account]
        scores = {NPS: np.clip(np.rint(7.6 + 1.5 * voice + 1.6 * noise), 0, 10)}
        scores[PRODUCT_RATING] = np.clip(np.rint(3.7 + 0.6 * voice + 0.7 * noise), 1, 5)
        self._record(
            "survey_responses",
            account,
            user=user,
            survey=survey,
            score=scores[survey],
            responded_at=self._moments(account),
        )

    # --- people ----------------------------------------------------------------------------------------------------

    def _meet_people(self, live: Ints) -> None:
        """Champions and decision makers leave, likelier where health has been low for long, and others take their place."""
        if self.day == self.first_day:
            new = np.arange(self.accounts.founders)
            joined_on = self.accounts.created[new]
        else:
            new = live[self.accounts.created[live] + _MET_AFTER_DAYS == self.day]
            joined_on = np.full(len(new), self.day)
        known = _CONTACTS_KNOWN[self.accounts.segment[new]]
        place = np.concatenate([np.arange(0), *(np.arange(number) for number in known)]).astype(np.int64)
        self._meet(np.repeat(new, known), _ROLES_MET[place], np.repeat(joined_on, known))

        level = self.level[self.contact_account]
        is_key = self.contact_is_there & (self.contact_role <= DECISION_MAKER) & self.is_live[self.contact_account]
        yearly = np.where(self.contact_role == CHAMPION, 0.22, 0.1) * np.exp(-1.9 * np.clip(level, -2.0, 1.0))
        goes = np.flatnonzero(is_key & (self.people.random(len(level)) < yearly / YEAR))
        self.contact_is_there[goes] = False
        self.gone.append((goes, self.day))
        for role in (CHAMPION, DECISION_MAKER):
            is_there = self.contact_is_there & (self.contact_role == role)
            had = np.bincount(self.contact_account[self.contact_role == role], minlength=len(self.is_live))
            has = np.bincount(self.contact_account[is_there], minlength=len(self.is_live))
            without = live[(had[live] > 0) & (has[live] == 0)]
            finds = without[self.people.random(len(without)) < 1 / 90 * np.exp(np.clip(self.health[without], -2, 1))]
            self._meet(finds, np.full(len(finds), role), np.full(len(finds), self.day))

    def _meet(self, account: Ints, role: Ints, joined_on: Ints) -> None:
        """Note people; most of them are users of the product."""
        is_wanted = np.zeros(len(self.is_live), dtype=bool)
        is_wanted[account] = True
        users = np.flatnonzero(is_wanted[self.user_account])
        users = users[np.argsort(self.user_account[users], kind="stable")]
        number = np.bincount(self.user_account[users], minlength=len(self.is_live))
        place = (self.people.random(len(account)) * number[account]).astype(np.int64)
        is_user = (self.people.random(len(account)) < 0.75) & (number[account] > 0)
        position = np.where(is_user, (np.cumsum(number) - number)[account] + place, 0)
        user = np.where(is_user, users[position], -1) if len(users) else np.full(len(account), -1)
        self._record("contacts", account, user=user, role=role, joined_on=joined_on)
        self.contact_account = np.concatenate([self.contact_account, account])
        self.contact_role = np.concatenate([self.contact_role, role])
        self.contact_is_there = np.concatenate([self.contact_is_there, np.ones(len(account), dtype=bool)])

    def _talks_to(self, account: Ints) -> Ints:
        """With whom of an account the team is in touch, the champion most often; -1 where nobody noted it, or nobody is known."""
        known = np.flatnonzero(self.contact_is_there)
        known = known[np.lexsort((known, self.contact_role[known], self.contact_account[known]))]
        number = np.bincount(self.contact_account[known], minlength=len(self.is_live))
        draw = self.people.random((2, len(account)))
        place = (draw[0] ** 2 * number[account]).astype(np.int64)
        is_noted = (draw[1] < 0.85) & (number[account] > 0)
        position = np.where(is_noted, (np.cumsum(number) - number)[account] + place, 0)
        return np.where(is_noted, known[position], -1) if len(known) else np.full(len(account), -1)

    # --- support ---------------------------------------------------------------------------------------------------

    def _open_tickets(self, live: Ints) -> None:
        """Engaged accounts ask; accounts in trouble report bugs and complain, and one such ticket brings the next."""
        size = np.sqrt(1 + self.crowd[live])
        work = 1.35 * self.pace[self.accounts.region[live]]
        comfort = self.health[live] + self.accounts.bias_support[live]
        has_incident = self.rng.random() < 3 / YEAR
        asks = 0.008 * size * _sigmoid(0.5 + self.health[live])
        fails = 0.005 * size * np.exp(-0.9 * np.clip(comfort, -2.5, 2.5)) * (6 if has_incident else 1)
        asking = np.repeat(live, self.rng.poisson(asks * work))
        failing = np.repeat(live, self.rng.poisson((fails + 0.02 * self.trouble[live]) * work))
        np.add.at(self.trouble, failing, 1.0)
        account = np.concatenate([asking, failing])
        is_trouble = np.arange(len(account)) >= len(asking)

        choice = self.rng.random(len(account))
        topic = np.where(
            is_trouble,
            np.array([1, 2, 4, 5])[np.searchsorted([0.5, 0.7, 0.9], choice, side="right")],
            np.array([0, 3, 5])[np.searchsorted([0.55, 0.85], choice, side="right")],
        )
        choice = self.rng.random(len(account))
        priority = np.where(
            is_trouble,
            np.searchsorted([0.05, 0.52, 0.91], choice, side="right"),
            np.searchsorted([0.35, 0.9], choice, side="right"),
        )
        opened_at = self._moments(account)
        reply_hours = np.array([12.0, 7.0, 3.0, 1.0])[priority] * self.rng.lognormal(0, 0.8, len(account))
        work_hours = np.array([40.0, 28.0, 20.0, 9.0])[priority] * self.rng.lognormal(0, 1.1, len(account))
        fate = self.rng.random((2, len(account)))
        is_answered, is_solved = fate[0] > 0.02, fate[0] > 0.05
        first_replied_at = opened_at + (reply_hours * 3600).astype(np.int64)
        resolved_at = first_replied_at + (work_hours * 3600).astype(np.int64)
        urgency = 0.08 * (1 + priority) * np.exp(-0.4 * self.health[account])
        escalated_at = np.minimum(opened_at + self.rng.integers(4, 72, len(account)) * 3600, resolved_at)
        never = NEVER * SECONDS_PER_DAY
        self._record(
            "tickets",
            account,
            opened_at=opened_at,
            first_replied_at=np.where(is_answered, first_replied_at, never),
            resolved_at=np.where(is_solved, resolved_at, never),
            priority=priority,
            topic=topic,
            escalated_at=np.where(is_trouble & (fate[1] < urgency), escalated_at, never),
        )
        self._rate_support(account[is_solved], resolved_at[is_solved])

    def _rate_support(self, account: Ints, resolved_at: Ints) -> None:
        number = len(account)
        draw = self.rng.random(number)
        noise = self.rng.standard_normal(number)
        voice = 0.8 * self.health[account] + self.accounts.bias_voice[account]
        moment = resolved_at + self.rng.integers(600, 2 * SECONDS_PER_DAY, number)
        for survey, answers, middle, step, best in ((CSAT, draw < 0.35, 4.1, 0.55, 5), (CES, draw > 0.88, 5.2, 0.8, 7)):
            score = np.clip(np.rint(middle + step * voice[answers] + 0.8 * noise[answers]), 1, best)
            # Support surveys are answered from a mail, without a user.
            self._record(
                "survey_responses",
                account[answers],
                user=-1,
                survey=survey,
                score=score,
                responded_at=moment[answers],
            )

    # --- voice and outcomes ----------------------------------------------------------------------------------------

    def _keep_in_touch(self, live: Ints) -> None:
        segment = self.accounts.segment[live]
        work = 1.35 * self.pace[self.accounts.region[live]]
        rates = (
            np.array([0.7, 2.2, 4.5])[segment] / 30,
            np.full(len(live), 0.8 / 30),
            np.array([0.25, 0.8, 1.6])[segment] / 30 * np.exp(0.25 * np.clip(self.health[live], -2, 2)),
        )
        personal, campaign, inbound = (np.repeat(live, self.rng.poisson(rate * work)) for rate in rates)
        account = np.concatenate([personal, campaign, inbound])
        number = len(account)
        is_campaign = (np.arange(number) >= len(personal)) & (np.arange(number) < len(personal) + len(campaign))
        is_inbound = np.arange(number) >= len(personal) + len(campaign)
        choice = self.rng.random(number)
        channel = np.where(
            is_inbound,
            np.searchsorted([0.5, 0.85], choice, side="right"),
            np.array([0, 2, 3])[np.searchsorted([0.55, 0.75], choice, side="right")],
        )
        channel = np.where(is_campaign, CHANNELS.index("campaign"), channel)
        voice = self.health[account] + self.accounts.bias_voice[account]
        is_answered = self.rng.random(number) < _sigmoid(0.3 + 0.8 * voice - 2.4 * is_campaign)
        is_contact = is_inbound | is_answered
        minutes = np.array([0, 10, 25, 45, 0])[channel] * self.rng.uniform(0.5, 1.5, number)
        feeling = np.clip(0.22 + 0.25 * voice + 0.3 * self.rng.standard_normal(number), -1, 1)
        is_felt = is_contact & ~is_campaign & (self.rng.random(number) < 0.8)
        self._record(
            "touchpoints",
            account,
            occurred_at=self._moments(account),
            channel=channel,
            is_inbound=is_inbound,
            responded=is_answered,
            duration_minutes=np.where(is_contact & (minutes > 0), np.rint(minutes), np.nan),
            sentiment=np.where(is_felt, np.round(feeling, 2), np.nan),
            contact=self._talks_to(account),
        )

    def _measure_goals(self, live: Ints) -> None:
        draws = self.accounts.draws[live]
        has_goals = draws[:, 5] < np.array([0.3, 0.75, 0.85])[self.accounts.segment[live]]
        is_due = (self.day - self.accounts.created[live]) % 30 == 7
        first = live[has_goals & is_due & ~self.is_trial[live]]
        second = first[self.accounts.draws[first, 6] < 0.35]
        account = np.concatenate([first, second])
        is_second = np.arange(len(account)) >= len(first)
        target = np.rint(50 + 900 * self.accounts.draws[account, 7]) * np.where(is_second, 2, 1)
        noise = self.rng.standard_normal((2, len(account)))
        reached = np.clip(0.82 + 0.25 * self.health[account] + 0.15 * noise[0], 0, 1.9)
        monthly = self._booked(account, self._mrr(account)) / 12
        value = monthly * np.maximum(1.6 + 0.9 * self.health[account], 0.05) * np.exp(0.3 * noise[1])
        is_unknown = is_second | (self.rng.random(len(account)) < 0.15)
        self._record(
            "account_goals",
            account,
            is_second=is_second,
            measured_on=self.day,
            target_value=target,
            actual_value=np.round(target * reached, 1),
            value_delivered=np.where(is_unknown, np.nan, np.round(value, 2)),
        )

    def _speak_up(self, live: Ints) -> None:
        """Advocacy by the customer; pulses and overrides by its customer-success manager."""
        health = self.health
        voice = health + 0.5 * self.accounts.bias_voice
        fans = self._chosen(live, 0.3 * np.exp(0.9 * np.clip(health[live], -3, 2)), in_office=True)
        self._record(
            "advocacy_events",
            fans,
            occurred_at=self._moments(fans),
            kind=self.rng.choice(len(ADVOCACY), len(fans), p=[0.3, 0.3, 0.08, 0.12, 0.2]),
        )
        rated = self._chosen(live, np.array([1.5, 6.0, 11.0])[self.accounts.segment[live]], in_office=True)
        rating = np.clip(np.rint(3.35 + 0.75 * voice[rated] + 0.6 * self.rng.standard_normal(len(rated))), 1, 5)
        self._record("csm_pulses", rated, rated_at=self._moments(rated), rating=rating)
        overridden = self._chosen(live, 0.06, in_office=True)
        judged = voice[overridden] + 0.6 * self.rng.standard_normal(len(overridden))
        self._record(
            "score_overrides",
            overridden,
            tier=np.searchsorted([-0.8, 0.3], -judged),
            starts_on=self.day,
            expires_on=self.day + self.rng.integers(30, 91, len(overridden)),
        )
