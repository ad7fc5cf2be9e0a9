"""dbt on the working warehouse: nothing to hand over, nothing to take back."""

from collections.abc import Mapping
from typing import Any

import duckdb

from orchestration.engines import RunDbt
from orchestration.settings import DBT_PROJECT, Settings


class DuckDB:
    packages: tuple[str, ...] = ("dbt-duckdb",)

    def rebuilds_after_failure(self, settings: Settings) -> bool:
        return False

    def check(self, settings: Settings) -> None:
        pass

    def environment(self, settings: Settings) -> dict[str, str]:
        return {
            # Whatever target another project of this shell uses.
            "DBT_TARGET": "duckdb",
            "HEALTH_WAREHOUSE": str(settings.warehouse),
            "HEALTH_TEMP_DIR": str(settings.temp_dir),
            "HEALTH_MEMORY_LIMIT": settings.pipeline.memory_limit,
            "HEALTH_THREADS": str(settings.pipeline.threads),
        }

    def profile(self, settings: Settings) -> list[str]:
        return ["--profiles-dir", str(DBT_PROJECT), "--target", "duckdb"]

    def hand_over(self, settings: Settings, warehouse: duckdb.DuckDBPyConnection) -> None:
        pass

    def begin(self, settings: Settings, is_new: bool, run_dbt: RunDbt) -> list[str]:
        return []

    def take_back(self, settings: Settings, manifest: Mapping[str, Any], has_views: bool, run_dbt: RunDbt) -> None:
        pass

    def cancel(self) -> None:
        # dbt-duckdb is imported by dbt, and takes a second.
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.adapters.factory import get_adapter_by_type

        environment = DuckDBConnectionManager._ENV
        if environment is not None:
            environment.handle = _refuse
        get_adapter_by_type("duckdb").cancel_open_connections()

    def close(self) -> None:
        """dbt keeps the file open for its next invocation in this process."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        environment = DuckDBConnectionManager._ENV
        if environment is not None:
            environment.close()
            DuckDBConnectionManager.close_all_connections()


def _refuse() -> None:
    raise RuntimeError("the run was stopped")
