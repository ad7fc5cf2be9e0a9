"""Tickets and ratings, page by page.

A ticket changes long after it was opened, so a window asks for what changed since its first day; the landing keeps the
last row of a key. Memory holds one page, and of every organization its account.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, cast

import pyarrow as pa
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator
from requests import Request, Response
from requests.auth import AuthBase, HTTPBasicAuth

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import DELETED, Preview, Window, filled_columns, text_batches
from orchestration.extract.connectors.http import Api, Refused
from orchestration.extract.connectors.mail_domains import company_domain
from orchestration.extract.connectors.zendesk import ZendeskSource
from orchestration.extract.connectors.zendesk.accounts import DOMAIN, AccountNote
from orchestration.extract.errors import SourceUnavailable
from orchestration.settings import Settings, secret_value

Object = Mapping[str, Any]
Row = dict[str, Any]

_EXPORT = "/api/v2/incremental/tickets/cursor.json"
_RATINGS = "/api/v2/satisfaction_ratings.json"
_ORGANIZATIONS = "/api/v2/organizations.json"
# The most that Zendesk gives on a cursor page, and takes as `ids` in one request.
_PAGE = 100
# The export refuses a start within the last minute; two leave room for clocks that differ.
_NEWEST_START = timedelta(minutes=2)
# Zendesk does not say whether `start_time` of ratings means their creation (the survey's offer) or their last change.
# Ratings are few, so the answers to what was offered in the weeks before the window come along.
_OFFERED_BEFORE = timedelta(days=30)
_PREVIEW_DAYS = timedelta(days=30)

_PRIORITIES = {"urgent": "critical"}
_TOPIC_OF_TYPE = {"question": "question", "problem": "bug", "incident": "bug", "task": "other"}
_SOLVED = ("solved", "closed")
_MERGED = "closed_by_merge"
_NO_ANSWER = ("offered", "unoffered")
_COMMENT_SUFFIXES = ("_with_comment", "_without_comment")
_TICKET_FIELDS = {
    "id", "status", "created_at", "updated_at", "organization_id", "requester_id", "priority", "type", "tags",
    "metric_set", "via",
}  # fmt: skip
_RATING_FIELDS = {"id", "ticket_id", "requester_id", "score", "created_at", "updated_at"}


def read(settings: Settings, table: RawTable, source: ZendeskSource, window: Window) -> Iterator[pa.RecordBatch]:
    """What changed since the window's first day, or all where an organization leads to another account; deleted and merged tickets as gone.

    Raises:
        SettingsError: the variable with the token is not set.
        SourceUnavailable: Zendesk does not answer, refuses, or answers something else.
    """
    reader = _Reader(table, source)
    note = AccountNote(settings, table, source, reader.accounts())
    start = None if note.has_moves else window.start
    yield from text_batches(table, (row for page in reader.pages(start) for row in reader.rows(page)))
    note.write()


def preview(table: RawTable, source: ZendeskSource) -> Preview:
    """The first page of what changed in the last thirty days; where nothing did, of all.

    Raises:
        SettingsError, SourceUnavailable: as `read`.
    """
    reader = _Reader(table, source)
    note = "what changed in the last 30 days, first page only"
    page: Mapping[str, Any] = {}
    for start in (datetime.now(UTC) - _PREVIEW_DAYS, None):
        page = next(reader.pages(start), {})
        if page.get(reader.list_name):
            break
        note = "nothing changed in the last 30 days; first page of all"
    objects = reader.objects(page)
    rows = [row for row in reader.rows(page) if not row.get(DELETED)]
    lost = sum(row["account_id"] is None for row in rows)
    if lost:
        note += f"; {lost} of {len(rows)} rows have no account, check account_key"
    unmapped = tuple(sorted({name for one in objects for name in one} - reader.used_fields))
    return Preview(list(text_batches(table, rows)), filled_columns(table, rows), unmapped, note)


def ticket_row(ticket: Object, metrics: Object | None, account: str | None, escalated_at: str | None, source: ZendeskSource) -> Row:
    """One row of `tickets`.

    A solved ticket without solving time (imported as closed) is resolved at its last change; else it stayed open.
    """
    metrics = metrics or {}
    is_solved = ticket.get("status") in _SOLVED
    return {
        "ticket_id": ticket.get("id"),
        "account_id": account,
        "opened_at": ticket.get("created_at"),
        "first_replied_at": _first_reply(ticket, metrics),
        "resolved_at": (metrics.get("solved_at") or ticket.get("updated_at")) if is_solved else None,
        "priority": _priority(ticket.get("priority"), source),
        "topic": _topic(ticket, source),
        "escalated_at": escalated_at,
    }


def rating_row(rating: Object, account: str | None, source: ZendeskSource) -> Row | None:
    """One row of `survey_responses`; None for a survey that was offered, or will be, and has no answer."""
    score = rating.get("score")
    if score in _NO_ANSWER:
        return None
    return {
        "response_id": rating.get("id"),
        "account_id": account,
        "user_id": rating.get("requester_id"),
        "survey": "csat",
        # An unknown value stays what it is: the contract quarantines it as not a number.
        "score": source.survey_scores.get(str(score), source.survey_scores.get(_without_comment(score), score)),
        "responded_at": rating.get("updated_at") or rating.get("created_at"),
    }


def account_of(organization: Object, account_key: str) -> str | None:
    """What names the account of an organization, by `ZendeskSource.account_key`; None where it is blank."""
    if account_key == "domain":
        return next(iter(_domains(organization)), None)
    if account_key.startswith("field."):
        return _key((organization.get("organization_fields") or {}).get(account_key.removeprefix("field.")))
    return _key(organization.get(account_key))


def is_escalated(ticket: Object, source: ZendeskSource) -> bool:
    """Whether a ticket has a tag of escalation, or its escalation field is checked or filled."""
    return bool(_words(ticket.get("tags")) & _folded(source.escalation_tags)) or _is_set(_field(ticket, source.escalation_field))


def escalation_in(audits: Iterable[Object], source: ZendeskSource) -> str | None:
    """When a ticket was first escalated: the earliest audit that added a tag of escalation, or set the field.

    The first one ever, so that a second escalation does not move the time.
    """
    moments = [
        str(audit["created_at"])
        for audit in audits
        if audit.get("created_at") and any(_escalates(event, source) for event in audit.get("events") or [])
    ]
    return min(moments, default=None)


def _escalates(event: Object, source: ZendeskSource) -> bool:
    if event.get("type") not in ("Create", "Change"):
        return False
    name, value, before = str(event.get("field_name")), event.get("value"), event.get("previous_value")
    if name == "tags":
        return bool((_words(value) - _words(before)) & _folded(source.escalation_tags))
    is_the_field = source.escalation_field is not None and name == str(source.escalation_field)
    return is_the_field and _is_set(value) and not _is_set(before)


class _ExportPaginator(JSONResponseCursorPaginator):
    """Pages of the incremental export: by cursor until the end of the stream, which has a cursor too."""

    def __init__(self) -> None:
        super().__init__(cursor_path="after_cursor", cursor_param="cursor")

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        super().update_state(response, data)
        if response.json().get("end_of_stream") is True:
            self._has_next_page = False

    def update_request(self, request: Request) -> None:
        super().update_request(request)
        # The cursor holds the place; a start beside it would begin anew.
        cast(dict[str, Any], request.params).pop("start_time", None)


class _Reader:
    """One extraction: the client, and what is asked for once."""

    def __init__(self, table: RawTable, source: ZendeskSource) -> None:
        self._table = table
        self._source = source
        self._api = Api(table.name, source, source.url, _auth(table, source))
        self._accounts: dict[Any, str | None] | None = None
        self._account_of_domain: dict[str, str | None] = {}
        self._audits_are_refused = False
        self._is_tickets = table.name == "tickets"
        self.list_name = "tickets" if self._is_tickets else "satisfaction_ratings"

    @property
    def used_fields(self) -> set[str]:
        """Top-level fields of an object that the mapping reads."""
        if not self._is_tickets:
            return _RATING_FIELDS
        has_fields = self._source.topic_field is not None or self._source.escalation_field is not None
        return _TICKET_FIELDS | ({"custom_fields"} if has_fields else set())

    def pages(self, start: datetime | None) -> Iterator[Object]:
        """Whole answers, since the lists beside the tickets belong to them."""
        if self._is_tickets:
            newest = datetime.now(UTC) - _NEWEST_START
            return self._checked(
                _EXPORT,
                _ExportPaginator(),
                # 0 is not a time for Zendesk; nothing is older than 1.
                start_time=1 if start is None else int(min(start, newest).timestamp()),
                include="metric_sets,users",
            )
        since = None if start is None else int((start - _OFFERED_BEFORE).timestamp())
        return self._checked(_RATINGS, _by_cursor(), start_time=since, **{"page[size]": _PAGE})

    def accounts(self) -> dict[str, str | None]:
        """Account by number of the organization, and by domain where that leads to one."""
        numbers = {str(number): account for number, account in self._organizations().items()}
        return numbers | {f"{DOMAIN}{domain}": account for domain, account in self._account_of_domain.items()}

    def rows(self, page: Object) -> Iterator[Row]:
        return self._ticket_rows(page) if self._is_tickets else self._rating_rows(page)

    def objects(self, page: Object) -> list[Object]:
        return _objects(page.get(self.list_name))

    def _checked(self, path: str, paginator: JSONResponseCursorPaginator, **params: Any) -> Iterator[Object]:
        for page in self._api.pages(path, "$", paginator, **params):
            for answer in page:
                if not isinstance(answer.get(self.list_name), list):
                    raise self._broken(path, f"without {self.list_name}")
                # A page that is not the last one and leads nowhere would end the extraction early, in silence.
                if self._is_tickets and answer.get("end_of_stream") is not True and not answer.get("after_cursor"):
                    raise self._broken(path, "with neither an end nor a next page")
                yield answer

    def _broken(self, path: str, how: str) -> SourceUnavailable:
        where = f"sources.{self._table.name}: {path}"
        return SourceUnavailable(f"{where} answers {how}. Check the address, or try again later")

    def _ticket_rows(self, page: Object) -> Iterator[Row]:
        metrics = {one.get("ticket_id"): one for one in _objects(page.get("metric_sets"))}
        tickets = self.objects(page)
        homeless = [one for one in tickets if _is_a_request(one) and not self._known(one)]
        users = self._users(_objects(page.get("users")), (one.get("requester_id") for one in homeless))
        for ticket in tickets:
            number = ticket.get("id")
            if not _is_a_request(ticket):
                yield {"ticket_id": number, DELETED: True}
                continue
            # Zendesk documents the list beside the tickets and gives the object within.
            measured = ticket.get("metric_set") or metrics.get(number) or self._metrics(number)
            account = self._account(ticket, users.get(ticket.get("requester_id")))
            yield ticket_row(ticket, measured, account, self._escalated_at(ticket), self._source)

    def _rating_rows(self, page: Object) -> Iterator[Row]:
        ratings = [one for one in self.objects(page) if one.get("score") not in _NO_ANSWER]
        tickets: dict[Any, Object] = {}
        sideloaded: list[Object] = []
        for answer in self._many("tickets", (one.get("ticket_id") for one in ratings), include="users"):
            tickets |= {one.get("id"): one for one in _objects(answer.get("tickets"))}
            sideloaded += _objects(answer.get("users"))
        homeless = [one for one in ratings if not self._known(tickets.get(one.get("ticket_id"), {}))]
        users = self._users(sideloaded, (one.get("requester_id") for one in homeless))
        for rating in ratings:
            account = self._account(tickets.get(rating.get("ticket_id"), {}), users.get(rating.get("requester_id")))
            row = rating_row(rating, account, self._source)
            if row is not None:
                yield row

    def _known(self, ticket: Object) -> bool:
        return ticket.get("organization_id") is not None

    def _account(self, ticket: Object, requester: Object | None) -> str | None:
        """The account of the ticket's organization; without one, of the requester's; without one, of their domain."""
        organizations = self._organizations()
        requester = requester or {}
        for one in (ticket, requester):
            if one.get("organization_id") is not None:
                return organizations.get(one["organization_id"])
        domain = company_domain(str(requester.get("email") or ""))
        if self._source.account_key != "domain" or domain is None:
            return None
        return self._account_of_domain.get(domain, domain)

    def _organizations(self) -> dict[Any, str | None]:
        """Account by id of the organization; listed when first asked for."""
        if self._accounts is None:
            found: dict[Any, str | None] = {}
            for page in self._api.pages(_ORGANIZATIONS, "organizations", _by_cursor(), **{"page[size]": _PAGE}):
                for one in page:
                    found[one.get("id")] = account = account_of(one, self._source.account_key)
                    if self._source.account_key == "domain":
                        self._account_of_domain |= {domain: account for domain in _domains(one)}
            self._accounts = found
        return self._accounts

    def _users(self, sideloaded: list[Object], wanted: Iterable[Any]) -> dict[Any, Object]:
        users = {one.get("id"): one for one in sideloaded}
        for answer in self._many("users", (number for number in wanted if number not in users)):
            users |= {one.get("id"): one for one in _objects(answer.get("users"))}
        return users

    def _many(self, kind: str, numbers: Iterable[Any], **params: Any) -> Iterator[Object]:
        """Answers with the objects of these ids, a hundred at a time; ids that are gone are left out by Zendesk."""
        remaining = iter(sorted({str(number) for number in numbers if number is not None}))
        while chunk := list(islice(remaining, _PAGE)):
            yield self._api.get(f"/api/v2/{kind}/show_many.json", ids=",".join(chunk), **params) or {}

    def _metrics(self, number: Any) -> Object | None:
        found = (self._api.get(f"/api/v2/tickets/{number}/metrics.json") or {}).get("ticket_metric")
        # Documented as an object in one place and as a list of one in another.
        return next(iter(_objects(found if isinstance(found, list) else [found])), None)

    def _escalated_at(self, ticket: Object) -> str | None:
        """When an escalated ticket was escalated, from its audits, whose times never change.

        Without audits the ticket's last change: an upper bound, which moves with every later change.
        """
        if not is_escalated(ticket, self._source):
            return None
        return self._first_escalation(ticket.get("id")) or ticket.get("updated_at")

    def _first_escalation(self, number: Any) -> str | None:
        if self._audits_are_refused:
            return None
        path = f"/api/v2/tickets/{number}/audits.json"
        try:
            pages = self._api.pages(path, "audits", _by_cursor(), **{"page[size]": _PAGE})
            return escalation_in((audit for page in pages for audit in page), self._source)
        except Refused as refusal:
            if not (refusal.is_about_credentials or refusal.is_missing):
                raise
            # A missing right holds for all tickets, a missing ticket for itself.
            self._audits_are_refused = refusal.is_about_credentials
            return None


def _is_a_request(ticket: Object) -> bool:
    """Whether a ticket counts: it is not deleted, nor merged into another one, which then holds all that was said.

    A merged ticket is closed with a tag of Zendesk's own. A follow-up of it inherits the tag and is a request.
    """
    if ticket.get("status") == "deleted":
        return False
    origin = (ticket.get("via") or {}).get("source") or {}
    is_follow_up = origin.get("rel") == "follow_up"
    return is_follow_up or not (ticket.get("status") in _SOLVED and _MERGED in _words(ticket.get("tags")))


def _auth(table: RawTable, source: ZendeskSource) -> AuthBase:
    if source.oauth_token is not None:
        return BearerTokenAuth(token=secret_value(f"sources.{table.name}.oauth_token", source.oauth_token))
    # The configuration was checked for one of the two.
    assert source.api_token is not None
    token = secret_value(f"sources.{table.name}.api_token", source.api_token)
    return HTTPBasicAuth(f"{source.email}/token".encode(), token.encode())


def _by_cursor() -> JSONResponseCursorPaginator:
    return JSONResponseCursorPaginator("meta.after_cursor", "page[after]", has_more_path="meta.has_more")


def _objects(values: Any) -> list[Object]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _key(value: Any) -> str | None:
    return None if value is None or str(value) == "" else str(value)


def _domains(organization: Object) -> list[str]:
    """Without public ones: an agent adds those where a colleague wrote from home."""
    found = (company_domain(str(domain)) for domain in organization.get("domain_names") or [])
    return [domain for domain in found if domain is not None]


def _folded(values: Iterable[Any]) -> set[str]:
    return {str(value).casefold() for value in values}


def _words(value: Any) -> set[str]:
    """Tags, or the values of a field: a list, or in audits a text with blanks between them."""
    if value is None:
        return set()
    return _folded(value if isinstance(value, list) else str(value).split())


def _field(ticket: Object, number: int | None) -> Any:
    fields = _objects(ticket.get("custom_fields"))
    return next((one.get("value") for one in fields if number is not None and one.get("id") == number), None)


def _is_set(value: Any) -> bool:
    """Whether a field is checked or filled; audits write an empty checkbox as 0."""
    return value not in (None, False, [], {}) and str(value).strip().casefold() not in ("", "0", "false")


def _priority(value: Any, source: ZendeskSource) -> Any:
    return source.priorities.get(str(value), _PRIORITIES.get(str(value), value))


def _topic(ticket: Object, source: ZendeskSource) -> str | None:
    if source.topic_field is None:
        found = _words(ticket.get("tags"))
    else:
        value = _field(ticket, source.topic_field)
        found = _folded(value) if isinstance(value, list) else _folded([] if value is None else [value])
    fitting = (topic for name, topic in source.topics.items() if name.casefold() in found)
    return next(fitting, _TOPIC_OF_TYPE.get(str(ticket.get("type"))))


def _without_comment(score: Any) -> str:
    text = str(score)
    for suffix in _COMMENT_SUFFIXES:
        text = text.removesuffix(suffix)
    return text


def _first_reply(ticket: Object, metrics: Object) -> str | None:
    minutes = (metrics.get("reply_time_in_minutes") or {}).get("calendar")
    opened = _moment(ticket.get("created_at"))
    if opened is None or isinstance(minutes, bool) or not isinstance(minutes, int | float):
        return None
    return (opened + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
