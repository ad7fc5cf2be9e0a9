"""`python -m orchestration.publish rollback [--to N]` and `python -m orchestration.publish verify`."""

import argparse
import sys
from collections.abc import Sequence

from orchestration.locking import WriterBusy, writer_lock
from orchestration.publish import PublishError, current_generation, rollback, verify
from orchestration.settings import SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code, 1 after an error of one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.publish", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    back = commands.add_parser("rollback", help="make the generation current that was current before")
    back.add_argument("--to", type=int, help="number of the generation to go to")
    commands.add_parser("verify", help="compare the current generation with its hashes")
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        if chosen.command == "rollback":
            with writer_lock(settings, "rollback"):
                number = rollback(settings, chosen.to)
            print(f"generation {number} is current")
        else:
            number = current_generation(settings)
            if number is None:
                raise PublishError(f"{settings.published / 'current'}: nothing is published yet")
            manifest = verify(settings, number)
            print(f"generation {number} of run {manifest.run_id}: {len(manifest.files)} files as published")
    except (SettingsError, WriterBusy, PublishError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
