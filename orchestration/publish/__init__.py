"""Publishing: `publishing.publish` makes a generation current, `rollback` the one before it (docs/architecture.md, "Publishing").

Knows nothing of Dagster. Call both under `orchestration.locking.writer_lock`.
"""

from orchestration.publish import generations
from orchestration.publish.generations import DamagedGeneration, PublishError, current_generation, verify
from orchestration.publish.revision_log import settle
from orchestration.settings import Settings

__all__ = ["DamagedGeneration", "PublishError", "current_generation", "rollback", "verify"]


def rollback(settings: Settings, to: int | None = None) -> int:
    """Make the generation current that was current before, see `generations.rollback`. What readers saw stays in the log of revisions."""
    settle(settings)
    return generations.rollback(settings, to)
