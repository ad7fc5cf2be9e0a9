"""JavaScript of others, taken from the packages that ship it and turned into classic scripts."""

import re
from functools import cache
from importlib.resources import files

import vl_convert

from orchestration.publish.generations import PublishError

# What a minified ES module ends with: `export{a as ITable,b as default,c as jQuery};`
_EXPORT = re.compile(r"\bexport\s*\{([^{}]*)\};?")
_DEFAULT = re.compile(r"([\w$]+)\s+as\s+default")
_VEGA_GLOBAL = "window.vegaEmbed"


class AssetError(PublishError):
    """A library's JavaScript has another form than this version knows."""


@cache
def vendor_scripts() -> dict[str, str]:
    """File name -> classic script: Vega for charts, DataTables for the list of accounts.

    Raises:
        AssetError: see there.
    """
    module = (files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    vega = vl_convert.javascript_bundle()
    if _VEGA_GLOBAL not in vega:
        raise AssetError(
            f"vl_convert.javascript_bundle() no longer sets {_VEGA_GLOBAL}: use the locked vl-convert-python"
        )
    return {"vega.js": vega, "datatables.js": classic_script(module, "DataTable")}


def classic_script(module: str, name: str) -> str:
    """An ES module without imports as a classic script that sets `window.<name>` to its default export.

    Raises:
        AssetError: it imports, or has no single export list with a default.
    """
    exports = list(_EXPORT.finditer(module))
    default = _DEFAULT.search(exports[0][1]) if len(exports) == 1 else None
    if default is None or re.search(r"(^|[;}\n])\s*import\b[^(]", module):
        raise AssetError(
            f"{name}: the JavaScript module has not one export list with a default: use the locked itables"
        )
    start, end = exports[0].span()
    # A module is strict and keeps its names to itself.
    return f'(function () {{ "use strict";\n{module[:start]}window.{name}={default[1]};{module[end:]}\n}})();\n'
