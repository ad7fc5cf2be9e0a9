"""Typed settings: one TOML file says where data comes from, where it goes and what a run may use.

`HEALTH_CONFIG` names the file; without it, `health.toml` in the project root, which runs the demo company. Paths in it are
relative to it. Unknown keys are errors.
"""

import codecs
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from orchestration.contract import TABLES
from orchestration.errors import UserError
from orchestration.sources import LITERAL_SECRET, NO_CONNECTOR, AnySource, FilesSource, Secret, SecretReference, Section

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT = PROJECT_ROOT / "dbt_project"

MailAddress = Annotated[str, Field(pattern=r"^[^@\s<>,;:\"]{1,64}@[^@\s<>,;:\"]{1,255}$")]

# Days outside are slips of the pen; Dagster would list each day between as a partition.
FIRST_YEAR, LAST_YEAR = 1990, 2199
_SMALLEST_MEMORY, _LARGEST_MEMORY = 128 * 10**6, 100 * 10**12
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class SettingsError(UserError, ValueError):
    """The configuration cannot be used; the message names the file, the key and the remedy."""


def _bytes(limit: str) -> int:
    [(number, unit)] = re.findall(r"^([\d.]+)\s?(\w+)$", limit)
    return int(float(number) * _UNITS[unit])


class Pipeline(Section):
    """`[pipeline]`: what is scored, where it lands and the limits of a run."""

    start_date: date
    end_date: date | None = Field(default=None, description="last partition; without it, yesterday (UTC)")
    data_dir: Path = Path("data")
    seeds_dir: Path | None = Field(default=None, description="another folder of scorecard seeds than the project's")
    reporting_currency: str = "USD"
    lookback_days: int = Field(default=3, ge=0, le=366)
    cadence_days: int = Field(default=1, ge=1, le=366, description="a newer day should be published every so many days")
    memory_limit: str = Field(default="2000MB", pattern=r"^\d+(\.\d+)?\s?(MB|GB|TB|MiB|GiB|TiB)$")
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=1024)
    part_days: int | None = Field(default=None, ge=1, le=36_500, description="days that a run scores at a time")
    keep_generations: int = Field(default=7, ge=1, le=10_000)
    metric_history_days: int = Field(default=92, ge=1, le=36_500)
    lock_timeout_seconds: float = Field(default=60, ge=0, le=86_400)

    @property
    def memory_bytes(self) -> int:
        return _bytes(self.memory_limit)

    @field_validator("start_date", "end_date")
    @classmethod
    def _day_within_reason(cls, day: date | None) -> date | None:
        if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValueError(f"give a day from {FIRST_YEAR}-01-01 to {LAST_YEAR}-12-31")
        return day

    @field_validator("reporting_currency")
    @classmethod
    def _currency_code(cls, code: str) -> str:
        if not re.fullmatch("[A-Za-z]{3,12}", code):
            raise ValueError("give the code of a currency, such as USD")
        return code.upper()

    @field_validator("memory_limit")
    @classmethod
    def _memory_within_reason(cls, limit: str) -> str:
        if not _SMALLEST_MEMORY <= _bytes(limit) <= _LARGEST_MEMORY:
            raise ValueError('give from "128MB" to "100TB"; a run needs "512MB" or more')
        return limit

    @model_validator(mode="after")
    def _end_after_start(self) -> "Pipeline":
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} lies before start_date {self.start_date}")
        return self


class Engine(Section):
    """`[warehouse]`: where dbt builds the models. The other keys are for Spark: docs/spark.md.

    Attributes:
        profiles_dir: folder of the team's own `profiles.yml`; without it Spark runs in the process of the run, with its tables in the data
            folder.
        profile: of that file; by default `customer_health`.
        target: of that profile; by default the one that it names.
        table_format: of the tables that Spark makes. Plain Parquet cannot replace rows, so it is for small warehouses.
        exchange: folder that this machine and Spark both reach; by default in the data folder.
        exchange_uri: how Spark names it; by default `file:` and its path.
    """

    engine: Literal["duckdb", "spark"] = "duckdb"
    profiles_dir: Path | None = None
    profile: str | None = None
    target: str | None = None
    table_format: Literal["parquet", "delta", "iceberg"] = "parquet"
    exchange: Path | None = None
    exchange_uri: str | None = Field(default=None, pattern=r"^[^'`\\]+$")

    @model_validator(mode="after")
    def _keys_are_of_spark(self) -> "Engine":
        if self.engine == "duckdb" and (others := sorted(self.model_fields_set - {"engine"})):
            raise ValueError(f'{", ".join(others)}: only Spark has use for it. Set engine = "spark", or leave it out')
        if self.profiles_dir is None and (named := sorted(self.model_fields_set & {"profile", "target"})):
            raise ValueError(f"{', '.join(named)}: of your own profiles.yml. Set profiles_dir to its folder, or leave it out")
        return self


