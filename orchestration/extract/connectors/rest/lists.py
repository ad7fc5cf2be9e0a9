"""What is asked of a JSON API, and the rows that come of its records.

dlt's REST client asks for the pages. The records become rows by `columns` (JSON paths), or by `query`: DuckDB's SQL over the relation
`records`, which has the columns `record`, a JSON object, and `path`, the list that it comes from. Besides DuckDB's own functions
it may use

    from_epoch_s(value), from_epoch_ms(value)   seconds, milliseconds since 1970 as a time
    full_units(amount, currency)                an amount in cents, or what the currency has instead, in units of the currency

which give back what they cannot convert, for the quarantine to show. Rows whose column `_deleted` is true are keys that are gone.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import requests
from dlt.common import jsonpath
from dlt.sources.helpers.rest_client.auth import APIKeyAuth, BearerTokenAuth, OAuth2ClientCredentials
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    HeaderCursorPaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
)
from requests.auth import AuthBase, HTTPBasicAuth

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import DELETED, Preview, Window, filled_columns, text_batch
from orchestration.extract.connectors.http import Api, session_of
from orchestration.extract.connectors.rest import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    ClientCredentialsAuth,
    Offset,
    RestSource,
)
from orchestration.extract.errors import SourceError, SourceUnavailable, as_said_of
from orchestration.extract.files.columns import check_columns
from orchestration.extract.files.query import single_select
from orchestration.extract.session import connect, load_batches
from orchestration.plain_text import as_said
from orchestration.settings import Settings, SettingsError, secret_value
from orchestration.sources import Secret
from orchestration.warehouse import identifier, literal

Record = dict[str, Any]
Shape = Callable[[Iterable[tuple[str, Sequence[Record]]]], Iterator[pa.RecordBatch]]

_ROWS_PER_BATCH = 20_000
_TEXTS = pa.schema([("path", pa.string()), ("text", pa.string())])
_PREVIEW_DAYS = timedelta(days=30)
# Before anything that an API could hold.
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# ISO 4217: currencies whose smallest unit is not a hundredth.
_NO_DECIMALS = ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"]
_THREE_DECIMALS = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]
_MACROS = f"""
    create temp macro from_epoch_ms(value) as
        coalesce(try(cast(to_timestamp(cast(value as double) / 1000) as varchar)), nullif(cast(value as varchar), 'null'));
    create temp macro from_epoch_s(value) as
        coalesce(try(cast(to_timestamp(cast(value as double)) as varchar)), nullif(cast(value as varchar), 'null'));
    create temp macro full_units(amount, currency) as coalesce(
        try(cast(cast(amount as double) / case
            when upper(cast(currency as varchar)) in {tuple(_NO_DECIMALS)} then 1
            when upper(cast(currency as varchar)) in {tuple(_THREE_DECIMALS)} then 1000
            else 100
        end as varchar)), nullif(cast(amount as varchar), 'null'));
