"""Where dbt builds the models: in the working warehouse itself (`duckdb`), or on Spark (`spark`), with the same models.

Whatever the engine, a run prepares `warehouse.duckdb`, and what comes after dbt reads the marts there. So another engine gets the schemas
`raw` and `control` handed over, and gives back what others read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import duckdb

from orchestration.settings import Settings


class RunDbt(Protocol):
    """Runs a command of dbt with what has been parsed for these settings; raises if it fails."""

    def __call__(self, settings: Settings, command: Sequence[str]) -> None: ...


class Engine(Protocol):
    """What differs between engines, outside the SQL of `dbt_project/macros/cross_db/`.

    Attributes:
        packages: those that dbt builds with; another version of one makes everything anew.
        rebuilds_after_failure: a model that fails may leave a table without the rows that it was to replace.
    """

    packages: tuple[str, ...]

    def rebuilds_after_failure(self, settings: Settings) -> bool: ...

    def check(self, settings: Settings) -> None:
        """Raise a SettingsError that says what to install, if something is missing."""

    def environment(self, settings: Settings) -> dict[str, str]:
        """Variables that profiles.yml and dbt_project.yml read."""

    def profile(self, settings: Settings) -> list[str]:
        """Options of dbt that name its connection."""

    def hand_over(self, settings: Settings, warehouse: duckdb.DuckDBPyConnection) -> None:
        """Make the prepared schemas `raw` and `control` readable for the engine."""

    def begin(self, settings: Settings, is_new: bool, run_dbt: RunDbt) -> list[str]:
        """Before `dbt build`: let the engine see what was handed over; returns further options of the build.

        Args:
            is_new: the warehouse holds no day yet, so the engine may not keep any.
        """

    def take_back(self, settings: Settings, manifest: Mapping[str, Any], has_views: bool, run_dbt: RunDbt) -> None:
        """After `dbt build`: bring what is read after dbt into the warehouse.

        Args:
            has_views: the views in the warehouse are those of this product and these rules.
        """

    def cancel(self) -> None:
        """Cancel what runs, and let nothing else begin, so that dbt ends."""

    def close(self) -> None:
        """Leave nothing open in this process."""


def engine_of(settings: Settings) -> Engine:
    """The engine of `[warehouse]`; its libraries are imported only here."""
    if settings.engine.engine == "spark":
        from orchestration.engines.spark import Spark

        return Spark()
    from orchestration.engines.duckdb import DuckDB

    return DuckDB()
