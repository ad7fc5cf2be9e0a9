"""`make bench`: the pipeline's speed and memory beside a plain DuckDB program that computes the same scores.

Writes a demo company as raw files, runs reference (`reference.py`) and pipeline on it in processes of their own, and
prints times, ratios, peak memory and every difference between the two histories of scores. Nothing is written outside a
temporary folder, and no timing is an assertion: a busy machine only makes a bad table. A small round:

    make bench ARGS="--accounts 50 --days 30 --events 30000 --skip-history"
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.extract.demo import demo_sources, write_demo_files
from orchestration.settings import PROJECT_ROOT, Demo

FIRST_DAY = date(2026, 1, 1)
SEED = 7
SAMPLE_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HISTORY_DAYS = (90, 720)
TOLERANCES = {"health_score": 1e-9, "uncapped_score": 1e-7, "coverage": 1e-9}
TEXTS = ("raw_tier", "stage", "scorecard_key", "config_version")


class BenchError(RuntimeError):
    """A measured program failed; the message holds the end of its output."""


@dataclass(frozen=True)
class Run:
    """One measured process: wall and processor seconds, peak resident bytes of its process tree, standard output."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


@dataclass(frozen=True)
class World:
    """A demo company as files: `raw/` beside the configurations that name it."""

    folder: Path
    first_day: date
    last_day: date
    events: int

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    def configure(self, name: str, first_day: date) -> Path:
        """Write a configuration with a data folder of its own; scoring begins on `first_day`."""
        config_file = self.folder / f"{name}.toml"
        config_file.write_text(
            f"[pipeline]\nstart_date = {first_day}\nend_date = {self.last_day}\ndata_dir = \"data-{name}\"\n\n"
            + demo_sources("raw"),
            encoding="utf-8",
        )
        return config_file


def build_world(folder: Path, accounts: int, first_day: date, days: int, events: int) -> World:
    """Write a demo company; `events` counts its usage if every account were there on all of the `days` days."""
    last_day = first_day + timedelta(days=days - 1)
    written = write_demo_files(
        Demo(accounts=accounts, seed=SEED), first_day, last_day, folder / "raw", events / (accounts * days)
    )
    return World(folder, first_day, last_day, written)


def measure(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run a command in the project's folder and watch it until it ends.

    Memory is the resident set of the process and all its descendants, summed: shared pages count once for each.

    Raises:
        BenchError: the command ended with another status than 0.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env={**os.environ, **(environment or {})}, stdout=output, stderr=errors
        )
        peak = 0
        ended, status, usage = 0, 0, None
        while ended == 0:
            peak = max(peak, _resident_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        text = _read(output)
        if process.returncode != 0:
            raise BenchError(
                f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}\n{_read(errors)[-4000:]}"
            )
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak, text)


def _read(stream) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", errors="replace")


