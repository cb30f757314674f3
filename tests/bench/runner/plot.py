"""The table as bars: ratio with its quartiles, and the two marks of what is demanded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # needs no display

from matplotlib import pyplot as plt

COLOURS = {"uvloop": "#2b6cb0", "asyncio": "#90b4d8"}
HEIGHT = 0.38


def draw(rows: list[dict[str, Any]], about: str, path: Path) -> None:
    titles = list(dict.fromkeys(row["title"] for row in rows))
    figure, axes = plt.subplots(figsize=(10, 1.5 + 0.45 * len(titles)))
    for row in rows:
        centre = titles.index(row["title"]) + (HEIGHT / 2 if row["loop"] == "asyncio" else -HEIGHT / 2)
        found = row["summary"]
        spread = [[max(0.0, found["ratio"] - found["low"])], [max(0.0, found["high"] - found["ratio"])]]
        axes.barh(centre, found["ratio"], HEIGHT, color=COLOURS[row["loop"]], xerr=spread, ecolor="#444444")
        axes.annotate(
            f" {found['ratio']:.2f}", (found["high"], centre), va="center", fontsize=7, color="#333333"
        )
        for mark, colour in ((row["at_least"], "#c53030"), (row["aim"], "#2f855a")):
            if mark is not None:
                axes.plot([mark, mark], [centre - HEIGHT / 2, centre + HEIGHT / 2], color=colour, linewidth=2)
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 3, 5, 10], ["0.5", "1", "2", "3", "5", "10"])
    axes.minorticks_off()
    axes.axvline(1.0, color="#888888", linewidth=0.8)
    axes.set_yticks(range(len(titles)), titles, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("picows 2.3.1 / ours, cost per operation (right of 1: ours costs less)")
    axes.legend(
        handles=[
            *(mpl.patches.Patch(color=colour, label=loop) for loop, colour in COLOURS.items()),
            mpl.lines.Line2D([], [], color="#c53030", linewidth=2, label="at least"),
            mpl.lines.Line2D([], [], color="#2f855a", linewidth=2, label="aim"),
        ],
        fontsize=8,
    )
    axes.set_title(about, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
