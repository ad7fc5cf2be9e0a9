"""`make bench`: the pipeline's speed and memory beside a plain DuckDB program that computes and writes the same rows.

Writes a demo company as raw files (several files a day on every second day) with a candidate version in its seeds, runs reference
(`reference.py`) and pipeline on it in processes of their own, and prints times, memory and every difference between the two marts; in the
end the table of figures and goals. Nothing is written outside a temporary folder, and no timing is an assertion: a busy machine only makes
a bad table. A small round:

    make bench ARGS="--accounts 50 --days 30 --events 30000 --skip-history"
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from orchestration.extract.connectors.demo import demo_sources, write_demo_files
from orchestration.settings import PROJECT_ROOT, Demo

FIRST_DAY = date(2026, 1, 1)
SEED = 7
SAMPLE_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
THREADS = 2
HISTORY_DAYS = (90, 720)
WEEK = 7
CANDIDATE = "bench-candidate"
TOLERANCES = {
    "account_health_history": {
        "health_score": 1e-9, "uncapped_score": 1e-7, "coverage": 1e-9, "delta_7d": 1e-9, "delta_28d": 1e-9, "delta_90d": 1e-9,
        "slope_28d": 1e-7,
    },
    "metric_scores_history": {
        "value": 1e-7, "normalized_score": 1e-7, "nominal_weight": 1e-9, "effective_weight": 1e-9, "points": 1e-7,
    },
}  # fmt: skip
TEXTS = {
    "account_health_history": (
        "raw_tier", "model_tier", "is_tier_held", "tier", "stage", "scorecard_key", "config_version", "trend", "previous_tier",
        "tier_since",
        "days_in_tier",
    ),
    "metric_scores_history": ("state", "dimension_key"),
}  # fmt: skip


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

    @property
    def seeds(self) -> Path:
        return self.folder / "seeds"

    def configure(self, name: str, first_day: date) -> Path:
        """Write a configuration with a data folder of its own; scoring begins on `first_day`."""
        config_file = self.folder / f"{name}.toml"
        config_file.write_text(
            f"[pipeline]\nstart_date = {first_day}\nend_date = {self.last_day}\n"
            f'data_dir = "data-{name}"\nseeds_dir = "seeds"\nthreads = {THREADS}\n\n'
            + demo_sources("raw").replace("/{day}.parquet", "/{day}*.parquet"),
            encoding="utf-8",
        )
        return config_file


def build_world(folder: Path, accounts: int, first_day: date, days: int, events: int, files: int = 1) -> World:
    """Write a demo company, with a candidate version beside the shipped one.

    Args:
        events: counts its usage if every account were there on all of the `days` days.
        files: of every second day's events; the other days have one.
    """
    last_day = first_day + timedelta(days=days - 1)
    written = write_demo_files(Demo(accounts=accounts, seed=SEED), first_day, last_day, folder / "raw", events / (accounts * days))
    if files > 1:
        for path in sorted((folder / "raw" / "events").glob("*.parquet"))[::2]:
            split_file(path, files)
    shutil.copytree(PROJECT_ROOT / "seeds", folder / "seeds")
    add_candidate(folder / "seeds")
    return World(folder, first_day, last_day, written)


def split_file(path: Path, files: int) -> None:
    """Replace a Parquet file by several of about the same size, named `<stem>-<number>.parquet`, with its rows in their order."""
    events = pq.read_table(path)
    rows = -(-events.num_rows // files)
    for number in range(files):
        part = events.slice(number * rows, rows)
        if part.num_rows:
            pq.write_table(part, path.with_name(f"{path.stem}-{number:02d}.parquet"))
    path.unlink()


def add_candidate(seeds: Path) -> None:
    """Add a candidate version in which the dimensions' weights are more alike than in the version of the first row."""
    for path in seeds.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = list(csv.reader(stream))
        if "config_version" not in header:
            continue
        of_version = [row for row in rows if row[0] == rows[0][0]]
        copies = [[CANDIDATE, *row[1:]] for row in of_version]
        for copy in copies:
            if path.stem == "config_versions":
                copy[header.index("status")] = "candidate"
            if path.stem == "scorecard_dimensions":
                copy[header.index("weight")] = str(float(copy[header.index("weight")]) + 10)
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *rows, *copies])


def measure(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run a command in the project's folder and watch it until it ends.

    Memory is the resident set of the process and all its descendants, summed: shared pages count once for each.

    Raises:
        BenchError: the command ended with another status than 0.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, env={**os.environ, **(environment or {})}, stdout=output, stderr=errors)
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
            raise BenchError(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}\n{_read(errors)[-4000:]}")
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
            sys.executable,
            "-m",
            "tests.benchmarks.reference",
            str(world.raw),
            "--seeds",
            str(world.seeds),
            "--first-day",
            str(first_day),
            "--last-day",
            str(last_day),
            "--output",
            str(output),
            "--threads",
            str(THREADS),
        ]
    )


