"""Landing: one raw table, for the days of a run, from its source into the lake."""

import logging
import traceback
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta

import duckdb

from orchestration.contract import RawTable
from orchestration.extract.connectors.base import Connector
from orchestration.extract.errors import SourceError, SourceUnavailable, SuddenLoss
from orchestration.extract.judge import QuarantineLimitExceeded
from orchestration.extract.lake import manifest as lake
from orchestration.extract.lake.manifest import Fault, LakeError, LandingStats, Manifest
from orchestration.extract.land_connected import land_connected
from orchestration.extract.land_files import land_files
from orchestration.extract.losses import POPULATION, describe_losses, refuse_sudden_loss
from orchestration.masking import without_secrets
from orchestration.settings import Settings
from orchestration.sources import FilesSource

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LandedTable(LandingStats):
    """What an extraction landed: counts over the deliveries that it looked at; `newest_fact` is of the whole table.

    Attributes:
        changed_days: event days whose rows changed; only in mode `events`.
        late_days: those of them that lie before the run's first day less the lookback; none at the first landing.
        unavailable: why the source was not taken over and the table stays as it was; None if it was.
        may_pass: whether it may be read some minutes later.
        losses: what was taken over but has far fewer rows than before, one sentence each.
        notes: what a person should know about the files of the deliveries, one sentence each.
    """

    changed_days: tuple[date, ...] = ()
    late_days: tuple[date, ...] = ()
    unavailable: str | None = None
    may_pass: bool = False
    losses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def land_table(settings: Settings, table: RawTable, start: date, end: date, event_days: Collection[date] = ()) -> LandedTable:
    """As `extract_table`, but a remote source that cannot be read, and any that lost most of its rows, leaves the table as it is.

    The manifest then says why. The days that the lake lacks make the table's metrics late, and the next run reads them. Without any
    earlier landing of `accounts` or `subscriptions` nothing could be scored rightly: their failure is an error.

    Raises:
        SourceError, QuarantineLimitExceeded, LakeError: as `extract_table`; no message holds a secret.
    """
    try:
        return extract_table(settings, table, start, end, event_days)
    except Exception as error:
        message = without_secrets(settings, str(error))
        source = settings.sources.get(table.name)
        is_remote = source is not None and source.is_remote
        may_stay = isinstance(error, SourceUnavailable | SuddenLoss) or (
            is_remote and isinstance(error, SourceError | QuarantineLimitExceeded)
        )
        old = lake.read_manifest(settings.lake, table.name) if may_stay else None
        has_landed = old is not None and len(old.deliveries) > 0
        if may_stay and (has_landed or table.name not in POPULATION):
            return replace(_unread(settings, table, old, message, event_days), may_pass=getattr(error, "may_pass", False))
        logged = "".join(traceback.format_exception(error))
        if without_secrets(settings, logged) != logged:
            # The causes would be logged with it.
            raise SourceError(message) from None
        raise


def _unread(settings: Settings, table: RawTable, old: Manifest | None, message: str, event_days: Collection[date]) -> LandedTable:
    # A table that never landed gets a manifest without deliveries: a place for the message.
    old = old or Manifest(table.name, "snapshot", by_day=False)
    faults = lake.find_faults(settings.lake, old, settings.pipeline.threads, event_days)
    for path, fault in faults.items():
        raise LakeError(
            f"{settings.lake / path}: {fault}, and the source of {table.name} cannot be read now ({message}). Run again when it can, or "
            "restore the file from a backup"
        )
    if old.not_read != message:
        lake.write_manifest(settings.lake, replace(old, not_read=message))
    stats = lake.stats_of(table.name, old.mode, old.deliveries.values())
    return LandedTable(**asdict(stats), unavailable=message)


def extract_table(settings: Settings, table: RawTable, start: date, end: date, event_days: Collection[date] = ()) -> LandedTable:
    """Land one raw table for a run's days.

    Files without `{day}` in the path are read as a whole and the lake is brought in line with them. With it, the deliveries of the
    run's days and of the `lookback_days` before them land, and every earlier one that never did; what a delivery of these
    days brought goes when its files are gone. Files whose bytes did not change are not landed again. What a connector
    reads: see `land_connected`. What the lake has lost, or holds damaged, lands again.

    Args:
        settings: of the run.
        table: the contract.
        start, end: first and last day of the run.
        event_days: days of a table of usage whose files are compared with their checksums; those of other tables always are.

    Returns:
        Counts and changed days.

    Raises:
        SourceError: the source is missing, damaged, or lacks a column.
        SourceUnavailable: a remote source cannot be read; the lake stays as it was.
        SuddenLoss: the table came with far fewer rows than it has; the lake stays as it was.
        QuarantineLimitExceeded: too many rows break the contract; nothing landed, the old data stays.
        LakeError: the manifest on disk and its copy are lost or damaged, or a damaged file cannot be landed again.
    """
    old = lake.begin_landing(settings.lake, table.name)
    try:
        return _extract_table(settings, table, start, end, old, event_days)
    except duckdb.Error:
        # Whether keys came before is looked up in files of all days, which are not compared first.
        if old is None or not lake.find_faults(settings.lake, old, settings.pipeline.threads):
            raise
        return _extract_table(settings, table, start, end, old, None)


