"""`python -m orchestration.publish rollback [--to N]`."""

import argparse
import sys
from collections.abc import Sequence

from orchestration.locking import WriterBusy, writer_lock
from orchestration.publish import PublishError, rollback
from orchestration.settings import SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code, 1 after an error of one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.publish", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    back = commands.add_parser("rollback", help="make the generation current that was current before")
    back.add_argument("--to", type=int, help="number of the generation to go to")
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        with writer_lock(settings, "rollback"):
            number = rollback(settings, chosen.to)
        print(f"generation {number} is current")
    except (SettingsError, WriterBusy, PublishError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
