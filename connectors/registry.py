"""Which venues there are: the facts files of a search path. Adding a venue edits nothing here."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from connectors.errors import ConfigError, FactsError
from connectors.exchange import Exchange
from connectors.facts import Facts, load_facts


def facts_dirs(extra: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Directories in order of precedence: `extra` (the config's own), then those of the package."""
    package = Path(__file__).parent
    # An installed wheel has connectors/configs; a source tree has configs/ beside the package.
    shipped = [
        path for path in (package / "configs", package.parent / "configs") if (path / "exchanges").is_dir()
    ]
    return (*extra, *(path / "exchanges" for path in shipped[:1]))


def facts_files(extra: Sequence[Path] = ()) -> dict[str, Path]:
    """Venue name -> facts file; the first directory that has a name wins."""
    found: dict[str, Path] = {}
    for directory in facts_dirs(extra):
        for path in sorted(directory.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def load_exchange(name: str, extra: Sequence[Path] = ()) -> Exchange:
    """The verbs of a venue, with its facts. Raises ConfigError with the nearest name, FactsError."""
    files = facts_files(extra)
    if name not in files:
        near = difflib.get_close_matches(name, files, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(files)) or 'none'}"
        raise ConfigError(f"exchange: unknown {name!r}{hint}")
    path = files[name]
    facts = load_facts(path)
    return _verbs(facts, path)(facts)


def _verbs(facts: Facts, path: Path) -> type[Exchange]:
    if not facts.verbs:
        return Exchange
    found = load_object(facts.verbs, path.parent, "connectors.exchanges")
    if not (isinstance(found, type) and issubclass(found, Exchange)):
        raise FactsError(f"{path}: verbs: expected a subclass of connectors.exchange.Exchange, got {found!r}")
    return found


def load_object(spec: str, base: Path, package: str = "") -> object:
    """The object "module:Name" or "./file.py:Name" (relative to `base`). Raises ConfigError.

    package: prefix tried for a module name without a dot.
    """
    where, colon, name = spec.rpartition(":")
    if not colon or not where or not name:
        raise ConfigError(f"{spec!r}: expected 'module:Class' or './file.py:Class'")
    module = _file_module(base / where) if where.endswith(".py") else _named_module(where, package, base)
    try:
        return getattr(module, name)
    except AttributeError:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{spec!r}: {where} has no {name!r}{hint}") from None


def _named_module(name: str, package: str, base: Path) -> ModuleType:
    full = f"{package}.{name}" if package and "." not in name else name
    try:
        return importlib.import_module(full)
    except ImportError as error:
        hint = f"; the file beside the config is './{name}.py:...'" if (base / f"{name}.py").is_file() else ""
        raise ConfigError(f"{name!r}: cannot be imported: {error}{hint}") from error


def _file_module(path: Path) -> ModuleType:
    path = path.resolve()
    name = f"_file_{path.stem}_{abs(hash(str(path))):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"{path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