class Demo(Section):
    """`[demo]`: size and seed of the demo company."""

    accounts: int = Field(default=500, ge=1, le=1_000_000)
    seed: int = Field(default=7, ge=0, lt=2**63)
    dirt: bool = True


class Board(Section):
    """`[board]`: the static site that is published with the mart.

    Attributes:
        base_url: address under which people open the folder `published/current/board`; alerts and exports link to it.
        history_days: days of score and tier history that it shows.
    """

    base_url: str | None = Field(default=None, pattern=r"^(https?|file)://\S+$")
    history_days: int = Field(default=180, ge=1, le=1100)


class Mail(Section):
    """`[mail]`: the server that takes e-mail.

    Attributes:
        server: its address, `smtp://user:password@host:587` (encrypted from STARTTLS on) or `smtps://user:password@host` (from the start);
            a server that asks for no password is `smtp://host`.
        sender: who the messages are from.
    """

    server: SecretReference
    sender: MailAddress


class Addresses(Section):
    """Where messages for people go: to any of the three, or to none.

    Attributes:
        email: by the server of `[mail]`, in one message.
        slack_webhook: address of a Slack incoming webhook.
        teams_webhook: address of a Teams workflow ("when a webhook request is received").
    """

    email: tuple[MailAddress, ...] = ()
    slack_webhook: SecretReference | None = None
    teams_webhook: SecretReference | None = None


class Alerts(Addresses):
    """`[alerts]`: where messages about the published mart and failed runs go; nothing is sent where no address is given.

    Attributes:
        webhook: address that takes JSON.
        webhook_key: signs the JSON, see `orchestration.publish.alerts.delivery`.
        timeout_seconds: longest wait for a connection and for the answer.
        max_attempts: how often a message is tried in one go.
        max_seconds: no further try of a message after so long; the next run tries again.
    """

    webhook: SecretReference | None = None
    webhook_key: SecretReference | None = None
    timeout_seconds: float = Field(default=10, gt=0, le=60)
    max_attempts: int = Field(default=4, ge=1, le=20)
    max_seconds: float = Field(default=60, gt=0, le=600)


class Digest(Addresses):
    """`[digest]`: where the weekly digest of the company goes, and that of each owner (`csm`) of accounts.

    Attributes:
        owners: name -> mail address, or addresses as those of the company. An owner whose name is a mail address of the sender's domain
            needs no entry.
    """

    owners: dict[str, Annotated[Addresses, BeforeValidator(lambda value: {"email": [value]} if isinstance(value, str) else value)]] = {}


class Validation(Section):
    """`[validation]`: how the scores are held against what happened.

    Attributes:
        horizon_days: the horizon that the board and the check speak of.
        min_skill: least skill of the version in force that the check asks for; None asks for none.
        on_low_skill: below it the check warns, is an error, or also stops publishing until a validation finds more.
    """

    horizon_days: Literal[30, 90, 180] = 90
    min_skill: float | None = Field(default=None, ge=0, le=1)
    on_low_skill: Literal["warn", "error", "stop"] = "warn"


