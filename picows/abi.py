"""Whether a Cython extension was built against the layout of this core.

`setup.py` names the layout after the version and a hash of the `.pxd` files that users cimport, and compiles
the name into every extension that cimports them (abi.pxd), our own included. Ours is the first to ask, as the
package `picows` imports it: the layout that it names is the installed one.
"""

from __future__ import annotations

_PREFIX = "Layout_"
_installed: list[str] = []


def check(layout: str, extension: str) -> None:
    """Called when `extension` is imported, which was built against `layout`.

    Raises ImportError unless that is the layout of the installed core.
    """
    if not _installed:
        _installed.append(layout)
    theirs, ours = layout.rpartition("_")[2], _installed[0].rpartition("_")[2]
    if theirs != ours:
        raise ImportError(
            f"{extension} was built against picows {_version(layout)} (layout {theirs}), "
            f"installed is picows {_version(_installed[0])} (layout {ours}), and the two differ in the "
            f"classes that it cimports: rebuild {extension} against the installed picows",
            name=extension,
        )


def __getattr__(name: str) -> type:
    """The type that an extension imports by the name of the layout it was built against."""
    if not name.startswith(_PREFIX):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check(name, "a Cython extension")
    return object


def _version(layout: str) -> str:
    """Layout_0_1_0_3f2a -> 0.1.0"""
    return layout.removeprefix(_PREFIX).rpartition("_")[0].replace("_", ".")
