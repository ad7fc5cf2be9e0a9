"""Facts that Python and the models share: the `vars` of dbt_project.yml, where each is explained."""

from collections.abc import Mapping
from typing import Any

import yaml

from orchestration.settings import DBT_PROJECT

_FACTS = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]

DIMENSIONS: tuple[str, ...] = tuple(_FACTS["dimensions"])
RETURN_DAYS: int = _FACTS["return_days"]
LEDGER_DAYS: tuple[int, ...] = tuple(_FACTS["ledger_days"])
SCORECARD_DEFAULTS: Mapping[str, Any] = _FACTS["scorecard_defaults"]
DEFAULT_TIERS: Mapping[str, Mapping[str, float]] = _FACTS["default_tiers"]
