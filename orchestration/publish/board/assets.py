"""What is the same on every board: the JavaScript of others, turned into classic scripts, and the charts' specifications.

To bundle and check it takes three seconds, so it is made once, by `make setup` or the first run, and kept in `build/` of the project, under
a name that says of what it was made.
"""

import hashlib
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from orchestration.durable import write_text
from orchestration.integrity import Damaged, read_stamped, stamped
from orchestration.publish.generations import PublishError
from orchestration.settings import PROJECT_ROOT

# What a minified ES module ends with: `export{a as ITable,b as default,c as jQuery};`
_EXPORT = re.compile(r"\bexport\s*\{([^{}]*)\};?")
_DEFAULT = re.compile(r"([\w$]+)\s+as\s+default")
_VEGA_GLOBAL = "window.vegaEmbed"
_MADE_BY = ("altair", "itables", "vl-convert-python")
_MADE_FROM = ("board/assets.py", "board/charts.py", "tiers.py")


class AssetError(PublishError):
    """A library's JavaScript has another form than this version knows."""


@cache
def static_assets() -> dict[str, Any]:
    """`scripts`: file name -> classic script; `charts`: name -> Vega-Lite specification.

    Raises:
        AssetError: see there.
    """
    folder = files("orchestration.publish")
    sources = [f"{library} {version(library)}".encode() for library in _MADE_BY] + [(folder / name).read_bytes() for name in _MADE_FROM]
    path = PROJECT_ROOT / "build" / f"board-{hashlib.sha256(b''.join(sources)).hexdigest()[:16]}.json"
    try:
        return read_stamped(path)
    except (OSError, Damaged):
        return _make(path)


def _make(path: Path) -> dict[str, Any]:
    # Imported for this alone.
    from orchestration.publish.board.charts import all_charts

    made = {"scripts": _vendor_scripts(), "charts": all_charts()}
    # An installation that may not be written to makes it each time.
    with suppress(OSError):
        write_text(path, stamped(made))
    return made


def _vendor_scripts() -> dict[str, str]:
    """Vega for charts, DataTables for the list of accounts."""
    import vl_convert

    module = (files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    vega = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its types lack the default
    if _VEGA_GLOBAL not in vega:
        raise AssetError(f"vl_convert.javascript_bundle() no longer sets {_VEGA_GLOBAL}: use the locked vl-convert-python")
    return {"vega.js": vega, "datatables.js": classic_script(module, "DataTable")}


def classic_script(module: str, name: str) -> str:
    """An ES module without imports as a classic script that sets `window.<name>` to its default export.

    Raises:
        AssetError: it imports, or has no single export list with a default.
    """
    exports = list(_EXPORT.finditer(module))
    default = _DEFAULT.search(exports[0][1]) if len(exports) == 1 else None
    if default is None or re.search(r"(^|[;}\n])\s*import\b[^(]", module):
        raise AssetError(f"{name}: the JavaScript module has not one export list with a default: use the locked itables")
    start, end = exports[0].span()
    # A module is strict and keeps its names to itself.
    return f'(function () {{ "use strict";\n{module[:start]}window.{name}={default[1]};{module[end:]}\n}})();\n'
