"""The health board: a static site, written with a generation from its closed `health.duckdb`.

It opens from a disk as well as behind a web server: no page asks for more than the scripts and style sheets beside it.
"""

import shutil
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestration.plain_text import BREAKS, HIDDEN
from orchestration.publish.board.accounts import write_account_list, write_accounts
from orchestration.publish.board.assets import static_assets
from orchestration.publish.board.belief import Words, read_belief
from orchestration.publish.board.formats import FILTERS
from orchestration.publish.board.portfolio import RENEWAL_DAYS, read_sources, write_portfolios
from orchestration.publish.board.scripts import call
from orchestration.publish.board.source import NO_OWNER, BoardSource, open_source
from orchestration.publish.exports.text import FORMULA
from orchestration.publish.generations import open_published
from orchestration.publish.links import ACCOUNT_PAGE
from orchestration.publish.tiers import AT_RISK, TIER_COLOURS, WORST_FIRST
from orchestration.settings import Settings

FOLDER = "board"
# From the folder of the generations: the provisional scores of the running day, see orchestration/publish/today.py.
TODAY = "today/today.js"


def write_board(settings: Settings, folder: Path, published_at: datetime) -> list[str]:
    """Write the board of a generation.

    Args:
        settings: limits of the connection, days of history, currency.
        folder: the generation's, with its closed `health.duckdb`.
        published_at: with its time zone; shown on every page.

    Returns:
        The names of the files, relative to `folder`.

    Raises:
        AssetError: an installed library ships its JavaScript in a form that this version does not know.
    """
    board = folder / FOLDER
    for name in ("assets", "data"):
        (board / name).mkdir(parents=True)
    with open_published(settings, folder) as connection:
        source = open_source(settings, connection)
        shards = {"accounts": write_accounts(source, board / "data"), "portfolios": write_portfolios(source, board / "data")}
        write_account_list(source, board / "data" / "accounts.js")
        words, belief = read_belief(source, settings.validation.horizon_days)
        common = _common(settings, source, shards, words)
        sources = read_sources(source)
    (board / "data" / "believe.js").write_text(call("board.believe", belief["charts"]), encoding="utf-8")
    (board / "data" / "common.js").write_text(call("board.setCommon", common), encoding="utf-8")
    _write_pages(board, source, published_at, words, sources | belief)
    _write_assets(board / "assets")
    return sorted(str(path.relative_to(folder)) for path in board.rglob("*") if path.is_file())


def _common(settings: Settings, source: BoardSource, shards: dict[str, int], words: Words) -> dict:
    """What the scripts of all pages need."""
    return {
        "asOf": source.as_of,
        "firstDay": source.first_day,
        "cadenceDays": settings.pipeline.cadence_days,
        "endDate": settings.pipeline.end_date,
        "currency": source.currency,
        "breaks": BREAKS,
        "hidden": HIDDEN,
        "formula": FORMULA,
        "shards": shards,
        "tiers": [[tier, words.tier_labels[tier], TIER_COLOURS[tier]] for tier in TIER_COLOURS],
        "worstFirst": WORST_FIRST,
        "atRisk": AT_RISK,
        "words": {"risk": words.risk, "whose": words.whose, "is_risk": words.is_risk},
        "owners": source.owners,
        "noOwner": NO_OWNER,
        "renewalDays": RENEWAL_DAYS,
        "hasContacts": source.has_contacts,
        "metrics": source.metrics,
        "scorecards": source.scorecards,
        "rules": source.rules,
        "tierLimits": source.tier_limits,
    }


def _write_pages(board: Path, source: BoardSource, published_at: datetime, words: Words, figures: dict) -> None:
    environment = Environment(
        loader=PackageLoader("orchestration.publish.board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals |= {
        "as_of": source.as_of,
        "today": TODAY,
        "first_day": source.first_day,
        "currency": source.currency,
        "published_at": published_at.astimezone(UTC),
        "tier_labels": words.tier_labels,
        "words": words,
        "tiers": list(TIER_COLOURS),
    }
    for name in ("index.html", "accounts.html", "believe.html", ACCOUNT_PAGE):
        page = environment.get_template(name).render(figures)
        (board / name).write_text(page, encoding="utf-8")


def _write_assets(folder: Path) -> None:
    with as_file(files("orchestration.publish.board") / "static") as static:
        for path in static.iterdir():
            shutil.copyfile(path, folder / path.name)
    made = static_assets()
    for name, script in {**made["scripts"], "charts.js": call("board.setCharts", made["charts"])}.items():
        (folder / name).write_text(script, encoding="utf-8")
