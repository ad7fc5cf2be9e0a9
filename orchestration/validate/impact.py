"""`python -m orchestration.validate.impact BASE CANDIDATE`: what a version of the scorecard changes, as Markdown for a pull request.

Compares the published scores of two versions that scored the same days: the version in force and a candidate, or two candidates. Tiers are
those by one day's score. Exit status: 0; 1 where more arr or more accounts change tier than allowed; 2 if it cannot say.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from orchestration.markdown import table, verbatim
from orchestration.shared import DEFAULT_TIERS
from orchestration.warehouse import rows_of

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


class ImpactError(ValueError):
    """The versions cannot be compared; the message is one line."""


def compare(connection: duckdb.DuckDBPyConnection, base: str, candidate: str, horizon_days: int) -> tuple[str, list[Row]]:
    """The report as Markdown, and the accounts that change tier on the newest day that both versions scored, the largest arr first.

    Raises:
        ImpactError: a version is unknown, or no day was scored by both.
    """
    known = [
        version
        for (version,) in connection.execute(
            "select config_version from account_health_history union select config_version from candidate_scores_history order by 1"
        ).fetchall()
    ]
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
    [recent] = rows_of(
        connection.execute(
            f"select count(distinct account_id) filter (component is not null) as accounts, count(distinct as_of_date) as days, "
            f"count(*) filter (component is not null) as account_days from both_versions where as_of_date > ? - {DAYS}",
            [day],
        )
    )
    lines = [
        f"## From {verbatim(base)} to {verbatim(candidate)} on {day}",
        "",
        f"{len(changed)} of {len(accounts)} accounts change tier, with {_money(_arr(changed))} of {_money(_arr(accounts))} arr. "
        f"Over the last {DAYS} days: {recent['accounts']} accounts on {recent['account_days']} account days (days: {recent['days']}).",
        "",
        *_matrix(accounts),
        *_components(changed),
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


def _components(changed: Sequence[Row]) -> list[str]:
    if not changed:
        return []
    by_component: dict[str, list[Row]] = defaultdict(list)
    for row in changed:
        by_component[row["component"]].append(row)
    body = [[component, str(len(rows)), _money(_arr(rows))] for component, rows in sorted(by_component.items())]
    return ["### Why", "", table(["what moved them", "accounts", "arr"], body), ""]


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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestration.validate.impact", description=__doc__)
    parser.add_argument("base", help="a version of config_versions.csv, for example the one in force")
    parser.add_argument("candidate", help="the version that is to be judged")
    parser.add_argument("--max-arr-moved", type=float, help="largest share (0 to 1) of arr that may change tier")
    parser.add_argument("--max-tier-changes", type=int, help="most accounts that may change tier")
    parser.add_argument("--csv", type=Path, help="also write the accounts that change tier as a table")
    chosen = parser.parse_args(arguments)
    from orchestration.publish import PublishError
    from orchestration.publish.generations import open_published, require_current
    from orchestration.settings import SettingsError, load_settings

    try:
        settings = load_settings()
        with open_published(settings, require_current(settings)) as mart:
            report, changed = compare(mart, chosen.base, chosen.candidate, settings.validation.horizon_days)
            [(arr,)] = mart.execute(
                "select coalesce(sum(arr), 0) from both_versions where as_of_date = (select max(as_of_date) from both_versions)"
            ).fetchall()
    except (SettingsError, PublishError, ImpactError, duckdb.Error) as error:
        print(error, file=sys.stderr)
        return 2
    print(report)
    if chosen.csv is not None:
        columns = ("account_id", "name", "segment", "arr", "tier_before", "tier_after", "score_before", "score_after", "component")
        with open(chosen.csv, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(changed)
    share = _arr(changed) / arr if arr else 0.0
    refused = []
    if chosen.max_arr_moved is not None and share > chosen.max_arr_moved:
        refused.append(f"{share:.1%} of arr changes tier; --max-arr-moved allows {chosen.max_arr_moved:.1%}")
    if chosen.max_tier_changes is not None and len(changed) > chosen.max_tier_changes:
        refused.append(f"{len(changed)} accounts change tier; --max-tier-changes allows {chosen.max_tier_changes}")
    for line in refused:
        print(line, file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
