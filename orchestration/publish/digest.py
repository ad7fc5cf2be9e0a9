"""The weekly digest: what moved and why, what renews, what to do and what was done, for the company and for each owner of accounts.

A digest goes to each of its addresses once a week, Monday to Sunday, UTC. The log of alerts knows which were sent, and keeps what could not
be delivered.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestration.locking import say_on_stdout
from orchestration.publish.alerts import Sent, send_due, writable_log
from orchestration.publish.alerts.delivery import Destination, destinations
from orchestration.publish.alerts.log import copy_log
from orchestration.publish.alerts.mart import points_text
from orchestration.publish.alerts.messages import Message, identify
from orchestration.publish.alerts.rendering import Line, Report, line, part, render
from orchestration.publish.board.formats import compact, counted, day, number
from orchestration.publish.board.portfolio import RENEWAL_DAYS
from orchestration.publish.board.source import NO_OWNER, BoardSource, open_source
from orchestration.publish.generations import open_published, require_current
from orchestration.publish.links import account_page_url, portfolio_url
from orchestration.publish.movements import WEEK, WEEK_REASONS
from orchestration.publish.tables import DATE_COLUMN, HISTORY
from orchestration.publish.tiers import AT_RISK, TIER_LABELS, WORST_FIRST
from orchestration.settings import Addresses, Settings

# A score that moved by fewer points in the week, in the same tier, is not told.
_POINTS = 5
_OF_PLAYBOOK = 3

Row = dict[str, Any]

# Grain: owner x (now, a week ago), and a row of all for each of the two. An owner's past is that of the accounts that are theirs today;
# that of all has the accounts that have left since, too.
_HEADLINES = f"""
select
    accounts.owner,
    grouping(accounts.owner) = 1 as is_of_all,
    history.{DATE_COLUMN} = $as_of as is_now,
    count(*) as accounts,
    avg(history.health_score) as mean_score,
    sum(history.arr) as arr,
    coalesce(sum(history.arr) filter (history.tier in {AT_RISK}), 0) as arr_at_risk,
    {", ".join(f"count(*) filter (history.tier = '{tier}') as {tier}" for tier in WORST_FIRST)}
from {HISTORY} as history
left join board_accounts as accounts on history.account_id = accounts.account_id
where history.{DATE_COLUMN} in ($as_of, $as_of - {WEEK})
group by grouping sets ((accounts.owner, history.{DATE_COLUMN}), (history.{DATE_COLUMN}))
"""
# The tier of each account that moved in the week, and the score of each that moved much in the same tier; the most arr first.
_MOVED = f"""
select
    accounts.*,
    movements.from_tier,
    movements.to_tier,
    coalesce(movements.reason, reasons.label) as why,
    case when movements.account_id is null then reasons.points else movements.points end as why_points,
    round(health.delta_7d - health.availability_7d, 1) as change,
    coalesce(movements.direction, sign(change)) as way
from board_accounts as accounts
inner join account_health as health on accounts.account_id = health.account_id
left join movements on accounts.account_id = movements.account_id
left join ({WEEK_REASONS}) as reasons
    on accounts.account_id = reasons.account_id
    and (reasons.points > 0) = (health.delta_7d > health.availability_7d)
where
    movements.direction is not null
    or (movements.account_id is null and abs(round(health.delta_7d - health.availability_7d, 1)) >= {_POINTS})
