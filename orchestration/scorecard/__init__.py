"""The scorecard: `seeds/*.csv`, which people edit in spreadsheets, as checked rows, and the hashes that name a configuration.

`schema` says what the files are, `reader` reads them, `rules` and `playbooks` check what no single cell shows, `hashes` names the result.
"""

from orchestration.scorecard.faults import ConfigurationError, Fault
from orchestration.scorecard.hashes import configuration_hash, scorecard_rules
from orchestration.scorecard.playbooks import Field, read_playbooks
from orchestration.scorecard.reader import load_seeds, read_seed
from orchestration.scorecard.schema import OPERATORS, SEEDS, Cell, Row, Seed, Seeds

__all__ = [
    "OPERATORS",
    "SEEDS",
    "Cell",
    "ConfigurationError",
    "Fault",
    "Field",
    "Row",
    "Seed",
    "Seeds",
    "configuration_hash",
    "load_seeds",
    "read_playbooks",
    "read_seed",
    "scorecard_rules",
]
