"""The board's speed and size for a large company: `python -m tests.benchmarks.board`.

Multiplies a published mart to many accounts, writes its board in a process of its own, and opens it in headless
Chromium. Prints seconds by phase, peak memory, bytes, and how long pages take to open beside a blank one. No timing is
an assertion.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

import orchestration.publish.board as board
from orchestration.publish.generations import DATABASE, seal
from orchestration.publish.links import account_page
from orchestration.settings import PROJECT_ROOT, load_settings
from orchestration.warehouse import literal
from tests.benchmarks.bench import measure
from tests.unit.board.test_browser import CHROMIUM, FLAGS, sync_api

PHASES = ("open_source", "write_accounts", "write_account_list", "write_portfolios", "_write_pages", "_write_assets")
OPENINGS = 5


def multiply(source: Path, target: Path, accounts: int) -> int:
    """Write a mart that has every account of another one several times; returns the number of accounts."""
    with duckdb.connect(str(target), config={"memory_limit": "3GB"}) as connection:
        connection.execute(f"attach {literal(source)} as small (read_only)")
        ((given,),) = connection.execute("select count(*) from small.account_health").fetchall()
        copies = -(-accounts // given)
        views = dict(
            connection.execute("select view_name, sql from duckdb_views() where database_name = 'small' and not internal").fetchall()
        )
        tables = connection.execute(
            "select schema_name, table_name, list(column_name) from duckdb_columns() "
            "where database_name = 'small' and not internal group by all"
        ).fetchall()
        for schema, table, names in tables:
            if table in views:
                continue
            connection.execute(f"create schema if not exists {schema}")
            ids = [name for name in ("account_id", "parent_account_id") if name in names]
            changed = ", ".join(f"{name} || '-' || copy as {name}" for name in ids)
            order = "order by as_of_date" if "as_of_date" in names else ""
            if ids:
                # An owner has as many accounts as before.
                changed += ", csm || ' ' || copy as csm" if "csm" in names else ""
                query = f"select * replace ({changed}) from small.{schema}.{table} cross join range({copies}) as copies (copy) {order}"
                connection.execute(f"create table {schema}.{table} as select * exclude (copy) from ({query})")
            elif table == "segment_health":
                multiplied = f"accounts * {copies} as accounts, arr * {copies} as arr"
                connection.execute(f"create table {table} as select * replace ({multiplied}) from small.{table}")
            else:
                connection.execute(f"create table {schema}.{table} as from small.{schema}.{table}")
        for query in views.values():
            connection.execute(query)
        return given * copies


def build(config: Path, folder: Path) -> dict[str, float]:
    """Write the board of a generation, timing its parts; to be run in a process of its own."""
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                seconds[name.strip("_")] = round(time.perf_counter() - start, 2)

        return run

    for name in PHASES:
        setattr(board, name, timed(name, getattr(board, name)))
    files = timed("all", board.write_board)(load_settings(config), folder, datetime.now(UTC))
    timed("seal", seal)(folder, files)
    return seconds | {"files": len(files)}


def page_bytes(folder: Path, page: str) -> int:
    """What a page loads, itself included."""
    text = (folder / page).read_text(encoding="utf-8")
    names = {name for name in map(str, _assets(folder)) if f'"{name}"' in text}
    return len(text.encode()) + sum((folder / name).stat().st_size for name in names)


def _assets(folder: Path) -> list[Path]:
    return [path.relative_to(folder) for kind in ("assets", "data") for path in (folder / kind).iterdir()]


def open_pages(folder: Path, account_id: str) -> dict[str, float]:
    """Median milliseconds from asking for a page to its last chart, or its table, being there; and of a blank page."""
    pages = {
        "blank": ("about:blank", "body"),
        "portfolio": (f"{folder.as_uri()}/index.html", "#segments-chart svg"),
        "accounts": (f"{folder.as_uri()}/accounts.html", "#accounts tbody tr"),
        "account": (f"{folder.as_uri()}/{account_page(account_id)}", "#dimensions-chart svg"),
    }
    taken: dict[str, float] = {}
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, (address, ready) in pages.items():
            rounds = []
            for _ in range(OPENINGS):
                tab = browser.new_context().new_page()
                start = time.perf_counter()
                tab.goto(address)
                tab.locator(ready).first.wait_for(state="attached")
                rounds.append(1000 * (time.perf_counter() - start))
                tab.context.close()
            taken[name] = round(statistics.median(rounds))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mart", type=Path, default=PROJECT_ROOT / "data" / "published" / "current" / DATABASE)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--build", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        print(json.dumps(build(*given.build)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "health.toml"
        config.write_text('[pipeline]\nstart_date = 2026-01-01\n[sources.accounts]\nconnector = "demo"\n')
        accounts = multiply(given.mart, folder / DATABASE, given.accounts)
        run = measure([sys.executable, "-m", "tests.benchmarks.board", "--build", str(config), str(folder)])
        print(
            f"{accounts} accounts; seconds by phase, and files: {run.output.strip()}; "
            f"{run.cpu_seconds:.0f} s of processor, peak memory {run.peak_bytes / 1e6:.0f} MB"
        )
        site = folder / board.FOLDER
        total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        shard = max(path.stat().st_size for path in site.glob("data/accounts-*.js"))
        pages = {page: round(page_bytes(site, page) / 1e6, 2) for page in ("index.html", "accounts.html", "account.html")}
        print(f"MB of a page with all it loads: {pages}, the largest shard {shard / 1e6:.2f}, the board {total / 1e6:.0f}")
        if CHROMIUM is None:
            print("no Chromium on this machine: pages are not opened")
            return
        with duckdb.connect(str(folder / DATABASE), read_only=True) as connection:
            ((some,),) = connection.execute("select min(account_id) from account_health").fetchall()
        taken = open_pages(site, some)
        ratios = {page: round(value / taken["blank"], 1) for page, value in taken.items()}
        print(f"milliseconds to open: {taken}; beside a blank page: {ratios}")


if __name__ == "__main__":
    main()
