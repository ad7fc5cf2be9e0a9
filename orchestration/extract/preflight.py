"""What is wrong with the configured sources, found before anything is written."""

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.contract import TABLES, RawTable
from orchestration.extract.connectors.base import Connector, faults_named
from orchestration.extract.errors import SourceError
from orchestration.extract.files.columns import layout
from orchestration.extract.files.deliveries import find_deliveries
from orchestration.extract.files.object_store import check_store
from orchestration.extract.files.opening import opened
from orchestration.extract.files.query import check_query, check_shaped
from orchestration.extract.session import connect
from orchestration.masking import without_secrets
from orchestration.settings import Settings, SettingsError, secret_value
from orchestration.sources import FilesSource, Source


def preflight_sources(settings: Settings) -> None:
    """Check all sources before anything is written: secrets are set, paths match, headers hold the columns, queries can be prepared,
    addresses of databases and options of object stores can be used. Nothing is connected to.

    An unset variable is a fault of the configuration, not an outage: no later run would fix it. Of a path with `{day}` no
    file is opened; which of them are wanted depends on the run.

    Raises:
        SettingsError: one line for each fault.
    """
    with connect(settings) as connection:
        faults = [fault for name, source in settings.sources.items() for fault in faults_of(connection, settings, TABLES[name], source)]
    if faults:
        raise SettingsError("\n".join(f"{settings.config_file}: {without_secrets(settings, fault)}" for fault in faults))


def faults_of(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, source: Source) -> list[str]:
    """What is wrong with one source, one sentence each."""
    faults: list[str] = []
    for key, secret in source.secrets().items():
        try:
            secret_value(f"sources.{table.name}.{key}", secret)
        except SettingsError as error:
            faults.append(str(error))
    if faults:
        return faults
    try:
        if isinstance(source, FilesSource):
            _check_files(connection, settings, table, source)
        elif isinstance(source, Connector):
            with faults_named(source, table):
                source.check_settings(settings, table)
        else:
            faults.append(
                f"sources.{table.name}.connector: {type(source).__name__} is neither FilesSource nor a Connector. Derive it from Connector"
            )
    except (SourceError, SettingsError) as error:
        faults.append(" ".join(str(error).split()))
    return faults


def _check_files(connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, source: FilesSource) -> None:
    if source.path is None:
        check_query(connection, table, source)
        return
    if source.is_remote:
        # A store that is down must not keep the other sources from landing.
        check_store(table.name, source)
        return
    deliveries = find_deliveries(settings, table.name, source)
    if source.query is not None:
        check_shaped(connection, table, source, deliveries)
    elif source.day_token is None:
        with TemporaryDirectory() as scratch:
            for file in deliveries[0].files:
                with opened(file, Path(scratch), head=True) as head:
                    layout(connection, head, table, source.columns)
