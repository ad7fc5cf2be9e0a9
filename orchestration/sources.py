"""`[sources.<raw table>]` of the configuration: the class that a connector's name means, and secrets that live in the environment
only."""

import os
import re
from collections.abc import Mapping
from importlib import import_module
from inspect import getsourcelines, isabstract
from pkgutil import iter_modules
from traceback import extract_tb
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

FILES = "files"
_CONNECTORS = "orchestration.extract.connectors"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_THERE_IS = "There is {}; one of your own is named with its package, such as acme_health.hubspot"
_AS_DOCUMENTED = "as docs/sources.md says under *A connector of your own*"
# Type of a fault in the name of a connector, or in the module behind it.
NO_CONNECTOR = "no_connector"

DAY = "{day}"
# The same as a unix timestamp of 00:00 UTC, in seconds or milliseconds.
EPOCH_DAY = "{epoch_day}"
# Rows that came, rows that the lake has, and a code that no later landing has.
ACCEPTANCE = r"(\d+) of \d+, [0-9a-f]{6}"
# Faults of this type are shown without the value that was found.
LITERAL_SECRET = "literal_secret"
_REMOTE = re.compile(r"(?P<scheme>s3|gs|gcs|az|abfs|abfss)://")
# Of obstore's options for S3, Google Cloud and Azure, under all their names; in the second line those that are not secrets.
_SECRET_OPTION = re.compile(r"secret|token|password|credential|key|sas", re.IGNORECASE)
_PLAIN_OPTION = re.compile(r"_(file|type|token_service_url|kms_key_id|bucket_key_enabled)$", re.IGNORECASE)
# A parameter of an address whose value is a secret, in any case of its letters.
SECRET_PARAMETER = r"[\w.-]*(?:sig|signature|token|secret|password|passwd|pwd|credential|key|keyid)"
# An address with a user, a password (which may hold a slash), or a parameter that is a secret. In Azure's abfs a container comes before
# the @, and what comes after a colon may be a port.
_SECRET_OF_URL = re.compile(
    rf"""(?<![a-z0-9+.-])(?:
        (?!abfss?:)[a-z][a-z0-9+.-]*://[^/?\#\s'"]*@
        | [a-z][a-z0-9+.-]*://[^/?\#\s'"@]*:(?!\d{{1,5}}(?:[/?\#]|$))[^\s'"]*@
        | [a-z][a-z0-9+.-]*://[^\s'"]*[?&;\#]{SECRET_PARAMETER}=[^\s'"&]
    )""",
    re.IGNORECASE | re.VERBOSE,
)


class Section(BaseModel):
    """Part of the configuration: unknown keys are errors, numbers are finite, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Secret(Section):
    """`{ env = "NAME" }`: a secret, by the environment variable that holds it."""

    env: str = Field(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    def value(self) -> str | None:
        """What the variable holds; None where it is not set or blank."""
        return os.environ.get(self.env, "").strip() or None


def refuse_literal(value: Any, where: str = "") -> Any:
    if not isinstance(value, dict | Secret):
        raise PydanticCustomError(
            LITERAL_SECRET,
            '{where}a secret must not be in the file. Write { env = "NAME_OF_A_VARIABLE" } and set that environment variable',
            {"where": where},
        )
    return value


SecretReference = Annotated[Secret, BeforeValidator(refuse_literal)]


def refuse_secret_in(address: str) -> str:
    if _SECRET_OF_URL.search(address):
        raise PydanticCustomError(
            LITERAL_SECRET,
            "an address must not hold a user, a password, a signature or a token. Take them out; an option that takes a secret, such as "
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
        connector: names the class of the settings, see `source_class`.
    """

    max_bad_share: float | None = Field(default=None, ge=0, le=1)
    late_after_days: int | None = Field(default=None, ge=0, le=36_500)
    min_share: float = Field(default=0.5, ge=0, le=1)
    accept_smaller: str | None = None
    connector: str

    # Raw tables that the connector can fill; empty: all.
    tables: ClassVar[tuple[str, ...]] = ()
    # Whether the rows are invented, so that losing some is not a fault.
    is_made_up: ClassVar[bool] = False

    @field_validator("*")
    @classmethod
    def _no_secret_in_address(cls, value: Any) -> Any:
        return refuse_secret_in(value) if isinstance(value, str) else value

    @field_validator("accept_smaller")
    @classmethod
    def _is_of_a_message(cls, text: str | None) -> str | None:
        if text is not None and not re.fullmatch(ACCEPTANCE, text):
            raise ValueError('copy the value from the message of the run, for example "4 of 38, 5f3a1c"')
        return text

    @property
    def is_remote(self) -> bool:
        """Whether the source can be down without being wrong."""
        return False

    @property
    def system(self) -> str:
        """What is read, in one word of lower-case letters and digits: `stripe`, `postgres`, `s3`, `csv`."""
        return self.connector.rpartition(".")[2].lower()

    @property
    def column_names(self) -> Mapping[str, str]:
        """Contract column -> its name in the rows that are read, where that differs."""
        return {}

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
# A format that counts seconds, or a thousandth or millionth of them, since 1970.
EPOCH = "epoch"
_DAY_DIRECTIVES, _CLOCK_DIRECTIVES = "dmyYbB-", "HIpMSf"


