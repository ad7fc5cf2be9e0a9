"""What would break or mean something else on Spark, found in the text of the models: `make lint` runs it, without Spark and without dbt.

It reads the source rather than what dbt renders, so it sees both branches of an `if`, SQL in dictionaries, and the line. It knows no types:
`make test-spark` says the rest. `macros/cross_db/` is left out, where each engine has its own SQL.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestration.settings import DBT_PROJECT

# Functions that mean the same on both engines for what the models give them. Whoever adds one has read what Spark says of it.
SAME = frozenset(
    word
    for words in (
        "abs avg cast ceil coalesce count cume_dist dense_rank exp extract floor greatest lag lead least length ln lower max median min",
        "nullif rank regexp_replace replace row_number sqrt stddev_pop stddev_samp substr sum upper",
        # Words before a parenthesis.
        "and as by decimal distinct else exists from in not on or over then union using values when where with",
        # Of Jinja and dbt.
        "call config create_table_as dict is_incremental join load_cached_relation map persist_docs range ref rejectattr return run_hooks",
        "run_query selectattr sort source statement var",
    )
    for word in words.split()
)
# The same with one argument only.
_SAME_WITH_ONE = {
    "round": "rounds a tie by the digits that it prints; write {{ rounded(x, n) }} or {{ round_half_away(x, n) }}",
    "sign": "takes one argument; write a case",
    "trim": "takes the text second; write trim(both 'x' from text)",
}
# From so many digits on, what is rounded away is noise, and no tie is to be expected.
_NOISE_DIGITS = 9

_COUNTED = r"(?:[^()]|\([^()]*\))*"
# What is refused, why, and what to write instead.
_FORMS = (
    (r"(?<![\w.])\d+\.\d+(?![\d.]|e[-+]?\d)", "is a decimal, and Spark gives its quotients few digits; write a double, 28e0"),
    (r"(?i)\b(?:varchar|char|text)\b(?=\s*\)|\s*,\s*$)|'varchar'", "needs a length on Spark; write string"),
    (r"\bdbt\.(?:dateadd|datediff)\b", "refuses null dates on Spark; write date + 28, or a difference of {{ day_number(date) }}"),
    (r"\bdbt\.listagg\b", "drops the order on Spark; write {{ list_text(...) }}"),
    (r"(?i)\bover\s*\(\s*(?!partition\b|order\b|rows\b|range\b|\))[a-z_]\w*", "extends a window, which Spark cannot; name it in `window`"),
    (r"(?i)\b(?:ignore|respect)\s+nulls\b", "has another place on Spark; write {{ last_known(x) }} or {{ first_known(x) }}"),
    (r"(?<![:/])//(?!/)", "is no operator of Spark; write cast(floor(a / b) as integer)"),
    (r"::", "is not known to every engine; write cast(x as type)"),
    (r"(?i)\*\s*(?:exclude|replace|rename)\s*\(", "is not known to Spark; name the columns"),
    (r"(?i)\b(?:asof|positional)\s+join\b", "is not known to Spark; write a join and row_number()"),
    (r"\b\w+\s*->\s*\w+", "is not the same on Spark; write it without a list"),
    (r"(?m)^order by\b", "sorts all rows across Spark's workers for nothing; write {{ stored_order('...') }}"),
    (r"(?i)\binterval\s+['\d]", "makes a timestamp of a date on DuckDB only; write date + 28"),
    (
        rf"(?i)\bcast\(\s*(?!round\b|floor\b|ceil\b){_COUNTED}?/{_COUNTED}\bas\s+(?:integer|int|bigint)\)",
        "rounds on DuckDB and cuts off on Spark; write cast(round(x) as integer)",
    ),
    (r"\b\w*_(?:on|date)\s+-\s+(?:\w+\.)?\w+_(?:on|date)\b", "is an interval on Spark; write a difference of {{ day_number(date) }}"),
)
# Of types that YAML states.
_TYPES = (r"(?m):[ \t]*(varchar|text)[ \t]*$", "needs a length on Spark; write string")
# Jinja has its own quotes and backslashes.
_FORMS_OUTSIDE_JINJA = (
    (r'"[^"\n]*"', "is a text on Spark; choose a name that needs no quotes"),
    (r"'[^'\n]*\\[^'\n]*'", "has an escape on Spark and a backslash on DuckDB; write [.] in a pattern"),
)


def faults(text: str, macros: set[str]) -> Iterator[tuple[int, str, str]]:
    """What a model's text holds that Spark refuses or takes otherwise.

    Args:
        text: of a .sql file of dbt.
        macros: the project's macros, whose calls are not functions of SQL.

    Yields:
        (line, what is there, why and what to write).
    """
    text = _without_comments(text)
    for pattern, remedy in _FORMS:
        for match in re.finditer(pattern, text):
            yield _line(text, match.start()), match[0].strip(), remedy
    for name, start, arguments in _calls(text):
        if name in _SAME_WITH_ONE:
            given = len(arguments) > 1 and not arguments[0].lstrip().startswith("cast(")
            if given and not (name == "round" and arguments[1].strip().isdigit() and int(arguments[1]) >= _NOISE_DIGITS):
                yield _line(text, start), f"{name}(x, {arguments[1].strip()})", _SAME_WITH_ONE[name]
        elif name not in SAME | macros:
            remedy = "may mean another thing on Spark; look, then add it to SAME in tests/portable_sql.py, or give it a macro in cross_db"
            yield _line(text, start), f"{name}()", remedy


def faults_outside_jinja(text: str) -> Iterator[tuple[int, str, str]]:
    """The same of what Jinja has its own meaning for: double quotes and backslashes."""
    jinja = r"\{\{.*?\}\}|\{%.*?%\}"
    plain = re.sub(jinja, lambda found: "\n" * found[0].count("\n"), _without_comments(text), flags=re.DOTALL)
    for pattern, remedy in _FORMS_OUTSIDE_JINJA:
        for match in re.finditer(pattern, plain):
            yield _line(plain, match.start()), match[0], remedy


def _without_comments(text: str) -> str:
    return re.sub(r"\{#.*?#\}|--[^\n]*", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.DOTALL)


def _calls(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """Each call as its name, where it begins, and its arguments."""
    for match in re.finditer(r"(?<![.\w])([a-z_]\w*)\(", text):
        arguments, depth, begin = [], 0, match.end()
        for position in range(match.end(), len(text)):
            character = text[position]
            if character in "([{":
                depth += 1
            elif depth and character in ")]}":
                depth -= 1
            elif character == ")" or (character == "," and not depth):
                arguments.append(text[begin:position])
                begin = position + 1
                if character == ")":
                    break
        yield match[1], match.start(), arguments


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def main(project: Path = DBT_PROJECT) -> int:
    """Say every fault of the project's SQL; returns how many."""
    files = [file for part in ("models", "tests", "macros") for file in sorted((project / part).rglob("*.sql"))]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    macros = set(re.findall(r"\{%-?\s*(?:macro|test)\s+(\w+)", "\n".join(texts.values())))
    found = 0
    for file in [project / "dbt_project.yml", *sorted((project / "models").rglob("*.yml"))]:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        for match in re.finditer(_TYPES[0], text):
            print(f"{file.relative_to(project.parent)}:{_line(text, match.start())}: {match[1]} {_TYPES[1]}")
            found += 1
    for file, text in texts.items():
        # Per engine, or for DuckDB alone.
        if file.parent.name == "cross_db" or "adapter='duckdb'" in text:
            continue
        for line, what, remedy in sorted([*faults(text, macros), *faults_outside_jinja(text)]):
            print(f"{file.relative_to(project.parent)}:{line}: {what} {remedy}")
            found += 1
    return found


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