order by movements.account_id is null, accounts.arr desc nulls last, accounts.account_id
"""
_RENEWALS = f"""
select *
from board_accounts
where term_ends_on between $as_of and $as_of + {RENEWAL_DAYS}
order by tier not in {AT_RISK}, term_ends_on, arr desc nulls last, account_id
"""
_ACTIONS = f"""
select accounts.*, actions.owner as in_hand, actions.playbook_key, actions.label, actions.reason as why, actions.due_on
from account_actions as actions
inner join board_accounts as accounts on actions.account_id = accounts.account_id
where actions.{DATE_COLUMN} = $as_of and actions.state = 'open'
order by actions.priority, accounts.arr desc nulls last, accounts.account_id, actions.playbook_key
"""
_DONE = f"""
select accounts.*, history.owner as in_hand, history.label, history.closed_on
from account_actions_history as history
inner join board_accounts as accounts on history.account_id = accounts.account_id
where history.state = 'done' and history.closed_on > $as_of - {WEEK} and history.closed_on <= $as_of
order by history.closed_on desc, accounts.arr desc nulls last, accounts.account_id, history.playbook_key
"""


@dataclass(frozen=True)
class Digests:
    """The reports of a mart.

    Attributes:
        as_of: the newest day, which ends the week; None where no account was scored.
        company: of all accounts.
        by_owner: as the board names them.
    """

    as_of: date | None
    company: Report
    by_owner: dict[str, Report]


def send_digests(settings: Settings, today: date, say: Callable[[str], None] = say_on_stdout) -> Sent:
    """Send the digests that were not yet sent in the week of `today`, and what is due from earlier.

    Where the mart has no newer day than in the digest before, none is made: the alert `mart_late` tells that.

    Args:
        today: in UTC.
        say: is given one line before a wait for another process that sends.

    Raises:
        AlertsBusy, AlertLogError: as `send_alerts`.
        PublishError: nothing was published, or the mart cannot be read.
        SettingsError: the data folder cannot be written.
    """
    digests = make_digests(settings)
    where = digest_destinations(settings, digests.by_owner)
    with writable_log(settings, say) as log:
        messages = list(_new_messages(digests, where, today, log.newest_message))
        log.add(messages)
        sent = send_due(settings, log, [to for to, _ in where], digests.as_of)
    told = {owner for _, owner in where}
    sent.without_address = [owner for owner in digests.by_owner if owner != NO_OWNER and owner not in told]
    return sent


def preview_digests(settings: Settings, today: date) -> list[tuple[str, Message]]:
    """What `send_digests` would send now, with the label of where to, without sending or noting it; where no address is configured, the
    company's as a mail.
    """
    digests = make_digests(settings)
    if not is_configured(settings) and digests.as_of is not None:
        return [("email", Message("email", "", digests.as_of, json.dumps(render("email", digests.company))))]
    where = digest_destinations(settings, digests.by_owner)
    with copy_log(settings.alert_log) as log:
        log.add(_new_messages(digests, where, today, log.newest_message))
        return [(to.label, message) for to, _ in where for message in log.due(to.name)]


def digest_destinations(settings: Settings, owners: Iterable[str]) -> list[tuple[Destination, str | None]]:
    """Where digests go, each with the owner whose accounts it tells of; None is the company."""
    found: list[tuple[Destination, str | None]] = [
        (to, None) for to in destinations(settings, settings.digest, "digest", "digest.", "digest of the company by ")
    ]
    for owner in owners:
        addresses = _addresses(settings, owner)
        if addresses is not None:
            names = (f"digest.owners.{owner}", f"digest.{owner}.", f"digest of {owner} by ")
            found += [(to, owner) for to in destinations(settings, addresses, *names)]
    return found


def _addresses(settings: Settings, owner: str) -> Addresses | None:
    given = {name.strip().casefold(): addresses for name, addresses in settings.digest.owners.items()}.get(owner.casefold())
    if given is not None or settings.mail is None or not is_configured(settings):
        return given
    # Names come from data: no name makes a digest leave the company.
    domain = settings.mail.sender.rpartition("@")[2]
    is_colleague = owner.count("@") == 1 and owner.casefold().endswith(f"@{domain.casefold()}") and " " not in owner
    return Addresses(email=(owner,)) if is_colleague else None


def is_configured(settings: Settings) -> bool:
    """Whether `[digest]` names any address."""
    return bool(settings.digest.owners or destinations(settings, settings.digest, "digest"))


def _new_messages(
    digests: Digests,
    where: Iterable[tuple[Destination, str | None]],
    today: date,
    before: Callable[[str], tuple[set[str], date | None]],
) -> Iterator[Message]:
    if digests.as_of is None:
        return
    year, week, _ = today.isocalendar()
    for to, owner in where:
        message_id = identify("digest", to.name, f"{year}-W{week:02}")
        known, newest = before(to.name)
        if message_id not in known and (newest is None or newest < digests.as_of):
            report = digests.company if owner is None else digests.by_owner[owner]
            yield Message(to.name, message_id, digests.as_of, json.dumps(render(to.channel, report)))


def make_digests(settings: Settings) -> Digests:
    """The digests of the published mart.

    Raises:
        PublishError: nothing was published, or the mart cannot be read.
    """
    with open_published(settings, require_current(settings)) as connection:
        source = open_source(settings, connection)
        headlines: dict[str | None, dict[bool, Row]] = defaultdict(dict)
        for row in source.rows(_HEADLINES):
            if row["is_of_all"] or row["owner"] is not None:
                headlines[row["owner"]][row["is_now"]] = row
        found = [source.rows(query) for query in (_MOVED, _RENEWALS, _ACTIONS, _DONE)]
        reports = {
            owner: _report(settings, source, owner, headlines[owner], *(_of(rows, owner) for rows in found))
            for owner in (None, *source.owners)
        }
    return Digests(source.as_of, reports.pop(None), {owner: report for owner, report in reports.items() if owner is not None})


def _of(rows: list[Row], owner: str | None) -> list[Row]:
    """Those of an owner's accounts, and the actions on others that the owner has in hand."""
    return rows if owner is None else [row for row in rows if owner in (row["owner"], row.get("in_hand"))]


