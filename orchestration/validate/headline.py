"""The one verdict that people read first: that of the version in force, on its scores as they were first published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from orchestration.settings import Settings
from orchestration.validate.tables import SCORE_VALIDATION


@dataclass(frozen=True)
class Headline:
    """verdict: skill, no_skill or too_few. skill, skill_low, skill_high: None where they cannot be computed."""

    config_version: str
    horizon_days: int
    accounts: int
    leavers: int
    skill: float | None
    skill_low: float | None
    skill_high: float | None
    verdict: str
    reason: str

    def sentence(self) -> str:
        """What it says, for a log."""
        return f"{self.config_version}, {self.horizon_days} days: {describe(vars(self))}"


def read_headline(connection: duckdb.DuckDBPyConnection, horizon_days: int) -> Headline | None:
    """The headline of a mart; None before its first validation, or where the version in force was in none."""
    rows = connection.execute(
        f"""
        select config_version, horizon_days, accounts, leavers, skill, skill_low, skill_high, verdict, reason
        from {SCORE_VALIDATION.name}
        where
            horizon_days = ? and scope = 'all' and period = 'all' and history = 'as_first_published'
            and config_version = (select any_value(config_version) from account_health)
        """,
        [horizon_days],
    ).fetchall()
    return Headline(*rows[0]) if rows else None


def describe(row: Mapping[str, Any]) -> str:
    """Skill with its interval, who left, and the verdict, in one line."""
    found = "skill unknown"
    if row["skill"] is not None:
        found = f"skill {row['skill']:.2f}"
        if row["skill_low"] is not None and row["skill_high"] is not None:
            found += f" ({row['skill_low']:.2f} to {row['skill_high']:.2f})"
    return f"{found}, {row['leavers']} of {row['accounts']} accounts left; verdict {row['verdict']}: {row['reason']}"


def describe_all(rows: Iterable[Mapping[str, Any]], horizon_days: int) -> list[str]:
    """One line for each version and history."""
    return [
        f"{row['config_version']} ({row['status']}) {row['history']}, {row['horizon_days']} days: {describe(row)}"
        for row in rows
        if row["horizon_days"] == horizon_days and row["scope"] == "all" and row["period"] == "all"
    ]


def low_skill(settings: Settings, headline: Headline | None) -> str | None:
    """Why the skill is below what `[validation]` asks for; None where it is not, or where nothing is asked."""
    least = settings.validation.min_skill
    if least is None:
        return None
    if headline is None or headline.skill is None:
        return f"[validation] min_skill asks for {least:g}, and the skill of the version in force is not known"
    if headline.skill < least:
        return f"[validation] min_skill asks for {least:g}; {headline.sentence()}"
    return None
