"""The lint of the models' SQL refuses what breaks on Spark, or means something else there."""

from pathlib import Path

import pytest

from tests.portable_sql import main

REFUSED = {
    "a decimal, whose quotients have few digits": "select events / 28.0 as rate from days",
    "a text type without its length": "select cast(null as varchar) as note from days",
    "dbt.dateadd refuses null dates": "select {{ dbt.dateadd('day', 28, 'ended_on') }} as due_on from days",
    "dbt.datediff refuses null dates": "select {{ dbt.datediff('a', 'b', 'day') }} as days from days",
    "dbt.listagg drops the order": "select {{ dbt.listagg('label', \"', '\", 'order by label') }} as labels from days",
    "a list of an engine": "select string_agg(label, ', ' order by label) as labels from days",
    "a window that extends a named one": "select sum(x) over (peers order by y) as total from days window peers as (partition by z)",
    "a frame added to a named window": "select max(x) over (latest rows unbounded preceding) as m from days",
    "nulls in a window": "select last_value(tier ignore nulls) over (order by day) as tier from days",
    "round by digits": "select round(health_score - before, 1) as delta from days",
    "text and characters of a trim, the other way round": "select rtrim(label, '.') as label from days",
    "trim with two arguments": "select trim(label, '.') as label from days",
    "integer division": "select day // 7 as week from days",
    "a short cast": "select day::date as day from days",
    "a backslash in a text": "select regexp_replace(label, '\\.0$', '') as label from days",
    "a name in quotes": 'select "order" from days',
    "a star without columns": "select * exclude (day) from days",
    "a join of DuckDB": "select a.x from a asof join b on a.day >= b.day",
    "a function of DuckDB": "select arg_max(tier, day) as tier from days",
    "a lambda": "select list_transform(days, x -> x + 1) as days from days",
    "an order of all rows": "select day from days\norder by day",
    "an interval": "select day + interval '1 day' as next_day from days",
    "a cast that rounds here": "select cast(day / 7 as integer) as week from days",
    "a difference of dates": "select ended_on - started_on as length from days",
    "a half query in a dictionary": "{% set metrics = {'rate': {'value': 'events / 28.0'}} %}\nselect 1 as one",
    "a branch that is not rendered": "{% if is_incremental() %}select x // 2 from days{% else %}select x from days{% endif %}",
}
ACCEPTED = """
-- A comment may say 28.0, "quoted" or x::date.
{{ config(materialized='incremental', pre_hook="{{ replace_as_of_days() }}") }}
{# So may this: round(x, 2). #}
select
    events / 28e0 as rate,
    cast(null as string) as note,
    ended_on + 28 as due_on,
    {{ day_number('ended_on') }} - {{ day_number('started_on') }} as days,
    round(coverage, 9) as coverage,
    round(cast(score as decimal(38, 9)), 1) as score,
    cast(ceil(day / 28e0) as integer) as periods,
    trim(trailing '.' from label) as label,
    {{ list_text('label', "', '", 'label') }} as labels,
    row_number() over latest_first as position,
    sum(x) over (partition by account_id order by day rows between 3 preceding and current row) as total
from days
window latest_first as (partition by account_id order by day desc)
{{ stored_order('day') }}
"""


def project(folder: Path, model: str) -> Path:
    (folder / "models").mkdir()
    (folder / "models" / "model.sql").write_text(model, encoding="utf-8")
    (folder / "macros" / "cross_db").mkdir(parents=True)
    names = ("day_number", "list_text", "replace_as_of_days", "stored_order")
    macros = "".join(f"{{% macro {name}(x) %}}{{% endmacro %}}\n" for name in names)
    (folder / "macros" / "macros.sql").write_text(macros, encoding="utf-8")
    (folder / "macros" / "cross_db" / "apart.sql").write_text("{% macro duckdb__x() %}epoch_us(x)::date{% endmacro %}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED.keys())
def test_what_spark_takes_otherwise_is_refused_with_its_line_and_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sql: str
) -> None:
    assert main(project(tmp_path, "-- Grain: day.\n\n" + sql))
    said = capsys.readouterr().out
    line = 2 + len(sql.splitlines()) if sql.startswith("select day from") else 3
    assert f"models/model.sql:{line}: " in said
    assert "; " in said


def test_a_stated_type_without_its_length_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project(tmp_path, "select 1 as one")
    (folder / "models" / "_model.yml").write_text("models:\n  - name: model\n    data_type: varchar\n", encoding="utf-8")
    assert main(folder) == 1
    assert "models/_model.yml:3: varchar " in capsys.readouterr().out


def test_sql_that_means_the_same_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(project(tmp_path, ACCEPTED)) == 0, capsys.readouterr().out


def test_the_models_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0, capsys.readouterr().out
