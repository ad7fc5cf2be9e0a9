"""The components of a change of the score as people read them."""

# In the words of the drivers of account_health (int_trend__drivers.sql); behaviour is named by its metric.
COMPONENT_LABELS: dict[str, str] = {
    "configuration": "The rules of the score changed",
    "scorecard": "Another scorecard (stage or segment)",
    "availability": "Data came or went",
    "cap": "A cap began, ended or moved",
}
