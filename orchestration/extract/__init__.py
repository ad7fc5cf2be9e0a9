"""Extraction: raw tables from their sources into the lake, without a word of Dagster.

`extract_table` lands one raw table, `preflight_sources` checks all sources before anything is written, `lake_select` is
the SQL for what a raw table holds.
"""

from orchestration.extract.errors import SourceError, SourceUnavailable
from orchestration.extract.judge import QuarantineLimitExceeded
from orchestration.extract.lake.manifest import (
    LakeError,
    LandingStats,
    covered_through,
    delivery_notes,
    event_day_fingerprints,
    lake_select,
    landing_stats,
)
from orchestration.extract.land import LandedTable, extract_table, land_table
from orchestration.extract.losses import thin_event_days
from orchestration.extract.preflight import preflight_sources

__all__ = [
    "LakeError",
    "LandedTable",
    "LandingStats",
    "QuarantineLimitExceeded",
    "SourceError",
    "SourceUnavailable",
    "covered_through",
    "delivery_notes",
    "event_day_fingerprints",
    "extract_table",
    "lake_select",
    "land_table",
    "landing_stats",
    "preflight_sources",
    "thin_event_days",
]
