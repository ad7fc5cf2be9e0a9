"""`python -m orchestration.workbook write [--file FILE] [--version V]` and `... import FILE [--active]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestration.locking import WriterBusy
from orchestration.scorecard import ConfigurationError
from orchestration.settings import Settings, SettingsError, load_settings
from orchestration.workbook import WorkbookError
from orchestration.workbook.adopt import import_workbook
from orchestration.workbook.write import DEFAULT_NAME, write_workbook


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code, 1 after an error on stderr."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.workbook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="write the scorecard as a spreadsheet with sample accounts")
    write.add_argument("--file", type=Path, help=f"where to; by default {DEFAULT_NAME} in the data folder")
    write.add_argument("--version", help="configuration version to start from; by default the one in force")
    adopt = commands.add_parser("import", help="add an edited workbook to the seeds, as a new version")
    adopt.add_argument("file", type=Path)
    adopt.add_argument("--active", action="store_true", help="in force from its day on, whatever the workbook says")
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        if chosen.command == "write":
            print(_write(settings, chosen.file, chosen.version))
        else:
            print("\n".join(import_workbook(settings, chosen.file, chosen.active)))
    except (SettingsError, ConfigurationError, WorkbookError, WriterBusy) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _write(settings: Settings, file: Path | None, version: str | None) -> str:
    written = write_workbook(settings, file or settings.data_dir / DEFAULT_NAME, version)
    samples = written.samples
    shown = samples.why_none or f"{len(samples.accounts)} sample accounts of {samples.day}."
    return (
        f"{_short(written.path)}: version {written.version} with {written.scorecards} scorecards. {shown}\n"
        f"Change the yellow cells, save, then: make scorecard-import FILE={_short(written.path)}"
    )


def _short(path: Path) -> Path:
    """Relative to where the command runs, if it lies there."""
    return path.absolute().relative_to(Path.cwd()) if path.absolute().is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
