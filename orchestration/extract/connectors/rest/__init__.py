"""The `rest` connector: the lists of any JSON API, by configuration."""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import HttpSource, Preview, Window, http_address
from orchestration.settings import Settings
from orchestration.sources import (
    LITERAL_SECRET,
    SECRET_PARAMETER,
    Notation,
    Secret,
    SecretReference,
    Section,
    refuse_literal,
    refuse_secret_in,
)

_SECRET_HEADER = re.compile(r"auth|cookie|secret|token|password|credential|key", re.IGNORECASE)


class BearerAuth(Section):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    token: SecretReference


class ApiKeyAuth(Section):
    """A key in a header, or in the query, of this name."""

    type: Literal["api_key"]
    api_key: SecretReference
    name: str = "Authorization"
    location: Literal["header", "query"] = "header"


class BasicAuth(Section):
    """User and password; some APIs take their key as the user, without a password."""

    type: Literal["http_basic"]
    username: Secret | str
    password: SecretReference | None = None

    @model_validator(mode="after")
    def _has_a_secret(self) -> "BasicAuth":
        if self.password is None and not isinstance(self.username, Secret):
            raise PydanticCustomError(
                LITERAL_SECRET,
                'without a password the user name is the secret. Write username = { env = "NAME_OF_A_VARIABLE" }, or add password',
            )
        return self


class ClientCredentialsAuth(Section):
    """OAuth 2 with a client's own credentials; `access_token_request_data`: what the request for a token needs besides, such as `scope`."""

    type: Literal["oauth2_client_credentials"]
    access_token_url: str
    client_id: SecretReference
    client_secret: SecretReference
    access_token_request_data: dict[str, str] = {}

    @field_validator("access_token_url")
    @classmethod
    def _address(cls, url: str) -> str:
        return http_address(refuse_secret_in(url))


class SinglePage(Section):
    """One request brings everything."""

    type: Literal["single_page"]


class JsonLink(Section):
    """The answer holds the address of the next page."""

    type: Literal["json_link"]
    next_url_path: str = "next"


class HeaderLink(Section):
    """The header `Link` holds the address of the next page."""

    type: Literal["header_link"]
    links_next_key: str = "next"


class HeaderCursor(Section):
    """A header holds what the next request takes as a parameter."""

    type: Literal["header_cursor"]
    cursor_key: str
    cursor_param: str


class Cursor(Section):
    """The answer holds what the next request takes as a parameter, or within its JSON."""

    type: Literal["cursor"]
    cursor_path: str
    cursor_param: str | None = None
    cursor_body_path: str | None = None
    has_more_path: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Cursor":
        return _in_one_place(self, "cursor")


class Offset(Section):
    """The next request skips what came; it ends after `total_path` records, when `has_more_path` is false, or with an empty page."""

    type: Literal["offset"]
    limit: int = Field(ge=1)
    offset_param: str | None = None
    offset_body_path: str | None = None
    limit_param: str | None = None
    limit_body_path: str | None = None
    total_path: str | None = None
    has_more_path: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Offset":
        return _in_one_place(_in_one_place(self, "offset"), "limit")


class PageNumber(Section):
    """Pages have numbers, from `base_page` on; it ends after `total_path` pages, when `has_more_path` is false, or with an empty page."""

    type: Literal["page_number"]
    base_page: int
    page_param: str | None = None
    page_body_path: str | None = None
    total_path: str | None = None
    has_more_path: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "PageNumber":
        return _in_one_place(self, "page")


_Paged = TypeVar("_Paged", Cursor, Offset, PageNumber)


def _in_one_place(paginator: _Paged, what: str) -> _Paged:
    places = [f"{what}_param", f"{what}_body_path"]
    if (getattr(paginator, places[0]) is None) == (getattr(paginator, places[1]) is None):
        raise ValueError(f"give either {places[0]} (in the query) or {places[1]} (in the JSON of the request)")
    return paginator


def _by_type(*classes: type[Section]) -> BeforeValidator:
    """Checks a section by the class that its `type` names: pydantic's own choice would put the type into the key of a message."""
    named = {get_args(one.model_fields["type"].annotation)[0]: one for one in classes}
    there_is = f"There is {', '.join(named)}"

    def pick(found: Any) -> Any:
        if not isinstance(found, dict):
            # It may be a secret.
            raise PydanticCustomError(LITERAL_SECRET, f"give a section with its type. {there_is}")
        if "type" not in found:
            raise ValueError(f"type is missing. {there_is}")
        settings_class = named.get(str(found["type"]))
        if settings_class is None:
            raise ValueError(f"unknown type {found['type']}. {there_is}")
        return settings_class.model_validate(found)

    return BeforeValidator(pick)


_Auth = Annotated[
    BearerAuth | ApiKeyAuth | BasicAuth | ClientCredentialsAuth, _by_type(BearerAuth, ApiKeyAuth, BasicAuth, ClientCredentialsAuth)
]
_Paginator = Annotated[
    SinglePage | JsonLink | HeaderLink | HeaderCursor | Cursor | Offset | PageNumber,
    _by_type(SinglePage, JsonLink, HeaderLink, HeaderCursor, Cursor, Offset, PageNumber),
]


