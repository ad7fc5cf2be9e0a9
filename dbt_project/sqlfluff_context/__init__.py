"""What sqlfluff renders where a model calls dbt: it reads the models without starting dbt, which would take several times as long."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from jinja2 import pass_context
from jinja2.runtime import Context

_VARS = yaml.safe_load((Path(__file__).parent.parent / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]


class _Adapter:
    def dispatch(self, name: str) -> Callable[..., str]:
        """The macro of `macros/cross_db/` for DuckDB."""

        @pass_context
        def call(context: Context, *arguments: Any) -> str:
            return context[f"duckdb__{name}"](*arguments)

        return call

    def get_columns_in_relation(self, relation: Any) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("account_id", "as_of_date")]


def var(name: str) -> Any:
    return _VARS[name]


def run_query(query: str) -> Any:
    """For the queries of macros: a metric of each of two dimensions, a playbook whose condition and reason name the first."""
    if "playbook_conditions" in query:
        return SimpleNamespace(rows=[("active_days_28d", "<", 1, 1, False)])
    if "playbook_fields" in query:
        return SimpleNamespace(rows=[("active_days_28d", "metric", "active_days_28d", False)])
    if "playbook_parts" in query:
        return SimpleNamespace(rows=[(None, 1, 1), ("active_days_28d", 2, 1)])
    return SimpleNamespace(rows=[("active_days_28d", "adoption", 2), ("nps_180d", "voice", 0)])


adapter = _Adapter()
dbt = SimpleNamespace(date_trunc=lambda part, date: f"date_trunc('{part}', {date})")
execute = True
target = SimpleNamespace(name="duckdb", schema="main", path="warehouse.duckdb")
