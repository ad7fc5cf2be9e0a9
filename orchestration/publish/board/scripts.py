"""Data as classic scripts: pages opened from a disk may load neither modules nor JSON."""

import json
from typing import Any

# None of them may end a script element, begin a comment or an entity, or break a line.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def escape_json(text: str) -> str:
    """JSON that is safe in a script. The escaped characters are only inside its strings."""
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def call(function: str, *arguments: Any) -> str:
    """A script that calls a function of `board.js` with the arguments."""
    written = (escape_json(json.dumps(argument, ensure_ascii=False, allow_nan=False, default=str)) for argument in arguments)
    return f"{function}({', '.join(written)});\n"
