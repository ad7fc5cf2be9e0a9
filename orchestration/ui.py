"""The Dagster UI on 127.0.0.1, with its history in the data folder: the command `health ui`."""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from orchestration.home import prepare_home
from orchestration.run_guard import check_configuration
from orchestration.settings import PROJECT_ROOT, Settings

_PR_SET_PDEATHSIG = 1


def serve(settings: Settings, port: int) -> NoReturn:
    """Become the program that serves the UI and its daemon, until a signal ends it.

    Raises:
        SettingsError, ConfigurationError: the configuration or the seeds are wrong.
    """
    check_configuration(settings)
    prepare_home(settings)
    os.environ["HEALTH_CONFIG"] = str(settings.config_file)
    os.chdir(PROJECT_ROOT)
    dg = str(Path(sys.executable).with_name("dg"))
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    if "MAKELEVEL" in os.environ and sys.platform == "linux":
        # A `make ui` that is killed cannot pass the signal on, and web server and daemon would stay.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(dg, [dg, "dev", "--host", "127.0.0.1", "--port", str(port)])
