"""Typed settings: one TOML file says where data comes from, where it goes and what a run may use.

`HEALTH_CONFIG` names the file; without it, `health.toml` in the project root, which runs the demo company. Paths in it are
relative to it. Unknown keys are errors.
"""

import os
import tomllib
from datetime import date
from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from orchestration.contract import TABLES
from orchestration.sources import CONNECTORS, LITERAL_SECRET, AnySource, Secret, SecretReference, Section

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT = PROJECT_ROOT / "dbt_project"
EVENT_TABLE = "usage_events"


class SettingsError(ValueError):
    """The configuration cannot be used; the message names the file, the key and the remedy."""


class Pipeline(Section):
    """`[pipeline]`: what is scored, where it lands and the limits of a run."""

    start_date: date
    end_date: date | None = Field(default=None, description="last partition; without it, yesterday (UTC)")
    data_dir: Path = Path("data")
    seeds_dir: Path | None = Field(default=None, description="another folder of scorecard seeds than the project's")
    reporting_currency: str = Field(default="USD", min_length=1)
    lookback_days: int = Field(default=3, ge=0, le=366)
    memory_limit: str = Field(default="2500MB", pattern=r"^\d+(\.\d+)?\s?(MB|GB|TB|MiB|GiB|TiB)$")
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    keep_generations: int = Field(default=7, ge=1)
    metric_history_days: int = Field(default=92, ge=1)
    lock_timeout_seconds: float = Field(default=60, ge=0)

    @model_validator(mode="after")
    def _end_after_start(self) -> "Pipeline":
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError(f"end_date {self.end_date} lies before start_date {self.start_date}")
        return self


class Demo(Section):
    """`[demo]`: size and seed of the demo company."""

    accounts: int = Field(default=500, ge=1)
    seed: int = Field(default=7, ge=0)
    dirt: bool = True


class Board(Section):
    """`[board]`: the static site that is published with the mart.

    Attributes:
        base_url: address under which people open the folder `published/current/board`; alerts and exports link to it.
        history_days: days of score and tier history that it shows.
    """

    base_url: str | None = Field(default=None, pattern=r"^(https?|file)://\S+$")
    history_days: int = Field(default=180, ge=1, le=1100)


class Alerts(Section):
    """`[alerts]`: where messages about the published mart go; nothing is sent where neither address is given.

    Attributes:
        slack_webhook: address of a Slack incoming webhook.
        webhook: address that takes JSON.
        webhook_key: signs the JSON, see `orchestration.publish.alerts.delivery`.
        timeout_seconds: longest wait for a connection and for the answer.
        max_attempts: how often a message is tried in one go.
        max_seconds: no further try of a message after so long; the next run tries again.
    """

    slack_webhook: SecretReference | None = None
    webhook: SecretReference | None = None
    webhook_key: SecretReference | None = None
    timeout_seconds: float = Field(default=10, gt=0, le=60)
    max_attempts: int = Field(default=4, ge=1, le=20)
    max_seconds: float = Field(default=60, gt=0, le=600)


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
    """`[exports]`: where the mart goes besides its own folder."""

    postgres: PostgresExport | None = None


class Settings(BaseSettings):
    """Everything a run needs to know. Build it with `load_settings`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    pipeline: Pipeline
    sources: dict[str, AnySource] = {}
    demo: Demo = Demo()
    board: Board = Board()
    alerts: Alerts = Alerts()
    exports: Exports = Exports()
    config_file: Path

    @classmethod
    def settings_customise_sources(
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
                raise ValueError(f"'{name}' is no raw table; the raw tables are {', '.join(sorted(TABLES))}")
            if source.tables and name not in source.tables:
                raise ValueError(f"{name}: the connector {source.connector} fills {', '.join(source.tables)} only")
            unknown = sorted(set(getattr(source, "columns", {})) - set(TABLES[name].by_name))
            if unknown:
                raise ValueError(
                    f"{name}.columns: {', '.join(unknown)} is no column of {name}; "
                    f"its columns are {', '.join(TABLES[name].by_name)}"
                )
        if "accounts" not in sources:
            raise ValueError("accounts is required: nothing is scored without it. Add [sources.accounts]")
        return sources

    def resolve(self, path: str | Path) -> Path:
        """A path of the configuration, relative to the file that names it."""
        return self.config_file.parent / path

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
        """Where DuckDB spills and half-written files stand; emptied at the start of a writing run."""
        return self.data_dir / "tmp"

    @property
    def dbt_target(self) -> Path:
        return self.data_dir / "dbt"

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
        SettingsError: the file is missing, is no TOML, or holds a wrong key or value; one line per fault.
    """
    path = Path(config_file or os.environ.get("HEALTH_CONFIG") or PROJECT_ROOT / "health.toml").resolve()
    if not path.is_file():
        raise SettingsError(f"{path}: no such file. Set HEALTH_CONFIG to your health.toml")
    try:
        return Settings(config_file=path)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: no valid TOML: {error}") from error
    except ValidationError as error:
        faults = [f"{path}: {_key(fault['loc'])}: {_say(fault)}" for fault in error.errors()]
        raise SettingsError("\n".join(faults)) from error


def _key(location: tuple[int | str, ...]) -> str:
    """`sources.invoices.path`, without the tag that pydantic puts between table and key."""
    parts = [str(part) for part in location]
    if len(parts) > 2 and parts[0] == "sources" and parts[2] in CONNECTORS:
        del parts[2]
    return ".".join(parts)


def _say(fault) -> str:
    if fault["type"] == "extra_forbidden":
        return "unknown key. Remove it or mend its spelling"
    if fault["type"] == "union_tag_invalid":
        return f"unknown connector {fault['ctx']['tag']}; there is {fault['ctx']['expected_tags']}"
    if fault["type"] == "missing":
        return "required, but missing"
    message = fault["msg"].removeprefix("Value error, ")
    # A whole section, or what should have been a reference to a secret or the name of its variable, may hold one.
    if fault["type"] == LITERAL_SECRET or isinstance(fault["input"], dict) or fault["loc"][-1] == "env":
        return message
    return f"{message}, found {fault['input']!r:.80}"
