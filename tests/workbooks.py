"""Scorecard workbooks for tests: written from a copy of the shipped seeds, edited as a person would, recalculated by LibreOffice."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.cell import Cell

from orchestration.settings import PROJECT_ROOT, Settings, load_settings

needs_libreoffice = pytest.mark.skipif(
    shutil.which("soffice") is None,
    reason="LibreOffice is not installed (Debian package libreoffice-calc-nogui): the workbook's formulas are not computed",
)


def settings_with_seeds(folder: Path, published: Path | None = None) -> Settings:
    """A configuration with its own copy of the shipped seeds; `published`: what takes the place of its published mart."""
    shutil.copytree(PROJECT_ROOT / "seeds", folder / "seeds")
    (folder / "data").mkdir()
    if published is not None:
        (folder / "data" / "published").symlink_to(published)
    config = folder / "health.toml"
    config.write_text(
        '[pipeline]\nstart_date = 2026-01-01\nseeds_dir = "seeds"\nlock_timeout_seconds = 0.3\n'
        '[sources.accounts]\nconnector = "files"\npath = "accounts.csv"\n'
    )
    return load_settings(config)


class Edited:
    """A workbook in a person's hands; cells are found by what is beside them, not by where they were written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.book = openpyxl.load_workbook(path)

    def rows(self, seed: str, **keys: str) -> Iterator[dict[str, Cell]]:
        """The cells of each row of a seed that has these texts, by column."""
        for sheet in self.book:
            columns: dict[str, int] = {}
            for cells in sheet.iter_rows():
                if cells[0].value == f"columns of {seed}":
                    columns = {cell.value: position for position, cell in enumerate(cells) if position and cell.value}
                elif cells[0].value == seed and columns:
                    row = {column: cells[position] for column, position in columns.items()}
                    if all(row[column].value == text for column, text in keys.items()):
                        yield row

    def row(self, seed: str, **keys: str) -> dict[str, Cell]:
        (row,) = self.rows(seed, **keys)
        return row

    def free_row(self, seed: str) -> dict[str, Cell]:
        return next(row for row in self.rows(seed) if all(cell.value is None for cell in row.values()))

    def set(self, seed: str, keys: dict[str, str], **values: Any) -> Cell:
        """Type values into a row; returns the last cell."""
        row = self.row(seed, **keys)
        for column, value in values.items():
            row[column].value = value
        return row[column]

    def fill(self, seed: str, **values: Any) -> dict[str, Cell]:
        """Type values into the first free row."""
        row = self.free_row(seed)
        for column, value in values.items():
            row[column].value = value
            if value == "=":
                row[column].data_type = "s"
        return row

    def save(self) -> Path:
        self.book.save(self.path)
        return self.path


def recalculated(folder: Path, *paths: Path) -> list[tuple[openpyxl.Workbook, Path]]:
    """The workbooks with every formula's result as LibreOffice computes it, and the files that it saved."""
    stripped = []
    for number, path in enumerate(paths):
        # Saving by openpyxl drops the results that were in the file: none of them can pass for a computed one.
        stripped.append(folder / f"stripped-{number}.xlsx")
        openpyxl.load_workbook(path).save(stripped[-1])
    subprocess.run(
        [
            "soffice",
            f"-env:UserInstallation=file://{folder}/profile",
            "--headless",
            "--convert-to",
            "xlsx",
            "--outdir",
            str(folder / "computed"),
        ]
        + [str(path) for path in stripped],
        check=True,
        capture_output=True,
        timeout=180,
    )
    saved = [folder / "computed" / path.name for path in stripped]
    return [(openpyxl.load_workbook(path, data_only=True), path) for path in saved]
