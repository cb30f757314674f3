"""Strategies from a config: "module:Class" or "./file.py:Class", with their params, strictly decoded."""

from __future__ import annotations

import difflib
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
    except Exception as error:
        raise ConfigError(f"use: {use!r}: importing it raised {error!r}") from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ConfigError(f"use: {use!r}: expected a subclass of connectors.Strategy, got {found!r}")
    return found


def load_params(cls: type[Strategy], settings: StrategySettings) -> msgspec.Struct:
    """`params:` as the class's own Params. Raises ConfigError."""
    wanted = cls.Params
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
