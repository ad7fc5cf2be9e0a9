"""The tiers as people see them: one order, one colour each, everywhere."""

# Tier -> colour, best first. Teal, a light amber and a dark red: distinct in lightness too, so that they stay apart
# without colour vision and in grey print. On the board text is beside them, not in them.
TIER_COLOURS: dict[str, str] = {"healthy": "#2b9a85", "at_risk": "#ecb94a", "poor": "#b8372f", "unknown": "#a7afb9"}
# Tier -> colour of text on it, with a contrast of at least 5.8.
TIER_TEXT_COLOURS: dict[str, str] = {"healthy": "#000000", "at_risk": "#000000", "poor": "#ffffff", "unknown": "#000000"}
# Tier -> name for people who do not read identifiers.
TIER_LABELS: dict[str, str] = {"healthy": "Healthy", "at_risk": "At risk", "poor": "Poor", "unknown": "Unknown"}
# In this order lists begin, and stacks are built from the bottom, where a change can be read.
WORST_FIRST = ("poor", "at_risk", "unknown", "healthy")
# The tiers whose arr is at risk.
AT_RISK = ("poor", "at_risk")
