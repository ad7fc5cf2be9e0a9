"""Which account each Zendesk organization led to in the rows that landed, so that a run notices where one leads elsewhere now.

A ticket does not change when its organization gets another key: what the export then brings would not show it.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from orchestration.contract import RawTable
from orchestration.durable import write_text
from orchestration.extract.connectors.zendesk import ZendeskSource
from orchestration.extract.lake import manifest as lake
from orchestration.integrity import read_stamped, stamped
from orchestration.settings import Settings

Accounts = Mapping[str, str | None]
# Before a mail domain, to distinguish it from the number of an organization.
DOMAIN = "@"


class AccountNote:
    """The accounts at a reading, beside those of the last one that landed.

    A note counts as landed as soon as what the table holds has changed: what was read and did not land is noticed again.
    """

    def __init__(self, settings: Settings, table: RawTable, source: ZendeskSource, accounts: Accounts) -> None:
        """`accounts`: by number of the organization, and by mail domain with `DOMAIN` before it."""
        name = blake2b(f"{source.url} {table.name}".encode(), digest_size=8).hexdigest()
        self._path = settings.lake / "journal" / "zendesk" / f"{name}.json"
        self._accounts = accounts
        self._state = _state_of(lake.read_manifest(settings.lake, table.name))
        self._landed: Accounts | None = None
        try:
            noted = read_stamped(self._path)
            self._landed = noted["landed"] if noted["manifest"] == self._state else noted["read"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass

    @property
    def has_moves(self) -> bool:
        """True if an organization or mail domain now maps to another account than when its rows were read, or if that is unknown."""
        if self._landed is None:
            return self._state is not None
        # An organization that is new has no old rows, one that is gone no new ones; a domain that nobody claims is its own account.
        both = self._landed.keys() & self._accounts.keys()
        domains = {key for key in self._landed.keys() | self._accounts.keys() if key.startswith(DOMAIN)}
        return any(_account(self._landed, key) != _account(self._accounts, key) for key in both | domains)

    def write(self) -> None:
        """After the reading."""
        gone = {key: account for key, account in (self._landed or {}).items() if not key.startswith(DOMAIN)}
        content = {"landed": self._landed, "read": {**gone, **self._accounts}, "manifest": self._state}
        write_text(self._path, stamped(content))


def _state_of(manifest: lake.Manifest | None) -> str | None:
    """Names what a table holds; None where it never landed. Why a reading was not taken over is not part of it."""
    if manifest is None or not manifest.deliveries:
        return None
    return blake2b(repr(replace(manifest, not_read=None)).encode(), digest_size=16).hexdigest()


def _account(accounts: Accounts, key: str) -> str | None:
    return accounts.get(key, key.removeprefix(DOMAIN))
