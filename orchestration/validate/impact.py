"""What a change of the scorecard does, as Markdown for a pull request: the command `health impact`."""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from orchestration.errors import UserError
from orchestration.locking import writer_lock
from orchestration.markdown import table, verbatim
from orchestration.publish.generations import DATABASE, generation_path, open_published, require_current
from orchestration.rescoring import find_rules, rescore
from orchestration.run_guard import check_seeds, remove_leftovers
from orchestration.settings import Settings
from orchestration.shared import DEFAULT_TIERS
from orchestration.validate.judge import judge
from orchestration.validate.points import RESTATED, Version, prepare, read_points
from orchestration.validate.statistics import draw_accounts
from orchestration.warehouse import connect, first_line, literal, rows_of

Row = dict[str, Any]
DAYS = 28
_LARGEST = 10
_TIERS = (*DEFAULT_TIERS, "unknown")

_BOTH = """
create or replace temp table both_versions as
with versions as (

    select config_version, account_id, as_of_date, health_score, uncapped_score, raw_tier, cap_key from account_health_history
    union all
    select config_version, account_id, as_of_date, health_score, uncapped_score, raw_tier, cap_key from candidate_scores_history

),

compared as (

    select base.account_id, base.as_of_date, base.raw_tier as tier_before, candidate.raw_tier as tier_after,
        base.health_score as score_before, candidate.health_score as score_after,
        case
            when base.raw_tier is not distinct from candidate.raw_tier then null
            when 'unknown' in (base.raw_tier, candidate.raw_tier) then 'coverage'
            when base.health_score = candidate.health_score then 'tier limits'
            when abs(base.uncapped_score - candidate.uncapped_score) < 1e-9 then 'caps'
            else 'weights and anchors'
        end as component
    from versions as base
    inner join versions as candidate
        on base.account_id = candidate.account_id
        and base.as_of_date = candidate.as_of_date
        and base.config_version = $base
        and candidate.config_version = $candidate

)

select compared.*, history.arr, history.segment, coalesce(health.account_name, compared.account_id) as name
from compared
inner join account_health_history as history
    on compared.account_id = history.account_id
    and compared.as_of_date = history.as_of_date
left join account_health as health on compared.account_id = health.account_id
"""


class ImpactError(UserError):
    """The versions cannot be compared; the message is one line."""


def compare(connection: duckdb.DuckDBPyConnection, base: str, candidate: str, horizon_days: int) -> tuple[str, list[Row]]:
    """The report as Markdown, and the accounts that change tier on the newest day that both versions scored, the largest arr first.

    Raises:
        ImpactError: a version is unknown, or no day was scored by both.
    """
    known = _scored_versions(connection)
    for version in (base, candidate):
        if version not in known:
            raise ImpactError(
                f"version {version!r} scored no day. Versions that did: {', '.join(known) or 'none'}. Run the pipeline with it"
            )
    connection.execute(_BOTH, {"base": base, "candidate": candidate})
    [(day,)] = connection.execute("select max(as_of_date) from both_versions").fetchall()
    if day is None:
        raise ImpactError(
            f"versions {base!r} and {candidate!r} scored no day together. Give the candidate an earlier valid_from and run again"
        )
    accounts = list(
        rows_of(connection.execute("select * from both_versions where as_of_date = ? order by arr desc nulls last, account_id", [day]))
    )
    changed = [row for row in accounts if row["component"]]
    recent = "from both_versions where as_of_date > $day - $days"
    in_window = {"day": day, "days": DAYS}
    [(days,)] = connection.execute(f"select count(distinct as_of_date) {recent}", in_window).fetchall()
    moved = list(
        rows_of(
            connection.execute(
                # The last row is of all components together.
                f"select component, count(distinct account_id) as accounts, count(*) as account_days {recent} and component is not null "
                "group by rollup (component) order by component nulls last",
                in_window,
            )
        )
    )
    lines = [
        f"## From {verbatim(base)} to {verbatim(candidate)} on {day}",
        "",
        f"{len(changed)} of {len(accounts)} accounts change tier, with {_money(_arr(changed))} of {_money(_arr(accounts))} arr. "
        f"Over the last {DAYS} days: {moved[-1]['accounts']} accounts on {moved[-1]['account_days']} account days (days: {days}).",
        "",
        *_matrix(accounts),
        *_components(changed, moved[:-1]),
        *_largest(changed),
        *_segments(accounts),
        *_skill(connection, base, candidate, horizon_days),
    ]
    return "\n".join(lines).rstrip() + "\n", changed