def _report(
    settings: Settings,
    source: BoardSource,
    owner: str | None,
    headline: dict[bool, Row],
    moved: list[Row],
    renewals: list[Row],
    actions: list[Row],
    done: list[Row],
) -> Report:
    tell = _Teller(settings, source, tells_owner=owner is None)
    ends = [row["arr"] for row in renewals if row["arr"] is not None]
    at_stake = f", {compact(sum(ends))} {source.currency} a year" if ends else ""
    parts = (
        part("Fell this week", [tell.movement(row) for row in moved if row["way"] < 0]),
        part("Rose this week", [tell.movement(row) for row in moved if row["way"] > 0]),
        part(f"Renews within {RENEWAL_DAYS} days{at_stake}", [tell.renewal(row) for row in renewals]),
        part("To do", [tell.action(row) for row in _of_each_playbook(actions)]),
        part("Done this week", [tell.done(row) for row in done]),
    )
    return Report(
        f"Customer health, week to {day(source.as_of)}: {owner or 'all accounts'}",
        tuple(each for each in parts if each.total),
        tuple(_headline(headline, source.currency)),
        portfolio_url(settings, owner),
    )


def _of_each_playbook(actions: list[Row]) -> list[Row]:
    """The first actions of every playbook before its others, so that no playbook takes all the room."""
    seen = Counter[str]()

    def is_further(row: Row) -> bool:
        seen[row["playbook_key"]] += 1
        return seen[row["playbook_key"]] > _OF_PLAYBOOK

    return sorted(actions, key=is_further)


def _headline(headline: dict[bool, Row], currency: str) -> Iterator[str]:
    now, before = headline.get(True), headline.get(False)
    if now is None:
        yield "No account is scored."
        return
    tiers = ", ".join(f"{now[tier]:,} {TIER_LABELS[tier].lower()}" for tier in WORST_FIRST if now[tier])
    yield f"{counted(now['accounts'], 'account')}: {tiers}."
    score = f"Mean score {number(now['mean_score'], 1)}"
    at_risk = f"{compact(now['arr_at_risk'])} of {compact(now['arr'])} {currency} a year are at risk"
    if before is not None:
        score += f" ({points_text(now['mean_score'] - before['mean_score'])} in a week)"
        at_risk += f" ({compact(before['arr_at_risk'])} a week ago)"
    # Where no account has an amount, nothing is known of money.
    yield f"{score}." if now["arr"] is None else f"{score}. {at_risk}."


class _Teller:
    """Rows as lines."""

    def __init__(self, settings: Settings, source: BoardSource, tells_owner: bool) -> None:
        self._settings, self._source, self._tells_owner = settings, source, tells_owner

    def movement(self, row: Row) -> Line:
        score = f"score {row['health_score']:.1f}"
        if row["from_tier"] is not None:
            fact = f"{TIER_LABELS[row['from_tier']]} \u2192 {TIER_LABELS[row['to_tier']]}, {score}"
        else:
            fact = f"{TIER_LABELS[row['tier']]}, {score} ({points_text(row['change'])} in a week)"
        # The label of a cap is a sentence.
        why = row["why"] and (
            row["why"] if row["why_points"] is None else f"{row['why'].removesuffix('.')} ({points_text(row['why_points'])})"
        )
        return self._line(row, fact, why)

    def renewal(self, row: Row) -> Line:
        left = (row["term_ends_on"] - self._source.as_of).days
        when = "today" if left == 0 else f"in {counted(left, 'day')}"
        return self._line(
            row, f"Term ends on {day(row['term_ends_on'])}, {when}; {TIER_LABELS[row['tier']]}, score {row['health_score']:.1f}"
        )

    def action(self, row: Row) -> Line:
        due = "" if row["due_on"] is None else f", due {day(row['due_on'])}"
        return self._line(row, f"{row['label']}{due}{' (overdue)' if due and row['due_on'] < self._source.as_of else ''}", row["why"])

    def done(self, row: Row) -> Line:
        return self._line(row, f"{row['label']}, done {day(row['closed_on'])}")

    def _line(self, row: Row, fact: str, why: str | None = None) -> Line:
        facts = [fact]
        if row["arr"] is not None:
            facts.append(f"{row['arr']:,.0f} {self._source.currency} a year")
        if self._tells_owner:
            facts.append(row.get("in_hand") or row["owner"])
        return line(facts, row["name"], account_page_url(self._settings, row["account_id"]), why)
