"""Data as classic scripts: pages opened from a disk may load neither modules nor JSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# None of them may end a script element, begin a comment or an entity, or break a line.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def escape_json(text: str) -> str:
    """JSON that is safe in a script. The escaped characters are only inside its strings."""
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def write_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)


def call(function: str, *arguments: Any) -> str:
    """A script that calls a function of `board.js` with the arguments."""
    return f"{function}({', '.join(escape_json(write_json(argument)) for argument in arguments)});\n"


def shard_of(key: str, shards: int) -> int:
    """FNV-1a over the key's UTF-8, which `board.js` computes likewise: how a page finds the script with its data without an index."""
    value = 2166136261
    for byte in key.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value % shards


def write_shard(folder: Path, kind: str, shard: int, entries: Iterable[str]) -> None:
    """Write `<kind>-<shard>.js`: entries as JSON objects with an `id`."""
    script = f'board.shard("{kind}", {shard}, [\n' + escape_json(",\n".join(entries)) + "\n]);\n"
    (folder / f"{kind}-{shard}.js").write_text(script, encoding="utf-8")