def run_pipeline(config_file: Path, *days: date) -> Run:
    """Run one day, a range, or without days all that are configured."""
    return measure(
        [sys.executable, "-m", "orchestration", "run", *(["...".join(map(str, days))] if days else [])],
        {"HEALTH_CONFIG": str(config_file)},
    )


def data_folder(config_file: Path) -> Path:
    return config_file.parent / f"data-{config_file.stem}"


def published_mart(config_file: Path) -> Path:
    return data_folder(config_file) / "published" / "current" / "health.duckdb"


def differences(mart: Path, reference: Path) -> dict[str, int]:
    """Compare the published histories of accounts and metrics with the reference's, on the days that both hold.

    Returns:
        How many rows are missing from the mart, are only there, or differ in a column, as `table: kind`; kinds of difference that do not
        occur are left out.
    """
    found: dict[str, int] = {}
    with duckdb.connect() as connection:
        for name, path in (("mart", mart), ("reference", reference)):
            connection.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as {name} (read_only)")
        for table, tolerances in TOLERANCES.items():
            counts = {
                "missing": "ours.account_id is null",
                "not in the reference": "theirs.account_id is null",
                **{
                    column: "ours.account_id = theirs.account_id and ("
                    f"abs(ours.{column} - theirs.{column}) > {limit} * greatest(1, abs(theirs.{column})) "
                    f"or (ours.{column} is null) <> (theirs.{column} is null))"
                    for column, limit in tolerances.items()
                },
                **{
                    column: f"ours.account_id = theirs.account_id and ours.{column} is distinct from theirs.{column}"
                    for column in TEXTS[table]
                },
            }
            days = connection.execute(
                f"select max(first_day), min(last_day) from (select min(as_of_date), max(as_of_date) from mart.{table} "
                f"union all select min(as_of_date), max(as_of_date) from reference.{table}) as days (first_day, last_day)"
            ).fetchall()[0]
            keys = "account_id, as_of_date"
            # One metric at a time: a view over wide rows reads only its columns.
            parts = [(keys, "true")]
            if table == "metric_scores_history":
                metrics = connection.execute(
                    f"select distinct metric_key from mart.{table} union select distinct metric_key from reference.{table}"
                ).fetchall()
                parts = [(f"{keys}, metric_key", f"metric_key = '{metric}'") for (metric,) in metrics]
            for key, condition in parts:
                row = connection.execute(
                    f"with ours as (from mart.{table} where as_of_date between ? and ? and {condition}), "
                    f"theirs as (from reference.{table} where as_of_date between ? and ? and {condition}) "
                    f"select {', '.join(f'coalesce(sum(cast({test} as integer)), 0)' for test in counts.values())} "
                    f"from ours full join theirs using ({key})",
                    [*days, *days],
                ).fetchall()[0]
                for name, count in zip(counts, row, strict=True):
                    if count:
                        found[f"{table}: {name}"] = found.get(f"{table}: {name}", 0) + int(count)
    return found


def noise(first: Run, second: Run) -> list[tuple[str, float, float]]:
    """Seconds of each step of the reference in two runs: what the machine adds to or takes from any figure here."""
    one, two = (json.loads(run.output) for run in (first, second))
    return [(step, one[step], two[step]) for step in one]


