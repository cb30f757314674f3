"""Strategies from a config: "module:Class" or "./file.py:Class", with their params, strictly decoded."""

from __future__ import annotations

import difflib
import inspect
import traceback
from pathlib import Path
from typing import Any

import msgspec

from connectors.errors import ConfigError
from connectors.registry import load_object
from connectors.settings import Settings, StrategySettings
from connectors.strategy import Strategy


def load_strategies(settings: Settings, base_dir: Path) -> list[Strategy]:
    """In the order of the config. base_dir: of the config file.

    Raises ConfigError with all problems: a module that is not there, a class that is none, params it does
    not take.
    """
    strategies: list[Strategy] = []
    problems: list[str] = []
    names: set[str] = set()
    for number, each in enumerate(settings.strategies):
        try:
            strategy = load_strategy(each, base_dir, unique_name(each, names))
        except ConfigError as error:
            problems.append(f"strategies[{number}]: {error}")
        else:
            strategies.append(strategy)
    if problems:
        raise ConfigError("strategies cannot be loaded:", problems=tuple(problems))
    return strategies


def unique_name(settings: StrategySettings, names: set[str]) -> str:
    """The config's name or the class's, with a number if it occurs twice. `names` grows."""
    wanted = settings.name or settings.use.rpartition(":")[2]
    name, number = wanted, 1
    while name in names:
        number += 1
        name = f"{wanted}-{number}"
    names.add(name)
    return name


def load_strategy(settings: StrategySettings, base_dir: Path, name: str = "") -> Strategy:
    """One strategy. Raises ConfigError."""
    cls = load_class(settings.use, base_dir)
    params = load_params(cls, settings)
    try:
        return cls(params, name)
    except Exception as error:
        raise ConfigError(f"{settings.use}: its constructor raised {error!r}") from error


def load_class(use: str, base_dir: Path) -> type[Strategy]:
    """Raises ConfigError: cannot be imported, or is no Strategy."""
    try:
        found = load_object(use, base_dir)
    except ConfigError:
        raise
    except SyntaxError as error:
        raise ConfigError(f"{use!r}: {error.filename}:{error.lineno}: SyntaxError: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{use!r}: importing it raised {error!r}{_where(error)}") from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ConfigError(f"{use!r}: expected a subclass of connectors.Strategy, got {found!r}")
    _check_callbacks(found, use)
    _check_constructor(found, use)
    return found


def _where(error: BaseException) -> str:
    """The line that raised; without it an import error of a long file is a riddle."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _check_callbacks(cls: type[Strategy], use: str) -> None:
    """Raises ConfigError: a misspelled callback, which would never be called, or one that is a coroutine."""
    known = [name for name in dir(Strategy) if name.startswith("on_")]
    for name in dir(cls):
        if not name.startswith("on_"):
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
            if near:
                raise ConfigError(
                    f"{use!r}: {name} is no callback and would never be called; did you mean {near[0]!r}?"
                )
        elif inspect.iscoroutinefunction(getattr(cls, name)):
            raise ConfigError(
                f"{use!r}: {name}: expected a plain method, got `async def`; callbacks are synchronous"
            )


def _check_constructor(cls: type[Strategy], use: str) -> None:
    """Raises ConfigError: one that does not take what it is called with."""
    try:
        takes = inspect.signature(cls.__init__)
    except ValueError:  # a Cython one tells nothing
        return
    try:
        takes.bind(None, None, "")
    except TypeError:
        raise ConfigError(
            f"{use!r}: expected __init__(self, params, name) that calls super().__init__(params, name), "
            f"got __init__{takes}; without an __init__, attributes are set in on_start(self, ctx)"
        ) from None


def load_params(cls: type[Strategy], settings: StrategySettings) -> msgspec.Struct:
    """`params:` as the class's own Params. Raises ConfigError."""
    wanted = cls.Params
    if not (isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)):
        raise ConfigError(f"{settings.use}: Params: expected a subclass of msgspec.Struct, got {wanted!r}")
    fields = [field.encode_name for field in msgspec.structs.fields(wanted)]
    for key in settings.params:
        if key not in fields:
            raise ConfigError(f"{settings.use}: params.{key}: unknown; {nearest(key, fields)}")
    try:
        return msgspec.convert(settings.params, wanted)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{settings.use}: params: {error}") from error


def nearest(word: Any, known: list[str]) -> str:
    """`did you mean 'x'?`, or all that is known."""
    near = difflib.get_close_matches(str(word), known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(known)}" if known else "there are none"