def _arr(rows: Sequence[Row]) -> float:
    return sum(row["arr"] or 0 for row in rows)


def _money(amount: float) -> str:
    return f"{amount:,.0f}"


def _matrix(accounts: Sequence[Row]) -> list[str]:
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in accounts:
        cells[row["tier_before"], row["tier_after"]].append(row)
    body = [
        [
            before,
            *(f"{len(cells[before, after])} ({_money(_arr(cells[before, after]))})" if cells[before, after] else "" for after in _TIERS),
        ]
        for before in _TIERS
        if any(cells[before, after] for after in _TIERS)
    ]
    return ["### Tiers: accounts (arr), before by row, after by column", "", table(["", *_TIERS], body), ""]


def _components(changed: Sequence[Row], moved: Sequence[Row]) -> list[str]:
    """Args:
    changed: of the newest day.
    moved: of the last days, a row for each component.
    """
    if not moved:
        return []
    by_component: dict[str, list[Row]] = defaultdict(list)
    for row in changed:
        by_component[row["component"]].append(row)
    body = []
    for row in moved:
        rows = by_component[row["component"]]
        body.append([row["component"], str(len(rows)), _money(_arr(rows)), str(row["accounts"]), str(row["account_days"])])
    headers = ["what moved them", "accounts", "arr", f"accounts in {DAYS} days", "account days"]
    return ["### Why", "", table(headers, body), ""]


def _largest(changed: Sequence[Row]) -> list[str]:
    if not changed:
        return []
    body = [
        [
            verbatim(row["name"]),
            "" if row["arr"] is None else _money(row["arr"]),
            f"{row['tier_before']} to {row['tier_after']}",
            f"{row['score_before']:.1f} to {row['score_after']:.1f}",
            row["component"],
        ]
        for row in changed[:_LARGEST]
    ]
    return [f"### The {min(_LARGEST, len(changed))} largest that change", "", table(["account", "arr", "tier", "score", "by"], body), ""]


def _segments(accounts: Sequence[Row]) -> list[str]:
    by_segment: dict[str, list[Row]] = defaultdict(list)
    for row in accounts:
        by_segment[row["segment"] or ""].append(row)
    body = []
    for segment, rows in sorted(by_segment.items()):
        shift = sum(row["score_after"] - row["score_before"] for row in rows) / len(rows)
        moved = sum(row["component"] is not None for row in rows)
        body.append([verbatim(segment) if segment else "no segment", str(len(rows)), f"{shift:+.1f}", str(moved)])
    return ["### Segments", "", table(["segment", "accounts", "mean change of score", "change tier"], body), ""]


def _skill(connection: duckdb.DuckDBPyConnection, base: str, candidate: str, horizon_days: int) -> list[str]:
    found = {
        row["config_version"]: row
        for row in rows_of(
            connection.execute(
                "select config_version, skill, skill_low, skill_high, verdict from score_validation "
                "where history = 'as_restated' and scope = 'all' and period = 'all' and horizon_days = ?",
                [horizon_days],
            )
        )
    }
    body = []
    for name, version in (("before", base), ("after", candidate)):
        row = found.get(version)
        if row is None or row["skill"] is None:
            body.append([name, "not known: run make validate" if row is None else "not known", "" if row is None else row["verdict"]])
        else:
            bounds = "" if row["skill_low"] is None else f" ({row['skill_low']:.2f} to {row['skill_high']:.2f})"
            body.append([name, f"{row['skill']:.2f}{bounds}", row["verdict"]])
    return [f"### Skill over {horizon_days} days", "", table(["", "skill", "verdict"], body), ""]


def _scored_versions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    query = "select config_version from account_health_history union select config_version from candidate_scores_history order by 1"
    return [version for (version,) in connection.execute(query).fetchall()]


