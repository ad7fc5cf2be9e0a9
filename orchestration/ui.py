"""`python -m orchestration.ui`: the Dagster UI on 127.0.0.1, with its history in the data folder."""

import argparse
import os
import sys
from pathlib import Path

from orchestration.home import prepare_home
from orchestration.run_guard import check_configuration
from orchestration.scorecard import ConfigurationError
from orchestration.settings import PROJECT_ROOT, SettingsError, load_settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestration.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        check_configuration(settings)
        prepare_home(settings)
    except (SettingsError, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 2
    os.environ["HEALTH_CONFIG"] = str(settings.config_file)
    os.chdir(PROJECT_ROOT)
    dg = str(Path(sys.executable).with_name("dg"))
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    os.execv(dg, [dg, "dev", "--host", "127.0.0.1", "--port", str(arguments.port)])


if __name__ == "__main__":
    sys.exit(main())
