"""The address of a database, as an environment variable holds it."""

import re

import sqlalchemy as sa

from orchestration.settings import SettingsError, secret_value
from orchestration.sources import Secret

# Host and all that follows, as SQLAlchemy sees it: a password ends at its first @. Without a host there is neither user nor password.
_FROM_THE_HOST_ON = re.compile(r"[^:]+://(?:[^:/]*(?::[^@]*)?@)?+([^/].*)", re.DOTALL)


def database_address(where: str, secret: Secret) -> sa.URL:
    """The address that a secret holds. No message shows anything of it.

    Args:
        where: the secret's key in the configuration, for the messages.
        secret: names the environment variable.

    Raises:
        SettingsError: the variable is not set, holds no address, or one in which the password cannot be separated from the host.
    """
    address = secret_value(where, secret)
    rest = _FROM_THE_HOST_ON.match(address)
    if rest is not None and "@" in rest[1]:
        # A part of the password would be looked up, and shown, as a host.
        raise SettingsError(
            f"{where}: what {secret.env} holds has an @ that could belong to the password or to the host. "
            "Percent-encode user and password: %40 for @, %3A for :, %2F for /, %3F for ?, %25 for %"
        )
    try:
        return sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError(
            f"{where}: what {secret.env} holds is not a database address. Write postgresql+psycopg://user:password@host/database"
        ) from None