@contextmanager
def _scored(settings: Settings, base: str, candidate: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, str, str]]:
    """A connection with the scores of both as a mart has them, and what the report calls the two."""
    number = require_current(settings)
    with open_published(settings, number) as mart:
        if {base, candidate} <= set(_scored_versions(mart)):
            yield mart, base, candidate
            return
        days = [day for (day,) in mart.execute("select distinct as_of_date from account_health_history order by 1").fetchall()]
    if not days:
        raise ImpactError("no account is scored: there is nothing to compare")
    with writer_lock(settings, f"impact {base} {candidate}", lambda line: print(line, file=sys.stderr)):
        remove_leftovers(settings)
        with TemporaryDirectory(dir=settings.temp_dir) as name, connect(settings) as connection:
            folder = Path(name)
            both = [find_rules(settings, said, folder / f"seeds-{place}") for place, said in enumerate((base, candidate))]
            if both[0].name == both[1].name:
                raise ImpactError(f"{both[0].name} is compared with itself. Name another version or revision")
            # What a run would refuse is not worth a comparison.
            for warning in check_seeds(settings, both[1].seeds.folder):
                print(warning, file=sys.stderr)
            wanted = [day for day in days if day.isoweekday() == 1 or (days[-1] - day).days < DAYS]
            for rules, scores in zip(both, ("account_health_history", "candidate_scores_history"), strict=True):
                rescore(settings, folder / scores, rules, wanted, connection, scores)
            connection.execute(f"attach {literal(generation_path(settings, number) / DATABASE)} as published (read_only)")
            connection.execute("create table account_health as select account_id, account_name from published.account_health")
            connection.execute("create table account_outcomes as from published.account_outcomes")
            _measure_skill(connection, both[0].name, both[1].name, settings.validation.horizon_days)
            yield connection, both[0].name, both[1].name


def _measure_skill(connection: duckdb.DuckDBPyConnection, base: str, candidate: str, horizon_days: int) -> None:
    connection.execute(
        "create table score_validation (config_version varchar, history varchar, scope varchar, period varchar, horizon_days integer, "
        "skill double, skill_low double, skill_high double, verdict varchar)"
    )
    prepare(connection)
    for version in (Version(base, True, RESTATED), Version(candidate, False, RESTATED)):
        points, leaves = read_points(connection, version).labelled(horizon_days)
        found = judge(points, leaves, None, draw_accounts(points.accounts), with_all=False)
        connection.execute(
            "insert into score_validation values (?, ?, 'all', 'all', ?, ?, ?, ?, ?)",
            [version.config_version, RESTATED, horizon_days, found.skill.value, found.skill.low, found.skill.high, found.verdict],
        )


def _write_csv(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    columns = "as_of_date, account_id, name, segment, arr, tier_before, tier_after, score_before, score_after, component"
    found = connection.execute(
        f"select {columns} from both_versions where component is not null "
        "and as_of_date > (select max(as_of_date) from both_versions) - $days order by as_of_date desc, arr desc nulls last, account_id",
        {"days": DAYS},
    )
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns.split(", "))
        writer.writeheader()
        writer.writerows(rows_of(found))


def show_impact(
    settings: Settings, base: str, candidate: str, max_arr_moved: float | None, max_tier_changes: int | None, table_file: Path | None
) -> int:
    """Print the report, and write who changes tier as CSV where a file is named.

    Args:
        base, candidate: versions or git revisions; an empty text is HEAD, and the seeds as they are.

    Returns:
        1 where more arr (a share, 0 to 1) or more accounts change tier than is allowed; else 0.

    Raises:
        UserError: it cannot say, and why.
    """
    try:
        with _scored(settings, base or "HEAD", candidate) as (connection, base_name, candidate_name):
            report, changed = compare(connection, base_name, candidate_name, settings.validation.horizon_days)
            [(arr,)] = connection.execute(
                "select coalesce(sum(arr), 0) from both_versions where as_of_date = (select max(as_of_date) from both_versions)"
            ).fetchall()
            if table_file is not None:
                _write_csv(connection, table_file)
    except (duckdb.Error, OSError) as error:
        raise ImpactError(first_line(error)) from error
    print(report)
    share = _arr(changed) / arr if arr else 0.0
    refused = []
    if max_arr_moved is not None and share > max_arr_moved:
        refused.append(f"{share:.1%} of arr changes tier; --max-arr-moved allows {max_arr_moved:.1%}")
    if max_tier_changes is not None and len(changed) > max_tier_changes:
        refused.append(f"{len(changed)} accounts change tier; --max-tier-changes allows {max_tier_changes}")
    for line in refused:
        print(line, file=sys.stderr)
    return 1 if refused else 0
