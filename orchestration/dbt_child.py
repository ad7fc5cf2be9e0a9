"""`dbt` as a child of a run: it ends when the run's process is gone, however that ended.

Without it, the dbt of a killed run would go on for minutes and keep the warehouse open.
"""

import os
import signal
import threading
import time

# The process that dbt works for: it starts dbt itself, without a shell in between.
PARENT = "HEALTH_RUN_PROCESS"
_LOOK_EVERY_SECONDS = 0.5
_WIND_UP_SECONDS = 4


def end_with(parent: int) -> None:
    """Watch in another thread; once the parent is gone, dbt may wind up as after Ctrl-C, and is killed after some seconds."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_SECONDS)
        # dbt cancels its queries and closes the warehouse, so that the next run need not rebuild it.
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_WIND_UP_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    end_with(int(os.environ[PARENT]))
    from dbt.cli.main import cli

    cli(prog_name="dbt")


if __name__ == "__main__":
    main()
