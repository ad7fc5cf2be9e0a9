"""The alert rules applied to a published mart: what began lately that a rule looks for."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from orchestration.alert_rules import AlertRule
from orchestration.publish.alerts.mart import CHAMPIONS_LEFT, AccountDay, Freshness, PublishedMart, points_text
from orchestration.publish.tiers import TIER_LABELS
from orchestration.settings import Settings


@dataclass(frozen=True)
class Alert:
    """Something a rule looks for, from its beginning until it ends.

    Attributes:
        subject: what it is about, apart from the rule; with `since` it makes one alert of a rule.
        as_of_date: the newest day of the mart in which it was found.
        since: the day on which it began.
        known_since: an alert of the same rule and subject that was given on this day or later was this one.
        text: what happened, in one sentence.
        reason: what mainly made it so; None where nothing more is known.
        account: the account's row; None for sources and metrics.
        covers: what other rules would tell of the same thing, which is then known.
    """

    rule: AlertRule
    subject: str
    as_of_date: date
    since: date
    known_since: date
    text: str
    reason: str | None = None
    account: AccountDay | None = None
    raw_table: str | None = None
    metric_key: str | None = None
    covers: "tuple[Alert, ...]" = ()

    @property
    def key(self) -> str:
        """Names the alert for good, whatever the length of the account's id."""
        parts = (self.rule.key, self.subject, self.since.isoformat())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def find_alerts(mart: PublishedMart, settings: Settings, first_days: Mapping[AlertRule, date]) -> list[Alert]:
    """What began on or after each rule's first day and holds on the newest day, in the order of the rules.

    Args:
        mart: with at least one scored day.
        settings: `pipeline.lookback_days` is how far a restatement can move a beginning.
        first_days: the rules, and from which day on each looks.
    """
    day = mart.newest_day()
    if day is None:
        return []
    search = _Search(mart, day, timedelta(days=settings.pipeline.lookback_days), mart.accounts())
    return [alert for rule, first in first_days.items() for alert in search.by_kind[rule.kind](rule, first)]


def find_alerts_of_today(mart: PublishedMart, rules: Collection[AlertRule]) -> list[Alert]:
    """What the provisional state of the running day has that the newest finished day had not, in the order of the rules.

    Args:
        rules: all of them; those of the kind `today` are applied, the others say what the daily run would tell again.
    """
    alerts: list[Alert] = []
    if not mart.has_today():
        return alerts
    accounts = {account.account_id: account for account in mart.accounts()}
    for rule in rules:
        if rule.kind != "today":
            continue
        metric = rule.metric_key
        if metric is None:
            assert rule.points is not None
            found = mart.falls_today(rule.points)
        else:
            found = mart.rises_today(metric)
        told_again = [other for other in rules if _tells_again(other, rule)]
        for rise in found:
            account = accounts[rise.account_id]
            if not _is_looked_at(rule, account):
                continue
            so_far = f"today so far ({rise.read_until:%H:%M} UTC)"
            # One that was given since the newest finished day: the daily run that finishes that day may not have come yet.
            known = rise.finished_on + timedelta(days=1)
            subject = f"account\0{rise.account_id}"
            if metric is None:
                text = f"Score {rise.now:.1f} {so_far}, {points_text(rise.now - rise.before)} since {rise.finished_on}"
            else:
                text = f"{mart.label_of(metric)}: {rise.before:.3g} \N{RIGHTWARDS ARROW} {rise.now:.3g} {so_far}"
            alert = Alert(rule, subject, rise.day, rise.day, known, text, account=account, metric_key=metric)
            covers = tuple(replace(alert, rule=other) for other in told_again)
            if metric is not None:
                # Another ticket on top is another alert.
                alert = replace(alert, subject=f"{subject}\0{rise.now:.9g}")
            alerts.append(replace(alert, covers=covers))
    return alerts


def _tells_again(daily: AlertRule, today: AlertRule) -> bool:
    """Whether what a rule of the kind `today` told is what the daily run would tell by the other rule, to nobody else."""
    if today.channel not in (None, daily.channel):
        return False
    if daily.kind == "score_fell":
        return today.points is not None and daily.points is not None and daily.points <= today.points
    return daily.kind == "champion_left" and today.metric_key == CHAMPIONS_LEFT


def _is_looked_at(rule: AlertRule, account: AccountDay) -> bool:
    in_segment = rule.segment is None or account.segment == rule.segment
    return in_segment and (rule.min_arr is None or (account.arr is not None and account.arr >= rule.min_arr))


