"""Processes that are forked from one that has imported what a run needs, which is a third of a run of a few accounts.

`start("orchestration", "run")` is otherwise `python -m orchestration run`: with its own environment, folder, output and exit status.
"""

import gc
import logging
import multiprocessing
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Any

from orchestration.settings import PROJECT_ROOT

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.fork_server"])
_LONGEST_SECONDS = 600


class Forked:
    """A process that calls a function; what it writes is kept.

    Args:
        environment: all of its variables.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any, environment: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryDirectory(prefix="forked")
        self._call = (function, *arguments)
        self._process: BaseProcess = _FORKS.Process(target=_call, args=(Path(self._said.name), dict(environment), function, *arguments))
        self._process.start()

    def wait(self, timeout: float = _LONGEST_SECONDS) -> CompletedProcess[str]:
        """How it ended, and what it wrote.

        Raises:
            TimeoutExpired: it did not end, and was killed.
        """
        self._process.join(timeout)
        with self._said:
            stdout, stderr = ((Path(self._said.name) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutExpired(str(self._call), timeout, stdout, stderr)
        return CompletedProcess(self._call, self._process.exitcode, stdout, stderr)


def start(module: str, *arguments: object, config: Path | None = None, variables: Mapping[str, str] | None = None) -> Forked:
    """`python -m module arguments...`, as from a shell with this process's variables.

    Args:
        module: or `-c`, and then a program.
        config: HEALTH_CONFIG; None leaves it as it is.
        variables: more of them.
    """
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environment |= ({"HEALTH_CONFIG": str(config)} if config else {}) | dict(variables or {})
    return Forked(_run_module, module, *map(str, arguments), environment=environment)


def run(module: str, *arguments: object, config: Path | None = None, variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """As `start`, to the end."""
    return start(module, *arguments, config=config, variables=variables).wait()


def health(config: Path | None, *arguments: object, variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """A command of the product."""
    return run("orchestration", *arguments, config=config, variables=variables)


def _call(said: Path, environment: dict[str, str], function: Callable[..., None], *arguments: Any) -> None:
    # A group of its own, as a shell gives it.
    os.setpgrp()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for number, name in ((1, "stdout"), (2, "stderr")):
        with open(said / name, "wb") as file:
            os.dup2(file.fileno(), number)
        setattr(sys, name, open(number, "w", encoding="utf-8", buffering=1, closefd=False))  # noqa: SIM115
    # As if nothing were imported yet: a library of dbt's has logging write to what standard error was then.
    logging.root.handlers.clear()
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    # What is there by now stays.
    gc.freeze()
    function(*arguments)


def _run_module(module: str, *arguments: str) -> None:
    os.chdir(PROJECT_ROOT)
    sys.argv = [module, *arguments]
    # Of the project itself it inherits nothing.
    for name in [name for name in sys.modules if name.partition(".")[0] in ("orchestration", "tests")]:
        del sys.modules[name]
    if module == "-c":
        exec(arguments[0], {"__name__": "__main__"})
        return
    runpy.run_module(module, run_name="__main__", alter_sys=True)
