"""The tiers as people see them: one order, one colour each, everywhere."""

# Tier -> colour, best first. Told apart by lightness too, so that they stay apart without colour vision and in grey print.
TIER_COLOURS: dict[str, str] = {"healthy": "#3a9d5d", "at_risk": "#e8b93f", "poor": "#d0483e", "unknown": "#a9a9a9"}
# Tier -> name for people who do not read identifiers.
TIER_LABELS: dict[str, str] = {"healthy": "Healthy", "at_risk": "At risk", "poor": "Poor", "unknown": "Unknown"}
