"""Secrets out of texts: what a message, a log or a page shows of one is the name of its environment variable."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote

from orchestration.settings import Settings
from orchestration.sources import SECRET_PARAMETER, Secret

# Of an address: up to its last @, since a password may hold some that should have been percent-encoded.
_PASSWORD = re.compile(r"://[^/:]*:(.+)@", re.DOTALL)
_PARAMETER = re.compile(rf"(?:^|[?&;#]){SECRET_PARAMETER}=([^&\s]+)", re.IGNORECASE)
# What is shorter is not a secret, and is part of every word.
_SHORTEST_PART = 3


def without_secrets(settings: Settings, text: str) -> str:
    """The text without any secret of the configured sources."""
    return masked(text, (secret for source in settings.sources.values() for secret in source.secrets().values()))


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """The text with the name of its variable in place of every secret, and of the password and signature within one that is an address."""
    names = {form: f"<{secret.env}>" for secret in secrets for form in _forms_of(secret.value() or "")}
    if not names:
        return text
    # In one pass, the longest first: no name that was put in is looked at again.
    forms = "|".join(re.escape(form) for form in sorted(names, key=len, reverse=True))
    return re.sub(forms, lambda found: names[found[0]], text)


def _forms_of(secret: str) -> set[str]:
    """The secret and its secret parts, as they are, percent-decoded, and as a URL or a JSON text holds them."""
    parts = set(_PARAMETER.findall(secret))
    if password := _PASSWORD.search(secret):
        # Whichever @ the reader of the address takes for its end.
        parts |= {password[1], *password[1].split("@")}
    parts = {secret, *(part for part in parts if len(part) >= _SHORTEST_PART)}
    parts |= {unquote(part) for part in parts}
    return {form for part in parts for form in (part, quote(part, safe=""), quote_plus(part), json.dumps(part)[1:-1])} - {""}
