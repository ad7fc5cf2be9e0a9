"""`[sources.<raw table>]` of the configuration: one model per connector, and secrets that live in the environment only."""

import os
import re
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

DAY = "{day}"
# The same as a unix timestamp of 00:00 UTC, in seconds or milliseconds.
EPOCH_DAY = "{epoch_day}"
# Before the key of a value in an object's metadata.
METADATA = "metadata."
# Rows that came, rows that the lake has, and a code that no later landing has.
ACCEPTANCE = r"(\d+) of \d+, [0-9a-f]{6}"
# Faults of this type are shown without the value that was found.
LITERAL_SECRET = "literal_secret"
_REMOTE = re.compile(r"(?P<scheme>s3|gs|gcs|az|abfs|abfss)://")
# Of obstore's options for S3, Google Cloud and Azure, under all their names; in the second line those that are no secrets.
_SECRET_OPTION = re.compile(r"secret|token|password|credential|key|sas", re.IGNORECASE)
_PLAIN_OPTION = re.compile(r"_(file|type|token_service_url|kms_key_id|bucket_key_enabled)$", re.IGNORECASE)
# A parameter of an address whose value is a secret, in any case of its letters.
SECRET_PARAMETER = r"[\w.-]*(?:sig|signature|token|secret|password|passwd|pwd|credential|key|keyid)"
# An address with a user, a password (which may hold a slash), or a parameter that is a secret. In Azure's abfs a container stands before the
# @, and what stands behind a colon may be a port.
_SECRET_OF_URL = re.compile(
    rf"""(?<![a-z0-9+.-])(?:
        (?!abfss?:)[a-z][a-z0-9+.-]*://[^/?\#\s'"]*@
        | [a-z][a-z0-9+.-]*://[^/?\#\s'"@]*:(?!\d{{1,5}}(?:[/?\#]|$))[^\s'"]*@
        | [a-z][a-z0-9+.-]*://[^\s'"]*[?&;\#]{SECRET_PARAMETER}=[^\s'"&]
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_PARAMETER = re.compile(r"(?<![:\w\\]):(start|end)\b")


class Section(BaseModel):
    """Part of the configuration: unknown keys are errors, numbers are finite, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Secret(Section):
    """`{ env = "NAME" }`: a secret, by the environment variable that holds it."""

    env: str = Field(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    def value(self) -> str | None:
        """What the variable holds; None where it is not set or blank."""
        return os.environ.get(self.env, "").strip() or None


def _refuse_literal(value: Any, where: str = "") -> Any:
    if not isinstance(value, dict | Secret):
        raise PydanticCustomError(
            LITERAL_SECRET,
            '{where}a secret must not stand in the file. Write { env = "NAME_OF_A_VARIABLE" } and set that environment variable',
            {"where": where},
        )
    return value


SecretReference = Annotated[Secret, BeforeValidator(_refuse_literal)]


def _refuse_secret_in(address: str) -> str:
    if _SECRET_OF_URL.search(address):
        raise PydanticCustomError(
            LITERAL_SECRET,
            'an address must not hold a user, a password, a signature or a token. Take them out; an option that takes a secret, such as '
            'storage.secret_access_key, takes { env = "NAME_OF_A_VARIABLE" }',
        )
    return address


class Source(Section):
    """What all sources share.

    Attributes:
        max_bad_share: share of quarantined rows above which an extraction fails; by default the contract's.
        late_after_days: age of the newest fact from which on the table's metrics are late; by default the contract's.
        min_share: a table that is read whole and comes with less than this share of the rows it has is not taken over; 0 takes all.
        accept_smaller: takes one such landing over; its value is in the message of the run that refused it, and counts once.
    """

    max_bad_share: float | None = Field(default=None, ge=0, le=1)
    late_after_days: int | None = Field(default=None, ge=0, le=36_500)
    min_share: float = Field(default=0.5, ge=0, le=1)
    accept_smaller: str | None = None

    # Raw tables that the connector can fill; empty: all.
    tables: ClassVar[tuple[str, ...]] = ()

    @field_validator("path", "query", "base_url", check_fields=False)
    @classmethod
    def _no_secret_in_address(cls, text: str | None) -> str | None:
        return None if text is None else _refuse_secret_in(text)

    @field_validator("accept_smaller")
    @classmethod
    def _is_of_a_message(cls, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(ACCEPTANCE, text):
            raise ValueError('copy the value from the message of the run, for example "4 of 38, 5f3a1c"')
        return text

    def secrets(self) -> dict[str, Secret]:
        """The secrets of the source, by key in the configuration."""
        found: dict[str, Secret] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Secret):
                found[name] = value
            elif isinstance(value, dict):
                found |= {f"{name}.{key}": inner for key, inner in value.items() if isinstance(inner, Secret)}
        return found


# What databases, spreadsheets and languages write where there is nothing.
NULL_WORDS = (
    "NULL", "null", "(null)", "[NULL]", "\\N", "None", "NaN", "nan", "NaT", "<NA>", "N/A", "#N/A", "undefined",
)  # fmt: skip
_DIRECTIVE = re.compile(r"%(.?)")
_DAY_DIRECTIVES, _CLOCK_DIRECTIVES = "dmyYbB-", "HIpMSf"


class Notation(Section):
    """How a source writes its values; the defaults are the contract's own.

    Attributes:
        nulls: words that mean that there is no value, exactly as written; white space around them does not count.
        decimal, thousands: the marks in numbers that are text. None: a point and none, but a number such as `1.200`, which may be a
            thousand, is not read where no other number of its column shows that the point is the decimal mark.
        date_format: how dates are written (`%d.%m.%Y`), also several ways; a time of day may follow. ISO dates are read besides.
        timezone: of times without a zone; a date that comes as a moment in UTC is the day in this zone.
        scales: of `survey_responses`, survey -> lowest and highest score, where they are not those of the contract.
    """

    nulls: tuple[str, ...] = NULL_WORDS
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", "'", "space"] | None = None
    date_format: tuple[str, ...] = ()
    timezone: str | None = None
    scales: dict[Literal["nps", "csat", "ces", "product_rating"], tuple[float, float]] = {}

    @field_validator("date_format", mode="before")
    @classmethod
    def _one_or_several(cls, formats: Any) -> Any:
        return (formats,) if isinstance(formats, str) else formats

    @field_validator("date_format")
    @classmethod
    def _names_a_day(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for text in formats:
            used = _DIRECTIVE.findall(text.replace("%-", "%"))
            unknown = sorted(set(used) - set(_DAY_DIRECTIVES + _CLOCK_DIRECTIVES))
            if unknown:
                raise ValueError(f"%{unknown[0]} is not known; give %d, %m or %b, %Y, and for times %H, %M, %S, or %I and %p")
            if not ("d" in used and {"m", "b", "B"} & set(used) and {"y", "Y"} & set(used)):
                raise ValueError("give day, month and year, for example %d.%m.%Y")
        return formats

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        try:
            return name if name is None else ZoneInfo(name).key
        except (KeyError, ValueError, OSError):
            raise ValueError("give the name of a time zone, such as Europe/Berlin") from None

    @field_validator("scales")
    @classmethod
    def _rise(cls, scales: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for survey, (least, greatest) in scales.items():
            if least >= greatest:
                raise ValueError(f"{survey}: give the lowest score, then the highest")
        return scales

    @model_validator(mode="after")
    def _marks_differ(self) -> "Notation":
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise ValueError(f"decimal and thousands are both '{self.thousands}'. Give both, for example decimal = \",\" and thousands = \".\"")
        return self

    @property
    def notation(self) -> dict[str, Any]:
        """These settings alone, for what has more of them."""
        return self.model_dump(include=set(Notation.model_fields))


class FilesSource(Source, Notation):
    """`connector = "files"`: CSV, JSON, Excel (.xlsx) or Parquet, text also in gzip or zip, by path, glob or DuckDB query.

    `columns` maps contract column -> column in the file. `{day}` in the path stands for a delivery day (YYYY-MM-DD, `{epoch_day}`
    for its unix timestamp): only the wanted days' files are opened. A path may begin with `s3://`, `gs://` or `az://`; `storage`
    then holds the options of the object store (endpoint, region, credentials), by obstore's names. `format` says what the files
    are where their names do not; `encoding` what their text is in, if it is not UTF-8; `sheet` which sheet of a workbook is read, if it
    is not the first. With path and query, the query shapes the rows of each file, see `shaping`.
    """

    connector: Literal["files"]
    path: str | None = None
    format: Literal["csv", "jsonl", "parquet"] | None = None
    encoding: str | None = None
    sheet: str | None = None
    query: str | None = None
    columns: dict[str, str] = {}
    storage: dict[str, bool | Secret | str] = {}

    @model_validator(mode="after")
    def _path_or_query(self) -> "FilesSource":
        if self.path is None and self.query is None:
            raise ValueError("give path, query, or both")
        for name in ("format", "encoding", "sheet"):
            if getattr(self, name) is not None and self.path is None:
                raise ValueError(f"{name} is for files that a path names")
        if self.path is not None and DAY in self.path and EPOCH_DAY in self.path:
            raise ValueError(f"give either {DAY} or {EPOCH_DAY} in the path")
        if self.storage and not self.is_remote:
            raise ValueError("storage is for paths that begin with s3://, gs:// or az://")
        return self

    @field_validator("encoding")
    @classmethod
    def _is_of_text(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                "".encode(name)
        except LookupError:
            raise ValueError(f"{name} is no known encoding; there is utf-8, windows-1252, latin-1, utf-16, shift-jis, and others") from None
        return name

    @field_validator("storage", mode="before")
    @classmethod
    def _no_literal_secret(cls, storage: Any) -> Any:
        for name, value in storage.items() if isinstance(storage, dict) else ():
            # An endpoint may lack its https://.
            address = f"{name}://{value}" if "endpoint" in name.lower() and "://" not in str(value) else str(value)
            if (_SECRET_OPTION.search(name) and not _PLAIN_OPTION.search(name)) or _SECRET_OF_URL.search(address):
                _refuse_literal(value, f"{name}: ")
        return storage

    @property
    def is_remote(self) -> bool:
        return self.path is not None and _REMOTE.match(self.path) is not None

    @property
    def day_token(self) -> str | None:
        """What stands for the delivery day in the path; None where the files are one delivery."""
        return next((token for token in (DAY, EPOCH_DAY) if self.path is not None and token in self.path), None)


class DemoSource(Source):
    """`connector = "demo"`: the generated demo company, see `[demo]`."""

    connector: Literal["demo"]


class HttpSource(Source):
    """What all HTTP APIs share.

    Attributes:
        timeout_seconds: longest wait for a connection, and for the whole answer to one request.
        max_attempts: how often a request is made before the source counts as unavailable.
        max_retry_delay_seconds: longest pause between two attempts, also where the server asks for a longer one.
    """

    timeout_seconds: float = Field(default=120, gt=0, le=3600)
    max_attempts: int = Field(default=6, ge=1, le=100)
    max_retry_delay_seconds: float = Field(default=120, gt=0, le=3600)

    @field_validator("base_url", check_fields=False)
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not re.match(r"https?://[^/\s]+", url):
            raise ValueError("give an address that begins with https:// (or http:// for a test server)")
        return url.rstrip("/")


class StripeSource(HttpSource):
    """`connector = "stripe"`.

    Attributes:
        api_key: a restricted key with read access to customers, subscriptions, prices, coupons, invoices and events.
        account_key: what names the account: `customer` (the customer's id), `metadata.<key>` of the customer, or
            `email_domain` of the customer's e-mail address.
        name_key: for `accounts`: `name`, `metadata.<key>` or `email_domain`.
        columns: for `accounts`: contract column -> `metadata.<key>` of the customer (segment, industry, region, csm,
            parent_account_id).
        seats_from: for `subscriptions`: what counts as seats, as ids, lookup keys or nicknames of prices or ids of products, or as the one entry
            `metadata.<key>` of the subscription; by default every price that any subscription has more than once.
        api_version: sent as `Stripe-Version`; by default the version that the account is set to.
    """

    connector: Literal["stripe"]
    api_key: SecretReference
    base_url: str = "https://api.stripe.com"
    account_key: str = Field(default="customer", pattern=r"^(customer|email_domain|metadata\..+)$")
    name_key: str = Field(default="name", pattern=r"^(name|email_domain|metadata\..+)$")
    columns: dict[str, str] = {}
    seats_from: list[str] = []
    api_version: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d(\.\w+)?$")

    tables: ClassVar[tuple[str, ...]] = ("accounts", "subscriptions", "invoices", "account_outcomes")

    @field_validator("seats_from")
    @classmethod
    def _prices_or_one_key(cls, names: list[str]) -> list[str]:
        if len(names) > 1 and any(name.startswith(METADATA) for name in names):
            raise ValueError("give prices and products, or metadata.<key> alone")
        return names

    @field_validator("columns")
    @classmethod
    def _metadata_only(cls, columns: dict[str, str]) -> dict[str, str]:
        for name, place in columns.items():
            if name in ("account_id", "account_name", "created_at"):
                raise ValueError(f"{name} is not mapped here; account_key and name_key say where account_id and name stand")
            if not re.fullmatch(r"metadata\..+", place):
                raise ValueError(f"{name}: give metadata.<key>")
        return columns


class ZendeskSource(HttpSource):
    """`connector = "zendesk"`.

    Attributes:
        subdomain: `acme` of acme.zendesk.com; or give base_url.
        email, api_token: an API token and the e-mail address of the agent that it belongs to; or oauth_token alone.
        account_key: what names the account of an organization: `external_id`, `id`, `name`, `domain` (the first of its
            domain names that is not a public one) or `field.<key>` of its organization fields.
        priorities: Zendesk priority -> priority of the contract, where they differ from low, normal, high, urgent -> critical.
        topics: tag or, with topic_field, value of that field -> topic of the contract; the first that fits counts.
        topic_field: id of a custom ticket field; without it topics are found by tag.
        escalation_tags: a ticket that has one of them is escalated.
        escalation_field: id of a custom ticket field; a ticket is escalated while it is checked or filled.
        survey_scores: value of a satisfaction rating -> csat score.
        max_bad_share: half by default: tickets of people without an organization are ordinary, have no account and are quarantined.
    """

    connector: Literal["zendesk"]
    max_bad_share: float | None = Field(default=0.5, ge=0, le=1)
    subdomain: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]*$")
    base_url: str | None = None
    email: str | None = None
    api_token: SecretReference | None = None
    oauth_token: SecretReference | None = None
    account_key: str = Field(default="external_id", pattern=r"^(external_id|id|name|domain|field\..+)$")
    priorities: dict[str, str] = {}
    topics: dict[str, str] = {}
    topic_field: int | None = None
    escalation_tags: list[str] = ["escalated", "escalation"]
    escalation_field: int | None = None
    survey_scores: dict[str, float] = {"good": 5, "bad": 1}

    tables: ClassVar[tuple[str, ...]] = ("tickets", "survey_responses")

    @model_validator(mode="after")
    def _complete(self) -> "ZendeskSource":
        if (self.subdomain is None) == (self.base_url is None):
            raise ValueError("give either subdomain or base_url")
        if (self.api_token is None) == (self.oauth_token is None):
            raise ValueError("give either api_token (with email) or oauth_token")
        if self.api_token is not None and self.email is None:
            raise ValueError("api_token needs the email address of its agent: add email")
        return self

    @property
    def url(self) -> str:
        return self.base_url or f"https://{self.subdomain}.zendesk.com"


class SqlSource(Source, Notation):
    """`connector = "sql"`: any database that SQLAlchemy speaks to; the driver for Postgres is installed.

    Attributes:
        url: a SQLAlchemy address with user and password, for example `postgresql+psycopg://reader:...@host/db`.
        table: `table` or `schema.table`; events are read by day, other tables as a whole in every run.
        query: one select; with `:start` and `:end` (timestamps, UTC, end exclusive) only what is new is read.
        columns: contract column -> column of the table or query, where the names differ.
        timeout_seconds: longest wait for one statement; of a stream, for its next rows.
    """

    connector: Literal["sql"]
    url: SecretReference
    table: str | None = None
    query: str | None = None
    columns: dict[str, str] = {}
    timeout_seconds: float = Field(default=600, ge=1, le=86_400)

    @model_validator(mode="after")
    def _table_or_query(self) -> "SqlSource":
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        names = self.parameters
        if len(names) == 1:
            raise ValueError(f"the query names :{min(names)} only; give both :start and :end, or neither")
        return self

    @property
    def parameters(self) -> set[str]:
        """Which of `start` and `end` the query asks for."""
        return set() if self.query is None else set(_PARAMETER.findall(self.query))


AnySource = Annotated[
    FilesSource | DemoSource | StripeSource | ZendeskSource | SqlSource, Field(discriminator="connector")
]
CONNECTORS = ("files", "demo", "stripe", "zendesk", "sql")
# Sources that are read over a connection: they can be down without being wrong.
ConnectedSource = StripeSource | ZendeskSource | SqlSource
