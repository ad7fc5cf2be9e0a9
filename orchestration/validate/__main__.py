"""`python -m orchestration.validate`: compare the published scores with who left, and publish the result with the mart.

Exit status: 0, or 1 where the skill is below `[validation] min_skill` and `on_low_skill` is not "warn"; 2 if it cannot say.
"""

import argparse
import sys
from datetime import UTC, datetime


def main() -> int:
    argparse.ArgumentParser(prog="python -m orchestration.validate", description=__doc__).parse_args()
    from orchestration.locking import WriterBusy, writer_lock
    from orchestration.publish import PublishError
    from orchestration.run_guard import remove_leftovers
    from orchestration.settings import SettingsError, load_settings
    from orchestration.validate.run import validate_and_publish

    try:
        settings = load_settings()
        with writer_lock(settings, "validate"):
            remove_leftovers(settings)
            done = validate_and_publish(settings, datetime.now(UTC))
    except (SettingsError, WriterBusy, PublishError) as error:
        print(error, file=sys.stderr)
        return 2
    for line in done.lines:
        print(line)
    print(f"published: {settings.published / 'current' / 'health.duckdb'} (generation {done.generation})")
    if done.low_skill is None:
        return 0
    print(done.low_skill, file=sys.stderr)
    return 0 if settings.validation.on_low_skill == "warn" else 1


if __name__ == "__main__":
    sys.exit(main())