class _Search:
    """One search through a mart; each method finds the alerts of one rule."""

    def __init__(self, mart: PublishedMart, day: date, lookback: timedelta, accounts: list[AccountDay]) -> None:
        self._mart, self._day, self._lookback, self._accounts = mart, day, lookback, accounts
        self.by_kind = {
            "tier_worsened": self._tier_worsened,
            "score_fell": self._score_fell,
            "renewal_near": self._renewal_near,
            "champion_left": self._champion_left,
            "source_late": self._source_late,
            "drift_seen": self._drift_seen,
        }

    def _looked_at(self, rule: AlertRule) -> Iterator[AccountDay]:
        return (account for account in self._accounts if _is_looked_at(rule, account))

    def _tier_worsened(self, rule: AlertRule, first: date) -> list[Alert]:
        known_tiers = self._mart.tiers_before(first)
        found = []
        for account in self._looked_at(rule):
            # Days without enough data say nothing: healthy, unknown, at_risk is a worsening; poor, unknown, poor is not.
            before = account.previous_tier if account.tier == "unknown" else known_tiers.get(account.account_id)
            if account.tier_since >= first and before is not None and rule.worsened(before, account.tier):
                found.append((account, before))
        changes = [(account.account_id, account.tier_since) for account, _ in found]
        by_data, by_late_data = self._mart.moved_by_data(changes), self._mart.held_before(changes)
        reasons = self._mart.tier_reasons(changes)
        return [
            Alert(
                rule=rule,
                subject=f"account\0{account.account_id}\0{account.tier}",
                as_of_date=self._day,
                since=account.tier_since,
                known_since=account.tier_since - self._lookback,
                text=f"{TIER_LABELS[before]} \N{RIGHTWARDS ARROW} {TIER_LABELS[account.tier]}, score {account.health_score:.1f}",
                reason=reasons.get(account.account_id),
                account=account,
            )
            for account, before in found
            # Whoever asks for unknown asks for data that went, but not for a late feed: that is reported once, as the source's.
            if account.account_id not in (by_late_data if account.tier == "unknown" else by_data)
        ]

    def _score_fell(self, rule: AlertRule, first: date) -> list[Alert]:
        assert rule.points is not None and rule.days is not None
        days = rule.days
        since = _from(first, self._mart.falls(rule.points, days))

        def text(account: AccountDay) -> str:
            return f"Score {account.health_score:.1f} ({points_text(_change(account, days))} in {days} days), {TIER_LABELS[account.tier]}"

        return self._lasting(rule, since, text, self._mart.fall_reasons(since, self._day, days))

    def _champion_left(self, rule: AlertRule, first: date) -> list[Alert]:
        def text(account: AccountDay) -> str:
            return f"A champion left and nobody took their place; {TIER_LABELS[account.tier]}, score {account.health_score:.1f}"

        return self._lasting(rule, _from(first, self._mart.without_champion()), text, {})

    def _lasting(
        self, rule: AlertRule, since: Mapping[str, date], text: Callable[[AccountDay], str], reasons: Mapping[str, str]
    ) -> list[Alert]:
        """What lasts since a day, once from its beginning until it ends."""
        return [
            Alert(
                rule=rule,
                subject=f"account\0{account.account_id}",
                as_of_date=self._day,
                since=since[account.account_id],
                known_since=since[account.account_id] - self._lookback,
                text=text(account),
                reason=reasons.get(account.account_id),
                account=account,
            )
            for account in self._looked_at(rule)
            if account.account_id in since
        ]

    def _renewal_near(self, rule: AlertRule, first: date) -> list[Alert]:
        assert rule.days is not None
        found = []
        for account in self._looked_at(rule):
            if account.term_ends_on is None or account.tier != rule.tier:
                continue
            left = (account.term_ends_on - self._day).days
            since = max(account.tier_since, account.term_ends_on - timedelta(days=rule.days))
            if 0 <= left <= rule.days and since >= first:
                found.append(self._renewal(rule, account, left, since))
        return found

    def _renewal(self, rule: AlertRule, account: AccountDay, left: int, since: date) -> Alert:
        reason = None
        if account.weakest_label is not None and account.weakest_points is not None:
            value = f": {account.weakest_value}" if account.weakest_value else ""
            reason = f"{account.weakest_label.removesuffix('.')}{value} ({points_text(account.weakest_points)})"
        return Alert(
            rule=rule,
            # Once per term, also where the tier comes and goes until it ends.
            subject=f"account\0{account.account_id}\0{account.term_ends_on}",
            as_of_date=self._day,
            since=since,
            known_since=date.min,
            text=f"Term ends on {account.term_ends_on}, in {left} {'day' if left == 1 else 'days'}; "
            f"{TIER_LABELS[account.tier]}, score {account.health_score:.1f}",
            reason=reason,
            account=account,
        )

    def _source_late(self, rule: AlertRule, first: date) -> list[Alert]:
        found = []
        for table in self._mart.freshness():
            since = table.late_since
            if since is not None and since >= first:
                subject = f"raw_table\0{table.raw_table}"
                text = f"{table.raw_table} {_why_late(table, self._day)}"
                found.append(Alert(rule, subject, self._day, since, since, text, table.not_read_reason, raw_table=table.raw_table))
        return found

    def _drift_seen(self, rule: AlertRule, first: date) -> list[Alert]:
        return [
            # A jump is of one day; known however late it is found.
            Alert(rule, f"metric\0{metric}\0{day}", self._day, day, date.min, f"{day}: {message}", metric_key=metric)
            for day, metric, message in self._mart.drift(first)
        ]


def _from(first: date, since: Mapping[str, date]) -> dict[str, date]:
    return {account: day for account, day in since.items() if day >= first}


def _why_late(table: Freshness, day: date) -> str:
    if table.not_read_reason is not None and table.extracted_through is None:
        return "could not be read yet; its metrics are missing"
    if table.not_read_reason is not None and table.extracted_through is not None and table.extracted_through >= day:
        return "was refused, so the old rows stay"
    if table.status == "not read" or table.newest_fact_at is None:
        return f"was read up to {table.extracted_through} only; its metrics are late"
    return f"has nothing newer than {table.newest_fact_at.date()}; its metrics are late"


def _change(account: AccountDay, days: int) -> float:
    """The change of the score in `days` that the rule counts: without what data that came or went did to it."""
    delta, availability = {
        7: (account.delta_7d, account.availability_7d), 28: (account.delta_28d, account.availability_28d),
    }[days]  # fmt: skip
    assert delta is not None and availability is not None
    return delta - availability