class PostgresExport(Section):
    """`[exports.postgres]`: a copy of the mart for tools without a DuckDB driver.

    Attributes:
        url: address with user and password, `postgresql://writer:...@host/database`; the user owns the schema or may create it.
        schema_name: `schema` in the file; for the mart alone.
        tables: of the published tables, those to copy; by default all.
    """

    url: SecretReference
    # Lower case and no more than Postgres keeps of a name, so that nobody has to quote it.
    schema_name: str = Field(default="health", alias="schema", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    tables: list[str] | None = Field(default=None, min_length=1)


class Exports(Section):
    """`[exports]`: where the mart goes besides its own folder.

    Attributes:
        long_parquet: histories whose Parquet is written long, too: a row for each metric, dimension or component, as in `health.duckdb`.
    """

    postgres: PostgresExport | None = None
    long_parquet: list[Literal["metric_scores_history", "score_changes", "dimension_scores_history"]] = []


class Privacy(Section):
    """`[privacy]`: what the lake knows of people and the mart may show.

    Attributes:
        contact_names: names, mail addresses and ids of contacts; without them there are roles, counts and days.
    """

    contact_names: bool = False


def _check_delivery(name: str, source: AnySource) -> None:
    """What a file of a day holds must be said, except of usage: a key that a file lacks may have left, or just not changed."""
    delivery = getattr(source, "delivery", None)
    if TABLES[name].by_day:
        if delivery == "full":
            raise ValueError(f"{name}.delivery: the files of a day hold that day's usage. Leave it out")
    elif delivery is None and isinstance(source, FilesSource) and source.day_token is not None:
        raise ValueError(
            f'{name}.delivery: say what the file of a day in {source.path} holds. Write delivery = "full" (each file is the whole table: '
            'what it lacks has left on that day, what changed holds from that day on) or delivery = "changes" (a file holds rows that '
            "are new or changed, and all others stay)"
        )


class Settings(BaseSettings):
    """Everything a run needs to know. Build it with `load_settings`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    pipeline: Pipeline
    engine: Engine = Field(default=Engine(), alias="warehouse")
    sources: dict[str, AnySource] = {}
    demo: Demo = Demo()
    board: Board = Board()
    mail: Mail | None = None
    alerts: Alerts = Alerts()
    digest: Digest = Digest()
    exports: Exports = Exports()
    validation: Validation = Validation()
    privacy: Privacy = Privacy()
    config_file: Path

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the sources that are left out have no name here
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        **_: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config_file = init_settings()["config_file"]
        return init_settings, TomlConfigSettingsSource(settings_cls, config_file)

    @field_validator("sources")
    @classmethod
    def _tables_and_columns_exist(cls, sources: dict[str, AnySource]) -> dict[str, AnySource]:
        for name, source in sources.items():
            if name not in TABLES:
                raise ValueError(f"'{name}' is not a raw table; the raw tables are {', '.join(sorted(TABLES))}")
            if source.tables and name not in source.tables:
                raise ValueError(f"{name}: the connector {source.connector} fills {', '.join(source.tables)} only")
            _check_delivery(name, source)
            unknown = sorted(set(getattr(source, "columns", {})) - set(TABLES[name].by_name))
            if unknown:
                raise ValueError(
                    f"{name}.columns: {', '.join(unknown)} is not a column of {name}; its columns are {', '.join(TABLES[name].by_name)}"
                )
        if "accounts" not in sources:
            raise ValueError("accounts is required: nothing is scored without it. Add [sources.accounts]")
        return sources

    @model_validator(mode="after")
    def _mail_has_a_server(self) -> "Settings":
        sections = {"alerts": self.alerts, "digest": self.digest} | {f"digest.owners.{name}": to for name, to in self.digest.owners.items()}
        for name, addresses in sections.items():
            if addresses.email and self.mail is None:
                raise ValueError(f'{name}: e-mail needs a server. Add [mail] with server = {{ env = "SMTP_URL" }} and sender')
        return self

    @property
    def last_day(self) -> date:
        """The last day that a run would score now: the configured one, else yesterday (UTC)."""
        return self.pipeline.end_date or datetime.now(UTC).date() - timedelta(days=1)

    def resolve(self, path: str | Path) -> Path:
        """A path of the configuration, relative to the file that names it."""
        return self.config_file.parent / path

    def make_data_dir(self) -> Path:
        """Make the data folder where there is none, and try to write in it; every command that writes begins so.

        Raises:
            SettingsError: it cannot be made or written.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.data_dir):
                pass
        except OSError as error:
            raise SettingsError(
                f"{self.config_file}: pipeline.data_dir: {self.data_dir} cannot be written: {error.strerror}. "
                "Name a folder in which this user may write, on a disk with free space"
            ) from None
        return self.data_dir

    def moved_to(self, data_dir: Path, seeds_dir: Path | None = None) -> "Settings":
        """The same settings with another data folder, and with another folder of seeds where one is given."""
        folders = {"data_dir": data_dir} | ({"seeds_dir": seeds_dir} if seeds_dir else {})
        moved = self.model_copy(update={"pipeline": self.pipeline.model_copy(update=folders)})
        # A copy takes along what was worked out for the old folders.
        for folder in folders:
            moved.__dict__.pop(folder, None)
        return moved

    def on_duckdb(self) -> "Settings":
        """The same settings with DuckDB as the engine."""
        return self.model_copy(update={"engine": Engine()})

    @cached_property
    def data_dir(self) -> Path:
        return self.resolve(self.pipeline.data_dir)

    @cached_property
    def seeds_dir(self) -> Path:
        return PROJECT_ROOT / "seeds" if self.pipeline.seeds_dir is None else self.resolve(self.pipeline.seeds_dir)

    @property
    def lake(self) -> Path:
        return self.data_dir / "lake"

    @property
    def warehouse(self) -> Path:
        return self.data_dir / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        return self.data_dir / "published"

    @property
    def revisions(self) -> Path:
        return self.data_dir / "revisions"

    @property
    def alert_log(self) -> Path:
        """Which alerts were given and which messages are still to be sent. Lost, the newest day's alerts are sent once more."""
        return self.data_dir / "alerts" / "alerts.sqlite"

    @property
    def dagster_home(self) -> Path:
        return self.data_dir / "dagster"

    @property
    def temp_dir(self) -> Path:
        """Where DuckDB spills and half-written files are; emptied at the start of a writing run."""
        return self.data_dir / "tmp"

    @property
    def dbt_target(self) -> Path:
        """What dbt parsed and wrote; of each engine its own."""
        return self.data_dir / ("dbt" if self.engine.engine == "duckdb" else f"dbt-{self.engine.engine}")

    @property
    def exchange(self) -> Path:
        """Where files go to another engine and come back; emptied on the way."""
        return self.data_dir / "exchange" if self.engine.exchange is None else self.resolve(self.engine.exchange)

    @property
    def exchange_uri(self) -> str:
        """The same as the other engine names it."""
        return (self.engine.exchange_uri or f"file:{self.exchange.resolve()}").rstrip("/")

    def late_after_days(self, table: str) -> int | None:
        source = self.sources.get(table)
        if source is not None and source.late_after_days is not None:
            return source.late_after_days
        return TABLES[table].late_after_days

    def max_bad_share(self, table: str) -> float:
        source = self.sources.get(table)
        if source is not None and source.max_bad_share is not None:
            return source.max_bad_share
        return TABLES[table].max_bad_share


