"""The package `picows` of PyPI has our import name: in one environment, files of both lie in one folder.

pip installs one over the other without a word, and its compiled module `picows.picows` then hides ours.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path


def refuse_mixture(folder: Path = Path(__file__).parent) -> None:
    """Called when picows, and what stands on it, is imported.

    Raises ImportError if `folder` has files of the other package, too.
    """
    for suffix in EXTENSION_SUFFIXES:
        if (folder / f"picows{suffix}").exists():
            raise ImportError(
                f"{folder} has files of two packages: picows-connectors, and PyPI's picows, which has the "
                "same import name. Expected one of them in an environment: "
                "`pip uninstall picows picows-connectors`, then install the one you want",
                name="picows",
            )
