"""What is wrong with the configured sources, found before anything is written."""

import duckdb

from orchestration.contract import TABLES, RawTable
from orchestration.extract import files, shaping
from orchestration.extract.engine import connect
from orchestration.extract.errors import SourceError
from orchestration.masking import without_secrets
from orchestration.settings import Settings, SettingsError, secret_value
from orchestration.sources import FilesSource


def preflight_sources(settings: Settings) -> None:
    """Check all sources before anything is written: secrets are set, paths match, headers hold the columns, queries can be prepared.

    An unset variable is a fault of the configuration, not an outage: no later run would mend it. Of a path with `{day}` no
    file is opened; which of them are wanted depends on the run.

    Raises:
        SettingsError: one line for each fault.
    """
    faults: list[str] = []
    with connect(settings) as connection:
        for name, source in settings.sources.items():
            for key, secret in source.secrets().items():
                try:
                    secret_value(f"sources.{name}.{key}", secret)
                except SettingsError as error:
                    faults.append(f"{settings.config_file}: {error}")
            if not isinstance(source, FilesSource):
                continue
            try:
                _check_source(connection, settings, TABLES[name], source)
            except SourceError as error:
                faults.append(f"{settings.config_file}: {error}")
    if faults:
        raise SettingsError(without_secrets(settings, "\n".join(faults)))


def _check_source(
    connection: duckdb.DuckDBPyConnection, settings: Settings, table: RawTable, source: FilesSource
) -> None:
    if source.path is None:
        files.check_query(connection, table, source)
        return
    if source.is_remote:
        # A store that is down must not keep the other sources from landing.
        return
    deliveries = files.find_deliveries(settings, table.name, source)
    if source.query is not None:
        shaping.check_shaped(connection, table, source, deliveries)
    elif source.day_token is None:
        for file in deliveries[0].files:
            files.layout(connection, file, table, source.columns)