def _extract_table(
    settings: Settings, table: RawTable, start: date, end: date, old: Manifest | None, event_days: Collection[date] | None
) -> LandedTable:
    source = settings.sources.get(table.name)
    first_day = start - timedelta(days=settings.pipeline.lookback_days)
    threads = settings.pipeline.threads
    faults = {} if old is None else lake.find_faults(settings.lake, old, threads, event_days)
    whole = None if old is None else lake.without_files(old, faults)
    settings.temp_dir.mkdir(parents=True, exist_ok=True)
    is_connected = isinstance(source, Connector)
    try:
        if isinstance(source, Connector):
            manifest, looked_at, first_landing = land_connected(settings, table, source, old, whole, first_day, end)
        elif source is None or isinstance(source, FilesSource):
            manifest, looked_at, first_landing = land_files(settings, table, source, old, whole, first_day, end)
        else:
            raise TypeError(f"sources.{table.name}: {type(source).__name__} is neither FilesSource nor a Connector")
        accepted = None if old is None else old.accepted
        if first_landing or not manifest.by_day:
            accepted = refuse_sudden_loss(source, old, manifest) or accepted
        manifest = replace(manifest, through=_through(old, manifest, first_landing, is_connected, end), accepted=accepted)
        if old is not None and (old.mode, old.by_day) == (manifest.mode, manifest.by_day):
            _require_landed_again(settings, old, manifest, faults, first_day, end)
        manifest = lake.with_checksums(settings.lake, manifest, threads)
        if manifest != old:
            lake.write_manifest(settings.lake, manifest)
    finally:
        lake.sweep(settings.lake, table.name)

    changed = _changed_days(None if first_landing else old, manifest)
    stats = lake.stats_of(table.name, manifest.mode, (manifest.deliveries[key] for key in looked_at))
    newest = lake.stats_of(table.name, manifest.mode, manifest.deliveries.values()).newest_fact
    notes = tuple(note for key in looked_at for note in manifest.deliveries[key].notes)
    late = () if first_landing else tuple(day for day in changed if day < first_day)
    losses = tuple(describe_losses(source, old, manifest))
    return LandedTable(**{**asdict(stats), "newest_fact": newest, "changed_days": changed, "late_days": late}, losses=losses, notes=notes)


def _through(old: Manifest | None, new: Manifest, first_landing: bool, is_connected: bool, end: date) -> str:
    # What lands as a whole holds all that its source has, whatever day the run was for; a connection is read that far.
    if old is None or old.through is None or (first_landing and new.by_day and not is_connected):
        return end.isoformat()
    return max(old.through, end.isoformat())


def _require_landed_again(
    settings: Settings, old: Manifest, new: Manifest, faults: Mapping[str, Fault], first_day: date, end: date
) -> None:
    """Refuse to go on without rows whose file is damaged; of a file that somebody removed, only say what is missing."""
    for key, delivery in old.deliveries.items():
        found = {path: faults[path] for path in old.paths_of(delivery) if path in faults}
        # Of the days that are read anew, what the source no longer has was taken back.
        taken_back = first_day.isoformat() <= key <= end.isoformat()
        for path, fault in found.items():
            if key in new.deliveries:
                _log.warning("%s: was %s and is landed again", settings.lake / path, fault)
            elif not taken_back:
                missing = f"{settings.lake / path}: {fault}, and the source no longer has the delivery {key} of {old.table}"
                restore = "Restore the file from a backup, or bring the delivery back into the source"
                if "damaged" in found.values():
                    raise LakeError(f"{missing}. {restore}, and run again. To go on without its {delivery.loaded} rows, remove the file")
                _log.warning("%s: its %s rows no longer count. %s", missing, delivery.loaded, restore)
    if (superseded := old.superseded_path) is not None and superseded in faults:
        _log.warning("%s: was %s and is written again", settings.lake / superseded, faults[superseded])


def _changed_days(old: Manifest | None, new: Manifest) -> tuple[date, ...]:
    if new.mode != "events":
        return ()
    before = {} if old is None else lake.day_fingerprints(old)
    after = lake.day_fingerprints(new)
    return tuple(sorted(day for day in before.keys() | after.keys() if before.get(day) != after.get(day)))