class Notation(Section):
    """How a source writes its values; the defaults are the contract's own.

    Attributes:
        nulls: words that mean that there is no value, exactly as written; white space around them does not count.
        decimal, thousands: the marks in numbers that are text. None: a point and none, but a number such as `1.200`, which may be a
            thousand, is not read where no other number of its column shows that the point is the decimal mark.
        date_format: how dates are written (`%d.%m.%Y`), also several ways; a time of day may follow. `epoch`: seconds,
            milliseconds or microseconds since 1970. ISO dates are read besides.
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
            if text == EPOCH:
                continue
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
            raise ValueError(
                f'decimal and thousands are both \'{self.thousands}\'. Give both, for example decimal = "," and thousands = "."'
            )
        return self

    @property
    def notation(self) -> dict[str, Any]:
        """These settings alone, for what has more of them."""
        return self.model_dump(include=set(Notation.model_fields))


class FilesSource(Source, Notation):
    """`connector = "files"`: CSV, JSON, Excel (.xlsx) or Parquet, text also in gzip or zip, by path, glob or DuckDB query.

    `columns` maps contract column -> column in the file. `{day}` in the path is a delivery day (YYYY-MM-DD, `{epoch_day}`
    for its unix timestamp): only the wanted days' files are opened. A path may begin with `s3://`, `gs://` or `az://`; `storage`
    then holds the options of the object store (endpoint, region, credentials), by obstore's names. `format` says what the files
    are where their names do not; `delivery` whether the file of a day is the whole table or holds what is new or
    changed; `encoding` what their text is in, if it is not UTF-8; `sheet` which sheet of a workbook is read, if it is not the first. With
    path and query, the query shapes the rows of each file, see `extract/files/query.py`.
    """

    path: str | None = None
    format: Literal["csv", "jsonl", "parquet"] | None = None
    delivery: Literal["full", "changes"] | None = None
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
        if self.delivery is not None and self.day_token is None:
            raise ValueError(f"delivery is for a path with {DAY}: without it all files together are the table")
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
            raise ValueError(
                f"{name} is not a known encoding; there is utf-8, windows-1252, latin-1, utf-16, shift-jis, and others"
            ) from None
        return name

    @field_validator("storage", mode="before")
    @classmethod
    def _no_literal_secret(cls, storage: Any) -> Any:
        for name, value in storage.items() if isinstance(storage, dict) else ():
            # An endpoint may lack its https://.
            address = f"{name}://{value}" if "endpoint" in name.lower() and "://" not in str(value) else str(value)
            if (_SECRET_OPTION.search(name) and not _PLAIN_OPTION.search(name)) or _SECRET_OF_URL.search(address):
                refuse_literal(value, f"{name}: ")
        return storage

    @property
    def is_remote(self) -> bool:
        return self.path is not None and _REMOTE.match(self.path) is not None

    @property
    def system(self) -> str:
        remote = _REMOTE.match(self.path or "")
        if remote is not None:
            return remote["scheme"]
        # `{day}` and the marks of a glob are no part of an ending.
        ending = re.search(r"\.([a-z0-9]+)[*?]*(\.gz|\.zip)?$", (self.path or "").lower())
        return self.format or ("files" if ending is None else ending[1])

    @property
    def column_names(self) -> Mapping[str, str]:
        return self.columns

    @property
    def day_token(self) -> str | None:
        """What is the delivery day in the path; None where the files are one delivery."""
        return next((token for token in (DAY, EPOCH_DAY) if self.path is not None and token in self.path), None)


def source_class(name: str) -> type[Source]:
    """The settings class behind the name of a connector: `files`, a module of `extract/connectors`, or any module by its whole name.

    Raises:
        ValueError: there is no such module, it cannot be imported, or it holds no connector that is complete.
    """
    if name == FILES:
        return FilesSource
    if not _MODULE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a module. {_THERE_IS.format(_built_in())}")
    full_name = name if "." in name else f"{_CONNECTORS}.{name}"
    try:
        module = import_module(full_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{full_name}.".startswith(f"{error.name}."):
            if "." in name:
                package = name.partition(".")[0]
                raise ValueError(
                    f"there is no module {name}. Install its package, or name the folder that holds {package}/ in PYTHONPATH"
                ) from None
            raise ValueError(f"unknown connector {name}. {_THERE_IS.format(_built_in())}") from None
        raise ValueError(
            f"{place_of(error, full_name)}: {type(error).__name__}: {error}. The module cannot be imported until that is fixed"
        ) from error
    return _connector_in(module)


def _connector_in(module: ModuleType) -> type[Source]:
    """The one connector that a module defines, or its package where the module is one."""
    inside = f"{module.__name__}."
    classes = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Source) and f"{one.__module__}.".startswith(inside)
    ]
    ready = [one for one in classes if not isabstract(one) and hasattr(one, "read")]
    if len(ready) == 1:
        return ready[0]
    if ready:
        raise ValueError(
            f"{module.__file__}: holds several connectors ({', '.join(one.__name__ for one in ready)}). Give each a module of its own"
        )
    if classes:
        _, first = getsourcelines(classes[-1])
        lacking = ", ".join(sorted(getattr(classes[-1], "__abstractmethods__", ())) or ["read"])
        raise ValueError(f"{module.__file__} line {first}: {classes[-1].__name__} has no method {lacking}. Write it, {_AS_DOCUMENTED}")
    raise ValueError(f"{module.__file__}: holds no class that derives from Connector. Write one, {_AS_DOCUMENTED}")


def place_of(error: Exception, full_name: str) -> str:
    """File and line of an error in a module, or while it was imported; of the module's own lines the last one that was reached."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename} line {error.lineno}"
    frames = [one for one in extract_tb(error.__traceback__) if not one.filename.startswith("<frozen")]
    own = [one for one in frames if full_name.replace(".", os.sep) in one.filename]
    place = (own or frames)[-1]
    return f"{place.filename} line {place.lineno}"


def _built_in() -> str:
    """The connectors that come along: those of the modules in their folder that hold one."""
    names = [FILES]
    for found in iter_modules(import_module(_CONNECTORS).__path__):
        try:
            _connector_in(import_module(f"{_CONNECTORS}.{found.name}"))
        except ValueError:
            continue
        names.append(found.name)
    return ", ".join(sorted(names))


def _as_its_connector_has_it(found: Any) -> Any:
    """The settings of one source, checked by the class that its `connector` names."""
    if not isinstance(found, dict):
        return found
    name = found.get("connector")
    if not isinstance(name, str):
        fault = InitErrorDetails(type="missing" if name is None else "string_type", loc=("connector",), input=name)
        raise ValidationError.from_exception_data("source", [fault])
    try:
        settings_class = source_class(name)
    except ValueError as error:
        said = PydanticCustomError(NO_CONNECTOR, "{said}", {"said": str(error)})
        raise ValidationError.from_exception_data("source", [InitErrorDetails(type=said, loc=("connector",), input=name)]) from None
    return settings_class.model_validate(found)


AnySource = Annotated[Source, BeforeValidator(_as_its_connector_has_it)]
