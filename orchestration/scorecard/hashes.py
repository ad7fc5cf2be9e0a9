"""What names a configuration, and the rules of one scorecard, for good: hashes over what the seeds say."""

import hashlib
import json
from datetime import date

from orchestration.scorecard.schema import CARD, SEEDS, WORDS, Seeds, by_card


def configuration_hash(seeds: Seeds) -> str:
    """SHA-256 (hex) over what the seeds say.

    Order of rows and columns, line endings, quoting, and whether a default is left blank or written out make no
    difference.
    """
    content = {
        name: sorted(json.dumps(row.values, sort_keys=True, default=date.isoformat) for row in rows) for name, rows in seeds.rows.items()
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def scorecard_rules(seeds: Seeds) -> dict[tuple[str, str], str]:
    """The rules of each scorecard by (config_version, scorecard_key), as SHA-256 (hex) of what decides its scores and tiers.

    Two scorecards of one hash and name score alike; labels, reasons, the versions' dates and other scorecards make no difference.
    """
    metrics = {row["metric_key"]: row.take(("dimension_key", "higher_is_better")) for row in seeds["metrics"]}
    names = [name for name, seed in SEEDS.items() if set(CARD) <= seed.columns.keys()]
    rows_of = {name: by_card(seeds[name]) for name in names}
    rules = {}
    for card in seeds["scorecards"]:
        key = card.take(CARD)
        content = {
            name: sorted(
                json.dumps(
                    {column: value for column, value in row.values.items() if column not in WORDS}
                    | {"metric": metrics.get(row.values.get("metric_key"))},
                    sort_keys=True,
                )
                for row in rows_of[name][key]
            )
            for name in names
        }
        rules[key] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return rules
