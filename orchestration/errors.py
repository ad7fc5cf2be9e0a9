"""Errors as people read them."""

from typing import Any


class UserError(Exception):
    """The message is made for people, one line for each fault: commands show it without a traceback and end with 2."""


def root_cause(error: Any) -> Any:
    """The error below Dagster's own, which say only which step failed; both as events have them (`SerializableErrorInfo`)."""
    while error.cause is not None and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return error


def message_of(error: Any) -> str:
    """Its message; without the class where the project raised it, since that is made for people."""
    kind, _, said = error.message.strip().partition(": ")
    return said if kind.startswith("orchestration.") else error.message.strip()
