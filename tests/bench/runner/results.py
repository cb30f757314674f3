"""Results in files: table, JSON and plot, one folder for each version of Python."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from report import HEAD, Row, line


def commit() -> str:
    """Of the working tree, with a mark if it has changes."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


class Results:
    """The rows measured so far. A row replaces an older one of its job and loop, and says when."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, dict[str, Any]] = {}
        self._lines: dict[str, str] = {}
        self.about = (
            f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors, "
            f"commit {commit()}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
        )
        if self._json.exists():
            self.rows = {f"{row['loop']} {row['job']}": row for row in json.loads(self._json.read_text())}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def _json(self) -> Path:
        return self.folder / "table.json"

    def add(self, row: Row) -> None:
        found = {**asdict(row), "verdict": row.verdict, "about": self.about}
        self.rows[f"{row.loop} {row.job}"] = found
        self._lines[f"{row.loop} {row.job}"] = line(row)
        self._json.write_text(json.dumps(list(self.rows.values()), indent=1) + "\n")
        table = [f"# {self.about}", HEAD, *self._lines.values()]
        (self.folder / "table.txt").write_text("\n".join(table) + "\n")

    def plot(self) -> None:
        try:
            from plot import draw
        except ImportError:
            print("no plot: matplotlib is not installed (the extra `bench`)")
            return
        draw(list(self.rows.values()), self.about, self.folder / "table.png")
        print(f"written: {self.folder}/table.txt, table.json, table.png")


def print_beside(out: Path) -> None:
    """Ratios of every version of Python that has been measured, in columns."""
    tables = {path.parent.name: json.loads(path.read_text()) for path in sorted(out.glob("*/table.json"))}
    if len(tables) < 2:
        return
    print(f"\n{'loop':<8} {'ratio on Python':<36} " + " ".join(f"{name:>7}" for name in tables))
    ratios = {
        name: {(row["loop"], row["title"]): row["summary"]["ratio"] for row in rows}
        for name, rows in tables.items()
    }
    for key in dict.fromkeys(key for found in ratios.values() for key in found):
        cells = (f"{found[key]:>7.3f}" if key in found else f"{'-':>7}" for found in ratios.values())
        print(f"{key[0]:<8} {key[1]:<36} {' '.join(cells)}")
