"""Publishing: `publishing.publish` makes a generation current, `rollback` the one before it (docs/architecture.md, "Publishing").

Knows nothing of Dagster. Call both under `orchestration.locking.writer_lock`.
"""

from orchestration.publish import generations
from orchestration.publish.generations import DamagedGeneration, PublishError, current_generation, verify
from orchestration.publish.revision_log import settle
from orchestration.settings import Settings, SettingsError

__all__ = ["DamagedGeneration", "PublishError", "bring_copy", "current_generation", "rollback", "verify"]


def rollback(settings: Settings, to: int | None = None) -> int:
    """Make the generation current that was current before, see `generations.rollback`. What readers saw stays in the log of revisions."""
    settle(settings)
    return generations.rollback(settings, to)


def bring_copy(settings: Settings) -> str | None:
    """Bring the copy in Postgres, where one is configured, to the current generation; returns why it was not possible."""
    if settings.exports.postgres is None:
        return None
    # Takes a moment to import.
    from orchestration.publish.postgres import CopyFailed, copy_to_postgres

    try:
        copy_to_postgres(settings)
    except (CopyFailed, SettingsError) as error:
        return str(error)
    return None
