"""Files in an object store (S3, Google Cloud Storage, Azure): listed by pattern, fetched when they are read.

obstore lists and reads; fsspec translates the pattern. (obstore's own fsspec class finds nothing by a glob: its listing leaves out the
bucket that the pattern names.)
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import obstore
from fsspec.utils import glob_translate
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, from_url

from orchestration.extract.errors import SourceUnavailable
from orchestration.masking import masked
from orchestration.plain_text import as_said
from orchestration.settings import SettingsError, secret_value
from orchestration.sources import FilesSource, Secret

_ATTEMPTS = {"max_retries": 5, "retry_timeout": timedelta(seconds=120)}
_ADDRESS = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[^/]+)/(?P<key>.+)")
# What obstore calls the schemes that other tools use.
_SCHEMES = {"gcs": "gs", "abfss": "abfs"}
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class StoredObject:
    """One object: its key in the bucket, its size in bytes, and what changes whenever its bytes do."""

    key: str
    size: int
    version: str


def check_store(name: str, source: FilesSource) -> None:
    """Find what is wrong with the options of a store, without a request.

    Raises:
        SettingsError: an option is unknown, wrong or missing, or a secret's variable is not set.
    """
    _store(name, source)


def list_objects(name: str, source: FilesSource, pattern: str) -> list[StoredObject]:
    """The objects that a pattern matches, by key.

    Args:
        name: raw table.
        source: with a remote path.
        pattern: that path, with a glob in place of the delivery day.

    Raises:
        SettingsError: an option is wrong, or a secret's variable is not set.
        SourceUnavailable: the store cannot be reached, or refuses.
    """
    pattern = _parts(pattern)["key"]
    wanted = re.compile(glob_translate(pattern))
    prefix = _MAGIC.split(pattern)[0]
    # A listing goes by folders: a prefix inside a name finds nothing.
    folder = prefix.rpartition("/")[0] or None
    try:
        found = [one for page in obstore.list(_store(name, source), folder) for one in page]
    except (BaseError, FileNotFoundError) as error:
        raise _unavailable(name, source, error) from None
    objects = [
        StoredObject(one["path"], one["size"], f"{one.get('e_tag')} {one['size']} {one['last_modified'].isoformat()}")
        for one in found
        if wanted.match(one["path"])
    ]
    return sorted(objects, key=lambda one: one.key)


def fetch(name: str, source: FilesSource, key: str, path: Path) -> None:
    """Copy an object to a local file, in pieces.

    Raises:
        SourceUnavailable: as `list_objects`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as file:
            for piece in obstore.get(_store(name, source), key).stream():
                file.write(piece)
    except (BaseError, FileNotFoundError) as error:
        raise _unavailable(name, source, error) from None


def address_of(source: FilesSource, key: str = "") -> str:
    """An object, or the bucket, as a person knows it."""
    parts = _parts(source.path)
    return f"{parts['scheme']}://{parts['bucket']}" + (f"/{key}" if key else "")


def _parts(address: str | None) -> dict[str, str]:
    found = _ADDRESS.fullmatch(address or "")
    assert found is not None, "a remote path, as the configuration was checked for"
    return found.groupdict()


def _store(name: str, source: FilesSource) -> ObjectStore:
    options: dict[str, str | bool] = {}
    for option, value in source.storage.items():
        options[option] = secret_value(f"sources.{name}.storage.{option}", value) if isinstance(value, Secret) else value
    parts = _parts(source.path)
    plain = str(options.get("endpoint", "")).startswith("http://")
    try:
        # Which options there are depends on the store, and its types on which store is meant.
        return cast(Any, from_url)(
            f"{_SCHEMES.get(parts['scheme'], parts['scheme'])}://{parts['bucket']}",
            config=options,
            client_options={"timeout": "60s", "allow_http": plain},
            retry_config=_ATTEMPTS,
        )
    except (BaseError, ValueError) as error:
        raise SettingsError(f"sources.{name}.storage: {_short(source, error)} Fix the option; their names are obstore's") from None


def _unavailable(name: str, source: FilesSource, error: Exception) -> SourceUnavailable:
    remedy = "Check bucket and path" if isinstance(error, NotFoundError | FileNotFoundError) else "Check endpoint, bucket and credentials"
    return SourceUnavailable(f"sources.{name}: {address_of(source)} cannot be read: {_short(source, error)}. {remedy}, or try again later")


def _short(source: FilesSource, error: Exception) -> str:
    # Before it is cut: half a secret would not be known.
    return as_said(masked(str(error).split("Debug source")[0], source.secrets().values()))