def bench(folder: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Run everything; yields the report line by line, as soon as a line is known, and in the end the table of goals."""
    one_day = timedelta(days=1)
    last_day = FIRST_DAY + timedelta(days=arguments.days - 1)
    started = time.perf_counter()
    # After the backfill come one more day and a week.
    world = build_world(
        folder / "world",
        arguments.accounts,
        FIRST_DAY,
        arguments.days + 1 + WEEK,
        round(arguments.events * (arguments.days + 1 + WEEK) / arguments.days),
        arguments.files,
    )
    files = sum(1 for _ in (world.raw / "events").glob("*.parquet"))
    yield (
        f"world: {arguments.accounts} accounts, {arguments.days} days and {1 + WEEK} more, {world.events} events in {files} files, "
        f"a candidate version; written in {time.perf_counter() - started:.0f} s"
    )

    output = folder / "reference.duckdb"
    runs = []
    for _ in range(2):
        output.unlink(missing_ok=True)
        runs.append(run_reference(world, FIRST_DAY, last_day, output))
    for step, one, two in noise(*runs):
        yield f"  reference, {step:<24} {one:7.2f} s {two:7.2f} s"
    reference = min(runs, key=lambda run: run.seconds)
    yield _line("reference", reference)
    slower = max(run.seconds for run in runs) / reference.seconds
    yield f"  machine noise: the slower run of the reference took {slower:.2f} times the faster one"
    if arguments.reference_only:
        return
    goals = [Goal("reference", f"{reference.seconds:.1f} s", "")]

    config_file = world.configure("bench", FIRST_DAY)
    backfill = run_pipeline(config_file, FIRST_DAY, last_day)
    yield _line("full backfill", backfill)
    goals.append(Goal.times("full backfill, everything published", backfill.seconds, reference.seconds, 1.5))
    dagster = folder_bytes(data_folder(config_file) / "dagster")
    yield f"  rows that differ from the reference: {differences(published_mart(config_file), output) or 'none'}"
    day = run_pipeline(config_file, last_day + one_day, last_day + one_day)
    yield _line("one more day", day)
    goals.append(Goal.times("one more day", day.seconds, reference.seconds, 0.25))
    week = run_pipeline(config_file, last_day + 2 * one_day, last_day + (1 + WEEK) * one_day)
    yield _line(f"a range of {WEEK} days", week)
    further = (week.seconds - day.seconds) / (WEEK - 1)
    goals.append(Goal("each further day in a range of a week", f"{further:.2f} s", "under 1 s"))

    demo = demo_configuration(folder / "demo")
    demo_run = run_pipeline(demo)
    yield _line("make run, the demo company", demo_run)
    goals.append(Goal.times("make run after set-up, 500 accounts x 180 days", demo_run.seconds, reference.seconds, 0.5))

    five = build_world(folder / "five", 5, FIRST_DAY, 2, 50)
    config_file = five.configure("five", FIRST_DAY)
    new_folder, next_day = run_pipeline(config_file, FIRST_DAY), run_pipeline(config_file, FIRST_DAY + one_day)
    yield _line("five accounts, new folder", new_folder)
    yield _line("five accounts, next day", next_day)
    goals.append(Goal("one day of five accounts", f"{next_day.seconds:.1f} s", "8 s"))
    goals.append(Goal("one day of five accounts, new data folder", f"{new_folder.seconds:.1f} s", "14 s"))

    if not arguments.skip_history:
        short, long = yield from _bench_history(folder, arguments)
        name = f"a day after {max(HISTORY_DAYS)} days of history against {min(HISTORY_DAYS)}, CPU"
        goals.append(Goal(name, f"{long.cpu_seconds / short.cpu_seconds:.2f} x", "1.1 x"))
    peak = max(run.peak_bytes for run in (backfill, day, week))
    goals.append(Goal("peak memory, all processes summed", _gigabytes(peak), "3 GB"))
    goals.append(Goal("Dagster's history after the backfill", f"{dagster / 1e6:.0f} MB", "40 MB"))
    yield ""
    for goal in goals:
        yield f"{goal.name:<58} {goal.figure:>20}   {f'goal: {goal.limit}' if goal.limit else ''}".rstrip()


@dataclass(frozen=True)
class Goal:
    """A line of the table in the end."""

    name: str
    figure: str
    limit: str

    @classmethod
    def times(cls, name: str, seconds: float, reference: float, limit: float) -> "Goal":
        return cls(name, f"{seconds:.1f} s = {seconds / reference:.2f} x", f"{limit} x reference")


def demo_configuration(folder: Path) -> Path:
    """The project's own health.toml, with a data folder elsewhere."""
    folder.mkdir()
    config_file = folder / "health.toml"
    text = (PROJECT_ROOT / "health.toml").read_text(encoding="utf-8")
    config_file.write_text(text.replace('data_dir = "data"', 'data_dir = "data-health"'), encoding="utf-8")
    return config_file


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _bench_history(folder: Path, arguments: argparse.Namespace) -> Generator[str, None, tuple[Run, Run]]:
    """A daily run after 90 days and one after 720: the same company and raw files, scored for longer."""
    longest = max(HISTORY_DAYS)
    per_account_day = arguments.events / (arguments.accounts * arguments.days)
    accounts = arguments.history_accounts
    # Two days follow the history: the daily run that needs less counts. All of it is over: a run refuses days to come.
    begins = FIRST_DAY - timedelta(days=longest)
    world = build_world(folder / "history", accounts, begins, longest + 2, round(per_account_day * accounts * (longest + 2)))
    yield f"history: {accounts} accounts, {longest} days, {world.events} events"
    last_day = begins + timedelta(days=longest - 1)
    daily: list[Run] = []
    for days in sorted(HISTORY_DAYS):
        first_day = last_day - timedelta(days=days - 1)
        config_file = world.configure(f"history-{days}", first_day)
        yield _line(f"backfill of {days} days", run_pipeline(config_file, first_day, last_day))
        next_days = [last_day + timedelta(days=n) for n in (1, 2)]
        daily.append(min((run_pipeline(config_file, day) for day in next_days), key=lambda run: run.cpu_seconds))
        yield _line(f"daily run after {days} days", daily[-1])
    return daily[0], daily[1]


def _line(name: str, run: Run, remark: str = "") -> str:
    return (
        f"{name:<26} {run.seconds:7.1f} s wall {run.cpu_seconds:7.1f} s processor {_gigabytes(run.peak_bytes):>8} peak  {remark}"
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
    parser.add_argument("--files", type=int, default=39, help="files of events on every second day; the other days have one")
    parser.add_argument("--history-accounts", type=int, default=300, help="accounts of the runs after 90 and 720 days")
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
