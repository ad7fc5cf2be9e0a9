"""Where the board's pages are, for whatever points to them."""

from urllib.parse import quote, urlencode

from orchestration.settings import Settings

ACCOUNT_PAGE = "account.html"


def account_page(account_id: str) -> str:
    """An account's page, relative to the board's folder; any account id is safe in it."""
    return f"{ACCOUNT_PAGE}#{quote(account_id, safe='')}"


def account_page_url(settings: Settings, account_id: str) -> str | None:
    """An account's page as an address that a message can hold; None where `board.base_url` is not configured."""
    if settings.board.base_url is None:
        return None
    return f"{settings.board.base_url.rstrip('/')}/{account_page(account_id)}"


def portfolio_url(settings: Settings, owner: str | None) -> str | None:
    """The board's first page, of one owner's accounts where one is given; None where `board.base_url` is not configured."""
    if settings.board.base_url is None:
        return None
    chosen = "" if owner is None else f"#{urlencode({'owner': owner})}"
    return f"{settings.board.base_url.rstrip('/')}/index.html{chosen}"