def _resident_bytes(root: int) -> int:
    """Resident bytes of a process and its descendants; 0 when it has ended."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                # The command in parentheses may itself hold blanks and parentheses.
                fields = Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)], pages[int(entry)] = int(fields[1]), int(fields[21])
    members = {root}
    while children := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= children
    return sum(pages.get(pid, 0) for pid in members) * PAGE_BYTES


def run_reference(world: World, first_day: date, last_day: date, output: Path) -> Run:
    return measure(
        [
            sys.executable, "-m", "tests.benchmarks.reference", str(world.raw), "--seeds", str(PROJECT_ROOT / "seeds"),
            "--first-day", str(first_day), "--last-day", str(last_day), "--output", str(output),
        ]  # fmt: skip
    )


def run_pipeline(config_file: Path, first_day: date, last_day: date) -> Run:
    return measure(
        [sys.executable, "-m", "orchestration.run", f"{first_day}...{last_day}"],
        {"HEALTH_CONFIG": str(config_file)},
    )


def published_mart(config_file: Path) -> Path:
    return config_file.parent / f"data-{config_file.stem}" / "published" / "current" / "health.duckdb"


def differences(mart: Path, reference: Path) -> dict[str, int]:
    """Compare the published `account_health_history` with the reference's, on the reference's days.

    Returns:
        How many (account, day) rows are missing from the mart, are only there, or differ in a column; kinds of
        difference that do not occur are left out.
    """
    unequal = {name: f"abs(mart.{name} - reference.{name}) > {limit}" for name, limit in TOLERANCES.items()}
    unequal |= {name: f"mart.{name} <> reference.{name}" for name in TEXTS}
    counts = {
        "missing": "mart.account_id is null",
        "not in the reference": "reference.account_id is null",
        **{
            name: "mart.account_id = reference.account_id "
            f"and ({test} or (mart.{name} is null) <> (reference.{name} is null))"
            for name, test in unequal.items()
        },
    }
    with duckdb.connect() as connection:
        connection.execute(f"attach '{str(mart).replace(chr(39), chr(39) * 2)}' as published (read_only)")
        connection.execute("set variable reference = ?", [str(reference)])
        row = connection.execute(
            "with reference as (from read_parquet(getvariable('reference'))), "
            "mart as (from published.account_health_history "
            "where as_of_date between "
            "(select min(as_of_date) from reference) and (select max(as_of_date) from reference)) "
            f"select {', '.join(f'coalesce(sum(cast({test} as integer)), 0)' for test in counts.values())} "
            "from mart full join reference using (account_id, as_of_date)"
        ).fetchall()[0]
    return {name: int(count) for name, count in zip(counts, row, strict=True) if count}


def noise(first: Run, second: Run) -> list[tuple[str, float, float]]:
    """Seconds of each step of the reference in two runs: what the machine adds to or takes from any figure here."""
    one, two = (json.loads(run.output) for run in (first, second))
    return [(step, one[step], two[step]) for step in one]


def bench(folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Run everything; yields the report line by line, as soon as a line is known."""
    one_day = timedelta(days=1)
    last_day = FIRST_DAY + timedelta(days=arguments.days - 1)
    started = time.perf_counter()
    world = build_world(folder / "world", arguments.accounts, FIRST_DAY, arguments.days + 1, arguments.events)
    yield (
        f"world: {arguments.accounts} accounts, {arguments.days} days and one more, {world.events} events, "
        f"written in {time.perf_counter() - started:.0f} s"
    )

    output = folder / "reference.parquet"
    runs = [run_reference(world, FIRST_DAY, last_day, output) for _ in range(2)]
    for step, one, two in noise(*runs):
        yield f"  reference, {step:<24} {one:7.2f} s {two:7.2f} s"
    reference = min(runs, key=lambda run: run.seconds)
    yield _line("reference", reference)
    slower = max(run.seconds for run in runs) / reference.seconds
    yield f"  machine noise: the slower run of the reference took {slower:.2f} times the faster one"
    if arguments.reference_only:
        return

    # The first run pays for parsing the project, the second is what every later day pays before it does anything.
    empty = build_world(folder / "empty", 1, FIRST_DAY, 2, 10)
    config_file = empty.configure("empty", FIRST_DAY)
    first_start = run_pipeline(config_file, FIRST_DAY, FIRST_DAY)
    start_up = run_pipeline(config_file, FIRST_DAY + one_day, FIRST_DAY + one_day)
    yield _line("fixed start-up, first", first_start)
    yield _line("fixed start-up, later", start_up)

    config_file = world.configure("bench", FIRST_DAY)
    backfill = run_pipeline(config_file, FIRST_DAY, last_day)
    yield _line("full backfill", backfill, f"{backfill.seconds / reference.seconds:.2f} x reference (goal: 1.5)")
    found = differences(published_mart(config_file), output)
    yield f"  rows of account_health_history that differ from the reference: {found or 'none'}"
    day = run_pipeline(config_file, last_day + one_day, last_day + one_day)
    limit = backfill.seconds / 10 + start_up.seconds
    yield _line("one more day", day, f"goal: backfill / 10 + start-up = {limit:.1f} s")
    peak = max(backfill.peak_bytes, day.peak_bytes)
    yield f"  peak memory of the pipeline: {_gigabytes(peak)} (goal: 4 GB)"

    if not arguments.skip_history:
        yield from _bench_history(folder, arguments)


def _bench_history(folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """A daily run after 720 days against one after 90: the same company and raw files, scored for longer."""
    longest = max(HISTORY_DAYS)
    per_account_day = arguments.events / (arguments.accounts * arguments.days)
    accounts = arguments.history_accounts
    # Two days follow the history: the faster of two daily runs counts.
    world = build_world(
        folder / "history", accounts, FIRST_DAY, longest + 2, round(per_account_day * accounts * (longest + 2))
    )
    yield f"history: {accounts} accounts, {longest} days, {world.events} events"
    last_day = FIRST_DAY + timedelta(days=longest - 1)
    daily: dict[int, Run] = {}
    for days in HISTORY_DAYS:
        first_day = last_day - timedelta(days=days - 1)
        config_file = world.configure(f"history-{days}", first_day)
        yield _line(f"backfill of {days} days", run_pipeline(config_file, first_day, last_day))
        next_days = [last_day + timedelta(days=n) for n in (1, 2)]
        daily[days] = min((run_pipeline(config_file, day, day) for day in next_days), key=lambda run: run.seconds)
        yield _line(f"daily run after {days} days", daily[days])
    ratio = daily[longest].seconds / daily[min(HISTORY_DAYS)].seconds
    yield f"  daily run after {longest} days: {ratio:.2f} times that after {min(HISTORY_DAYS)} (goal: 1.3)"


def _line(name: str, run: Run, remark: str = "") -> str:
    return (
        f"{name:<26} {run.seconds:7.1f} s wall {run.cpu_seconds:7.1f} s processor "
        f"{_gigabytes(run.peak_bytes):>8} peak  {remark}"
    ).rstrip()


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


@contextmanager
def _scratch(keep: bool) -> Iterator[Path]:
    """A temporary folder; removed in the end unless it is to be kept."""
    if keep:
        folder = Path(tempfile.mkdtemp(prefix="health-bench-"))
        print(f"kept in {folder}")
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="health-bench-") as name:
            yield Path(name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=5000)
    parser.add_argument("--days", type=int, default=180, help="as-of days of the backfill")
    # Accounts that join later or leave have no events on the other days: 23 million asked for become 20 million.
    parser.add_argument("--events", type=int, default=23_000_000, help="events if all accounts were there all days")
    parser.add_argument("--history-accounts", type=int, default=500, help="accounts of the runs after 90 and 720 days")
    parser.add_argument("--skip-history", action="store_true", help="leave out the runs after 90 and 720 days")
    parser.add_argument("--reference-only", action="store_true", help="leave out the pipeline")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder with all files")
    arguments = parser.parse_args()
    with _scratch(arguments.keep) as folder:
        try:
            for line in bench(folder, arguments):
                print(line, flush=True)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