"""


def check(settings: Settings, table: RawTable, source: RestSource) -> None:
    """Find what is wrong with the configuration, without asking the API.

    Raises:
        SettingsError: usage is asked for without an end, or a JSON path within answers is not valid.
        SourceError: the query cannot be prepared or lacks a column, or a JSON path of a column is not valid.
    """
    if table.by_day and source.has_start and not source.has_end:
        raise SettingsError(f"sources.{table.name}: usage is read by day: write {{end}} as well as {{start}} into what the API is asked")
    paths = {"records": source.records} | {
        f"paginator.{name}": path
        for name, path in source.paginator.model_dump().items()
        if name.endswith("_path") and "body" not in name and path
    }
    for name, path in paths.items():
        try:
            jsonpath.compile_path(path)
        except Exception:
            # The parser's and the lexer's errors have no class in common.
            raise SettingsError(
                f"sources.{table.name}.{name}: {path!r} is not a JSON path. Write one such as data.items, or $ for the whole answer"
            ) from None
    with _shaping(settings, table, source):
        pass


def read(settings: Settings, table: RawTable, source: RestSource, window: Window) -> Iterator[pa.RecordBatch]:
    """The rows of all records, or of those that the API gives for the window.

    Raises:
        SettingsError: the variable with a secret is not set.
        SourceError: the query fails.
        SourceUnavailable: the API does not answer, refuses, or answers something else.
    """
    api = _connect(table, source)
    with _shaping(settings, table, source) as shape:
        yield from shape((path, page) for path in source.paths for page in _pages(api, table, source, window, path))


def preview(settings: Settings, table: RawTable, source: RestSource) -> Preview:
    """The first page of each list; of what changed in the last thirty days where the API can be asked for that.

    Raises:
        SettingsError, SourceError, SourceUnavailable: as `read`.
    """
    api = _connect(table, source)
    today = datetime.now(UTC).date()
    windows = [(Window(None, today), "first page only")]
    if source.has_start:
        windows.insert(0, (Window(today - _PREVIEW_DAYS, today), "what changed in the last 30 days, first page only"))
    for window, note in windows:  # noqa: B007 (the note of the window that had something)
        found = {path: next(_pages(api, table, source, window, path), []) for path in source.paths}
        if any(found.values()):
            break
    with _shaping(settings, table, source) as shape:
        rows = [row for batch in shape(found.items()) for row in batch.to_pylist() if not row.get(DELETED)]
    names = [name for name in (rows[0] if rows else {}) if name != DELETED]
    batch = text_batch(names, [[row[name] for name in names] for row in rows])
    return Preview([batch] if rows else [], filled_columns(table, rows), _unmapped(table, source, found), note)


def _unmapped(table: RawTable, source: RestSource, found: dict[str, list[Record]]) -> tuple[str, ...]:
    """JSON paths of the values that neither columns nor query name."""
    names = {path for records in found.values() for record in records for path in _leaves(record)}
    # As JSON paths, also where the query has JSON pointers.
    said = [(source.query or "").replace("/", ".")] if source.query else [source.columns.get(name, name) for name in table.by_name]
    return tuple(sorted(name for name in names if not any(re.search(rf"(?<![\w.])\.?{re.escape(name)}(?!\w)", text) for text in said)))


def _leaves(record: Record, before: str = "") -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{name}.")
        elif value is not None and value != []:
            yield f"{before}{name}"


def _pages(api: Api, table: RawTable, source: RestSource, window: Window, path: str) -> Iterator[list[Record]]:
    filled = _filled(source, window)
    count = None
    for page in api.pages(filled(path), source.records, _paginator(source), filled(source.body), **filled(source.params)):
        # The next request skips as many as were asked for, also where the API gives fewer at a time.
        if isinstance(source.paginator, Offset) and page and count is not None and count < source.paginator.limit:
            raise SourceError(
                f"sources.{table.name}: {path} gives {count} records where limit asks for {source.paginator.limit}, so others would be "
                f"skipped. Write limit = {count}"
            )
        count = len(page)
        yield page


def _filled(source: RestSource, window: Window) -> Callable[[Any], Any]:
    """A function that puts the window in place of `{start}` and `{end}`, however deep they are."""
    start = window.start or _BEGINNING
    formats: dict[str, Callable[[], tuple[str | int, str | int]]] = {
        "iso": lambda: (f"{start:%Y-%m-%dT%H:%M:%SZ}", f"{window.end:%Y-%m-%dT%H:%M:%SZ}"),
        "epoch_s": lambda: (int(start.timestamp()), int(window.end.timestamp())),
        "epoch_ms": lambda: (int(start.timestamp()) * 1000, int(window.end.timestamp()) * 1000),
        "date": lambda: (f"{start:%Y-%m-%d}", window.until.isoformat()),
    }
    values = dict(zip(("{start}", "{end}"), formats[source.time_format](), strict=True))

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner) for inner in value]
        if isinstance(value, bool):
            # As JSON has it, also in a query.
            return "true" if value else "false"
        if not isinstance(value, str):
            return value
        if value in values:
            return values[value]
        for name, moment in values.items():
            value = value.replace(name, str(moment))
        return value

    return fill


@contextmanager
def _shaping(settings: Settings, table: RawTable, source: RestSource) -> Iterator[Shape]:
    """A function that makes the rows of all records, page by page with the path of their list."""
    with connect(settings, settings.temp_dir / "rest") as connection:
        connection.execute(_MACROS)
        connection.execute("create temp table records (path varchar, record json)")
        selected = _select(connection, table, source)

        def shape(pages: Iterable[tuple[str, Sequence[Record]]]) -> Iterator[pa.RecordBatch]:
            load_batches(connection, _TEXTS, (_texts(path, page) for path, page in pages))
            try:
                connection.execute("insert into records select path, cast(text as json) from loaded")
                connection.execute(f"create or replace temp table shaped as {selected}")
            except duckdb.Error as error:
                raise SourceError(f"sources.{table.name}: {as_said_of(table, error)}. Check its query") from None
            yield from connection.execute("from shaped").fetch_record_batch(_ROWS_PER_BATCH)

        yield shape


def _texts(path: str, page: Sequence[Record]) -> pa.RecordBatch:
    # Half a surrogate pair, which is not Unicode, would make DuckDB refuse all records.
    encoded = [json.dumps(record, ensure_ascii=False).encode(errors="replace") for record in page]
    return pa.record_batch([pa.array([path] * len(encoded), pa.string()), pa.array(encoded, pa.string())], schema=_TEXTS)


def _select(connection: duckdb.DuckDBPyConnection, table: RawTable, source: RestSource) -> str:
    """The select over `records`, prepared once."""
    if source.query is None:
        label = f"sources.{table.name}.columns"
        places = {column.name: _json_path(source.columns.get(column.name, column.name)) for column in table.columns}
        selected = ", ".join(f"json_extract_string(record, {literal(place)}) as {identifier(name)}" for name, place in places.items())
        selected = f"select {selected} from records"
    else:
        label = f"sources.{table.name}.query"
        selected = single_select(connection, label, source.query)
    try:
        types = {row[0]: row[1] for row in connection.execute(f"describe {selected}").fetchall()}
    except duckdb.Error as error:
        raise SourceError(f"{label}: {as_said(error)}") from None
    check_columns(label, list(types), table, {})
    # Arrow has no JSON.
    as_strings = [f"cast({identifier(name)} as varchar) as {identifier(name)}" for name, kind in types.items() if kind == "JSON"]
    return f"select * replace ({', '.join(as_strings)}) from ({selected})" if as_strings else selected


def _json_path(place: str) -> str:
    if place.startswith(("$", "/")):
        return place
    return f"${place}" if place.startswith("[") else f"$.{place}"


def _connect(table: RawTable, source: RestSource) -> Api:
    headers = {
        name: secret_value(f"sources.{table.name}.headers.{name}", value) if isinstance(value, Secret) else value
        for name, value in source.headers.items()
    }
    return Api(table.name, source, source.base_url, _auth(table, source), headers, (dict, list))


class _ClientCredentials(OAuth2ClientCredentials):
    """dlt's, with the manners of `Api`: a refusal, or an answer without a token, is one clear error that holds no secret."""

    table: str = ""

    def obtain_token(self) -> None:
        where = f"sources.{self.table}: {self.access_token_url}"
        try:
            super().obtain_token()
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            remedy = "Try again later" if status >= 500 or status == 429 else "Check auth.client_id and auth.client_secret"
            raise SourceUnavailable(f"{where} answers {status}. {remedy}") from None
        except (requests.RequestException, ValueError, AttributeError):
            raise SourceUnavailable(f"{where} gives no token. Check auth.access_token_url, or try again later") from None

    def parse_access_token(self, response_json: Any) -> str:
        token = response_json.get("access_token")
        if not isinstance(token, str):
            raise ValueError("no token")
        return token


