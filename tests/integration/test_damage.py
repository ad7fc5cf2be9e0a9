"""One flipped bit in what a run reads: the real command repairs it, or ends with one line that names the file."""

import random
from pathlib import Path
from subprocess import CompletedProcess

from tests.company import LAST_DAY, NEXT_DAY, NOT_DATA, Company, Rows, content, differences, read_mart, revision_faults
from tests.damage import flip_bit
from tests.forked import health
from tests.forked import run as run_module

WEEKLY = """
from orchestration.definitions import defs
result = defs().resolve_job_def("weekly_verify").execute_in_process(raise_on_error=False)
[failed] = [event for event in result.all_events if event.is_step_failure]
print(failed.event_specific_data.user_failure_data.description)
"""


def command(company: Company, *arguments: str) -> CompletedProcess[str]:
    return health(company.config_file, *arguments)


def verify(company: Company) -> CompletedProcess[str]:
    return command(company, "verify")


def one(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def test_flipped_bits_are_repaired_by_the_next_run(next_mart: dict[str, Rows], company: Company) -> None:
    chosen, lake = random.Random(12), company.settings.lake
    damaged = [
        one(lake, "raw/accounts/*.parquet"),
        # The next delivery brings a late event of this day, which is then rolled up with the damaged file.
        one(lake, f"raw/usage_events/event_day={LAST_DAY}/{LAST_DAY}-*.parquet"),
    ]
    manifest = lake / "raw" / "subscriptions" / "_manifest.json"
    revisions = one(company.settings.revisions, "*.parquet")
    database = company.published / "generations" / "1" / "health.duckdb"
    # Of this no run reads the scores: a verification finds it.
    unread = one(lake, "raw/usage_events/event_day=2025-12-*/*.parquet")
    before = verify(company)
    assert (before.returncode, before.stdout.splitlines()[-1]) == (0, "everything is intact")
    content_before = content(company.settings.data_dir, NOT_DATA)
    for path in (*damaged, manifest, revisions, database, unread):
        flip_bit(path, chosen)
    flipped = content(company.settings.data_dir, NOT_DATA)
    found = verify(company)
    lines = [line for line in found.stdout.splitlines() if line.startswith("damaged: ")]
    assert (found.returncode, len(lines)) == (1, 6), found.stdout
    for path in (*damaged, manifest, revisions, database, unread):
        assert any(line.startswith(f"damaged: {path}: ") for line in lines), path
    assert content(company.settings.data_dir, NOT_DATA) == flipped != content_before

    weekly = run_module("-c", WEEKLY, config=company.config_file)
    assert weekly.returncode == 0, weekly.stderr[-3000:]
    assert weekly.stdout.splitlines()[-6:] == [line.removeprefix("damaged: ") for line in lines]

    ran = command(company, "run", str(NEXT_DAY))
    assert ran.returncode == 0, ran.stderr[-3000:]
    for path in damaged:
        assert f"{path}: was damaged and is landed again" in ran.stdout
    assert f"{manifest}: was lost or damaged, restored from" in ran.stdout
    assert f"{revisions}: was lost, damaged, or left out by a killed run, and is restored from" in ran.stdout
    assert f"{database}: is not what was published; written anew" in ran.stdout
    assert not differences(next_mart, read_mart(company.published))
    assert not revision_faults(company)
    lines = [line for line in verify(company).stdout.splitlines() if line.startswith("damaged: ")]
    # No run reads the generation before, nor an event day that did not change: only its keys, which not every bit makes unreadable.
    left = {database} if f"{unread}: was damaged and is landed again" in ran.stdout else {database, unread}
    assert {line.partition(". ")[0] for line in lines} == {f"damaged: {path}: damaged" for path in left}