class RestSource(HttpSource, Notation):
    """`connector = "rest"`: lists of any JSON API. `auth` and `paginator` have the types and keys of dlt's REST source.

    `{start}` and `{end}` in path, params or json stand for the window; with `{start}` only what is new is read.

    Attributes:
        path: of the list, below base_url; or of several lists that are asked alike.
        headers: sent with every request, such as the version of the API.
        params: of the query.
        body: `json` in the file: sent as JSON, by POST.
        records: JSON path of the list within an answer; `$` where the answer is the list.
        columns: contract column -> JSON path within a record, where it is not the column's name.
        query: instead of columns, one select in DuckDB's SQL over `records`, see `orchestration.extract.connectors.rest.lists`.
        time_format: how the API takes a moment: 2026-01-05T00:00:00Z, seconds or milliseconds since 1970, or a day. `{end}` is the
            first moment after the window, or its last day.
    """

    base_url: str
    path: str | list[str]
    auth: _Auth | None = None
    headers: dict[str, Secret | str] = {}
    params: dict[str, bool | int | float | str | list[str]] = {}
    body: dict[str, Any] | None = Field(default=None, alias="json")
    paginator: _Paginator
    records: str
    columns: dict[str, str] = {}
    query: str | None = None
    # JSON writes numbers so.
    decimal: Literal[".", ","] | None = "."
    time_format: Literal["iso", "epoch_s", "epoch_ms", "date"] = "iso"

    @field_validator("path")
    @classmethod
    def _below_the_address(cls, path: str | list[str]) -> str | list[str]:
        paths = [path] if isinstance(path, str) else path
        if not paths or not all(re.fullmatch(r"/(?!/)[^?#]*", one) for one in paths):
            # A parameter may be a secret.
            raise PydanticCustomError(
                LITERAL_SECRET,
                "give a path that begins with /, such as /v1/customers, without parameters: these belong into params, the host into "
                "base_url",
            )
        return path

    @field_validator("headers", mode="before")
    @classmethod
    def _no_literal_header(cls, headers: Any) -> Any:
        for name, value in headers.items() if isinstance(headers, dict) else ():
            if _SECRET_HEADER.search(name):
                refuse_literal(value, f"{name}: ")
        return headers

    @field_validator("params", mode="before")
    @classmethod
    def _no_secret_param(cls, params: Any) -> Any:
        for name in params if isinstance(params, dict) else ():
            if re.fullmatch(SECRET_PARAMETER, name, re.IGNORECASE):
                raise PydanticCustomError(
                    LITERAL_SECRET,
                    '{name}: a secret must not be in the file. Write auth = { type = "api_key", location = "query", name = "{name}", '
                    'api_key = { env = "NAME_OF_A_VARIABLE" } }',
                    {"name": name},
                )
        return params

    @property
    def system(self) -> str:
        """The name in the address: `intercom` of api.intercom.io; an address of numbers has none."""
        names = re.findall(r"[a-z][a-z0-9-]*", urlsplit(self.base_url).hostname or "")
        return names[-2] if len(names) > 1 else super().system

    @model_validator(mode="after")
    def _consistent(self) -> "RestSource":
        if self.columns and self.query is not None:
            raise ValueError("give either columns or query; a query names its columns itself")
        if "{end}" in self._asked and not self.has_start:
            raise ValueError("{end} needs {start} as well: what is new is asked from a moment on")
        in_body = [name for name in type(self.paginator).model_fields if name.endswith("_body_path")]
        if self.body is None and any(getattr(self.paginator, name) is not None for name in in_body):
            raise ValueError("the paginator writes into the JSON of the request: give json, at least json = {}")
        return self

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path

    @property
    def has_start(self) -> bool:
        """Whether the API is asked for what is new only."""
        return "{start}" in self._asked

    @property
    def has_end(self) -> bool:
        return "{end}" in self._asked

    @property
    def _asked(self) -> str:
        return json.dumps([self.path, self.params, self.body], default=str)

    def secrets(self) -> dict[str, Secret]:
        found = super().secrets()
        if self.auth is not None:
            values = {f"auth.{name}": getattr(self.auth, name) for name in type(self.auth).model_fields}
            found |= {name: value for name, value in values.items() if isinstance(value, Secret)}
        return found

    def is_incremental(self, table: RawTable) -> bool:
        """Where a request names `{start}`."""
        return self.has_start

    def read(self, settings: Settings, table: RawTable, window: Window) -> Iterator[pa.RecordBatch]:
        from orchestration.extract.connectors.rest import lists

        return lists.read(settings, table, self, window)

    def preview(self, settings: Settings, table: RawTable) -> Preview:
        from orchestration.extract.connectors.rest import lists

        return lists.preview(settings, table, self)

    def check_settings(self, settings: Settings, table: RawTable) -> None:
        from orchestration.extract.connectors.rest import lists

        lists.check(settings, table, self)
