"""What was alerted about, and the messages and digests that are still to be delivered: a SQLite file in the data folder.

Alerts and their messages enter it in one transaction, so a process that is killed has either given an alert with all its
messages, or not at all. A message is noted as tried before it is sent, and as sent afterwards.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

from orchestration.alert_rules import AlertRule
from orchestration.errors import UserError
from orchestration.publish.alerts.evaluate import Alert
from orchestration.publish.alerts.messages import Message

FORMAT = 1

_SCHEMA = f"""
begin;
create table if not exists newest_day (as_of_date text not null);
create table if not exists watched_rules (fingerprint text primary key, first_day text not null);
create table if not exists alerts (
    key text primary key, rule_key text not null, subject text not null, since text not null, as_of_date text not null
);
create index if not exists alerts_by_subject on alerts (rule_key, subject);
create table if not exists messages (
    message_id text primary key,
    channel text not null,  -- name of the destination
    as_of_date text not null,
    body text not null,
    attempts integer not null,
    state text not null check (state in ('due', 'sent', 'given_up'))
);
pragma user_version = {FORMAT};
commit;
"""


class AlertLogError(UserError):
    """The log cannot be used; the message is one line."""


class AlertLog:
    """Open it with `open_log` or `copy_log`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def newest_day(self) -> date | None:
        """The newest day that the rules were applied to."""
        [(day,)] = self._connection.execute("select max(as_of_date) from newest_day").fetchall()
        return None if day is None else _day(day)

    def watched_since(self, rule: AlertRule) -> date | None:
        """The first newest day that the rule was applied to, as it now is; None for a new or edited one."""
        query = "select first_day from watched_rules where fingerprint = ?"
        rows = self._connection.execute(query, [rule.fingerprint]).fetchall()
        return _day(rows[0][0]) if rows else None

    def is_known(self, alert: Alert) -> bool:
        rows = self._connection.execute(
            "select 1 from alerts where rule_key = ? and subject = ? and as_of_date >= ? limit 1",
            [alert.rule.key, alert.subject, alert.known_since.isoformat()],
        ).fetchall()
        return bool(rows)

    def record(self, day: date | None, rules: Iterable[AlertRule], alerts: Iterable[Alert], messages: Iterable[Message]) -> None:
        """Note what came of the rules, all or nothing. `day` is the newest day that `rules` were applied to; None: they were to none."""
        with self._connection as transaction:
            if day is not None:
                transaction.execute("delete from newest_day")
                transaction.execute("insert into newest_day values (?)", [day.isoformat()])
                transaction.executemany(
                    "insert or ignore into watched_rules values (?, ?)",
                    [(rule.fingerprint, day.isoformat()) for rule in rules],
                )
            transaction.executemany(
                "insert or ignore into alerts values (?, ?, ?, ?, ?)",
                [
                    (alert.key, alert.rule.key, alert.subject, alert.since.isoformat(), alert.as_of_date.isoformat())
                    for given in alerts
                    for alert in (given, *given.covers)
                ],
            )
            _add(transaction, messages)

    def add(self, messages: Iterable[Message]) -> None:
        """Note messages that are to be sent; of one that is known nothing changes."""
        with self._connection as transaction:
            _add(transaction, messages)

    def newest_message(self, destination: str) -> tuple[set[str], date | None]:
        """The ids of all messages that were ever for a destination, and the newest day that they tell of."""
        query = "select message_id, as_of_date from messages where channel = ?"
        rows = self._connection.execute(query, [destination]).fetchall()
        return {name for name, _ in rows}, max((_day(day) for _, day in rows), default=None)

    def due(self, destination: str) -> list[Message]:
        """What is still to be sent there, the oldest first."""
        rows = self._connection.execute(
            "select message_id, as_of_date, body, attempts from messages where channel = ? and state = 'due' "
            "order by as_of_date, message_id",
            [destination],
        ).fetchall()
        return [Message(destination, name, _day(day), body, attempts) for name, day, body, attempts in rows]

    def note_attempt(self, message: Message) -> None:
        with self._connection as transaction:
            statement = "update messages set attempts = attempts + 1 where message_id = ?"
            transaction.execute(statement, [message.message_id])

    def note_sent(self, message: Message) -> None:
        self._set_state(message, "sent")

    def give_up(self, message: Message) -> None:
        self._set_state(message, "given_up")

    def _set_state(self, message: Message, state: str) -> None:
        with self._connection as transaction:
            transaction.execute("update messages set state = ? where message_id = ?", [state, message.message_id])


def _add(transaction: sqlite3.Connection, messages: Iterable[Message]) -> None:
    transaction.executemany(
        "insert or ignore into messages values (?, ?, ?, ?, 0, 'due')",
        [(one.message_id, one.destination, one.as_of_date.isoformat(), one.body) for one in messages],
    )


@contextmanager
def open_log(path: Path) -> Iterator[AlertLog]:
    """The log for writing; made where there is none.

    Raises:
        AlertLogError: it is damaged, or a newer version of the product wrote it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _explained(path), closing(sqlite3.connect(path)) as connection:
        yield _prepared(path, connection)


@contextmanager
def copy_log(path: Path) -> Iterator[AlertLog]:
    """A copy of the log in memory, empty where there is none: nothing that is done to it lasts.

    Raises:
        AlertLogError: as `open_log`.
    """
    with _explained(path), closing(sqlite3.connect(":memory:")) as connection:
        if path.exists():
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as original:
                original.backup(connection)
        yield _prepared(path, connection)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except (ValueError, TypeError):
        raise sqlite3.DataError(f"{text!r} is not a day") from None


def _prepared(path: Path, connection: sqlite3.Connection) -> AlertLog:
    [(found,)] = connection.execute("pragma user_version").fetchall()
    if found > FORMAT:
        raise AlertLogError(
            f"{path}: format {found} was written by a newer version; this one reads up to {FORMAT}. Update this installation"
        )
    connection.executescript(_SCHEMA)
    return AlertLog(connection)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise AlertLogError(
            f"{path}: the log of alerts cannot be used ({error}). Fix the cause (disk full?) and run again; if the file is "
            "damaged, move it away: a new log begins with what is new on the newest day"
        ) from error