def _auth(table: RawTable, source: RestSource) -> AuthBase | None:
    def value(name: str) -> str:
        found = getattr(source.auth, name)
        return secret_value(f"sources.{table.name}.auth.{name}", found) if isinstance(found, Secret) else found or ""

    match source.auth:
        case None:
            return None
        case BearerAuth():
            return BearerTokenAuth(token=value("token"))
        case ApiKeyAuth(name=name, location=location):
            return APIKeyAuth(name=name, api_key=value("api_key"), location=location)
        case BasicAuth():
            # dlt's own sends Latin letters only.
            return HTTPBasicAuth(value("username").encode(), value("password").encode())
        case ClientCredentialsAuth(access_token_url=url, access_token_request_data=data):
            auth = _ClientCredentials(
                access_token_url=url,
                client_id=value("client_id"),
                client_secret=value("client_secret"),
                access_token_request_data=dict(data),
                session=session_of(source),
            )
            auth.table = table.name
            return auth


class _JsonLink(JSONLinkPaginator):
    """dlt's, for which an empty link were a next page."""

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        super().update_state(response, data)
        self._next_reference = self._next_reference or None


_PAGINATORS: dict[str, type[BasePaginator]] = {
    "single_page": SinglePagePaginator,
    "json_link": _JsonLink,
    "header_link": HeaderLinkPaginator,
    "header_cursor": HeaderCursorPaginator,
    "cursor": JSONResponseCursorPaginator,
    "offset": OffsetPaginator,
    "page_number": PageNumberPaginator,
}


def _paginator(source: RestSource) -> BasePaginator:
    return _PAGINATORS[source.paginator.type](**source.paginator.model_dump(exclude={"type"}))
