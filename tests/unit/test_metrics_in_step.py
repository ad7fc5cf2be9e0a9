"""A metric has its columns in one wide model and its row in seeds/metrics.csv: the shipped ones are in both."""

import csv
import re

from orchestration.settings import DBT_PROJECT, PROJECT_ROOT


def test_every_metric_has_its_column_and_its_row() -> None:
    columns = {
        (path.stem.removeprefix("int_metrics__"), key)
        for path in (DBT_PROJECT / "models/intermediate/metrics").glob("int_metrics__*.sql")
        for key in re.findall(r"^    '(\w+)': {", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    with (PROJECT_ROOT / "seeds/metrics.csv").open(encoding="utf-8", newline="") as stream:
        rows = {(row["dimension_key"], row["metric_key"]) for row in csv.DictReader(stream)}
    assert columns == rows
    assert rows