def secret_value(where: str, secret: Secret) -> str:
    """The value of a secret.

    Args:
        where: its key in the configuration, for the message.
        secret: names the environment variable.

    Raises:
        SettingsError: the variable is not set.
    """
    value = secret.value()
    if value is None:
        raise SettingsError(f"{where}: the environment variable {secret.env} is not set. Set it to the secret, then run again")
    return value


def load_settings(config_file: Path | str | None = None) -> Settings:
    """Read and check the configuration.

    Args:
        config_file: the TOML file; by default `HEALTH_CONFIG`, else the project's `health.toml`.

    Raises:
        SettingsError: the file is missing, is not TOML, or holds a wrong key or value; one line per fault.
    """
    path = Path(config_file or os.environ.get("HEALTH_CONFIG") or PROJECT_ROOT / "health.toml").resolve()
    if not path.is_file():
        raise SettingsError(f"{path}: no such file. Set HEALTH_CONFIG to your health.toml")
    text = _read_text(path)
    try:
        if faults := [f"{path}: {fault}" for fault in _unusable_texts(tomllib.loads(text))]:
            raise SettingsError("\n".join(faults))
        return Settings(config_file=path)  # type: ignore[call-arg]  # the rest comes from the file
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        faults = [f"{path}: {_key(fault['loc'])}: {_say(fault)}" for fault in error.errors()]
        raise SettingsError("\n".join(faults)) from error


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}. Let this user read it") from None
    remedy = "Save it as UTF-8 without a byte order mark"
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SettingsError(f"{path}: begins with a byte order mark ({content[:3].hex(' ')}). {remedy}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path} line {line}: byte {content[error.start]:02x} is not UTF-8. {remedy}") from None


def _unusable_texts(value: Any, where: str = "") -> Iterator[str]:
    """Texts that no key takes: blank ones, and ones with NUL. Not shown, since one may be a secret in the wrong place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _unusable_texts(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _unusable_texts(inner, where)
    elif isinstance(value, str) and not value.strip():
        yield f"{where}: blank. Give a value, or remove the key"
    elif isinstance(value, str) and "\0" in value:
        yield f"{where}: has the character NUL in it. Remove it"


def _key(location: tuple[int | str, ...]) -> str:
    """`sources.invoices.path`."""
    return ".".join(str(part) for part in location)


def _say(fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        return "unknown key. Remove it or fix its spelling"
    if fault["type"] == "missing":
        return "required, but missing"
    message = fault["msg"].removeprefix("Value error, ")
    # A whole section, or what should have been a reference to a secret or the name of its variable, may hold one.
    if fault["type"] in (LITERAL_SECRET, NO_CONNECTOR) or isinstance(fault["input"], dict) or fault["loc"][-1] == "env":
        return message
    return f"{message}, found {fault['input']!r:.80}"
