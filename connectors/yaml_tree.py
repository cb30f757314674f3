"""YAML as plain values that remember their lines; `${NAME}` is replaced from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from connectors.errors import ConfigError

Path_ = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9.+-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def path_text(path: Path_) -> str:
    """connections[0].rtt.max_ms"""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out or "(top)"


class YamlTree:
    """One file. `value`: plain Python values. `secrets`: what came from the environment, never to be shown.

    `problems`: lines `file:line: path: what`; the reader of the values adds its own by `complain`.
    """

    def __init__(self, file: Path, env: Mapping[str, str]) -> None:
        self.file = file
        self.problems: list[tuple[int, str]] = []
        self.secrets: set[str] = set()
        self._env = env
        self._lines: dict[Path_, int] = {}
        self._from_env: set[Path_] = set()
        self.value: object = None
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: expected a YAML file: {error}") from error
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            self._loader = yaml.SafeLoader("")
            self.value = self._read(node, ()) if node is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = mark.line + 1 if mark else 1
            lines = text.splitlines()
            hint = (
                '; inside {} a variable needs quotes: "${NAME}"'
                if "${" in "".join(lines[line - 1 : line])
                else ""
            )
            raise ConfigError(
                f"{file}:{line}: expected YAML: {error.problem or error.context}{hint}"
            ) from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{file}: expected YAML: {error}") from error
        except RecursionError:
            raise ConfigError(f"{file}: expected YAML of sensible depth") from None

    def line(self, path: Path_) -> int:
        """Of the value at `path`, or of the nearest one around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def complain(self, path: Path_, what: str) -> None:
        line = self.line(path)
        # `what` may quote the value, in whole or in part: an exchange's or a library's words.
        if any(each[: len(path)] == path or path[: len(each)] == each for each in self._from_env):
            for secret in sorted(filter(None, self.secrets), key=len, reverse=True):
                what = what.replace(secret, "***")
        self.problems.append((line, f"{self.file}:{line}: {path_text(path)}: {what}"))

    def shown(self, path: Path_, value: object) -> str:
        """A value for an error message; one that came from the environment is not shown."""
        if any(path[: len(each)] == each or each[: len(path)] == path for each in self._from_env):
            return "a value from the environment (not shown)"
        text = repr(value)
        return text if len(text) <= 80 else text[:77] + "..."

    def _read(self, node: yaml.Node, path: Path_, within: tuple[yaml.Node, ...] = ()) -> object:
        self._lines[path] = node.start_mark.line + 1
        if node in within:
            self.complain(path, "expected a value, got an alias to what contains it")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path, (*within, node))
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*path, at), (*within, node)) for at, item in enumerate(node.value)]
        return self._read_scalar(node, path)

    def _read_mapping(
        self, node: yaml.MappingNode, path: Path_, within: tuple[yaml.Node, ...]
    ) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here = (*path, key)
            if key in found:
                self._lines[here] = key_node.start_mark.line + 1
                self.complain(here, "is given twice")
                continue
            found[key] = self._read(value_node, here, within)
            # A key on one line, its value on the next ones: the key's line is the one to look at.
            self._lines[here] = key_node.start_mark.line + 1
        return found

    def _read_scalar(self, node: yaml.Node, path: Path_) -> object:
        text = str(node.value)
        if "${" not in text:
            try:
                value: object = self._loader.construct_object(node, deep=True)
            except (yaml.YAMLError, ValueError) as error:
                self.complain(path, f"expected a plain value: {error}")
                return None
            # A date is read as such by YAML; configs have none.
            return value if value is None or isinstance(value, str | bool | int | float) else text
        filled = _VARIABLE.sub(lambda match: self._variable(match.group(1), path), text)
        # An unquoted ${PORT} may be a number, as if it had been written there.
        if getattr(node, "style", None) is None:
            plain = yaml.safe_load(filled) if _PLAIN.fullmatch(filled) else filled
            return plain if isinstance(plain, bool | int | float) else filled
        return filled

    def _variable(self, name: str, path: Path_) -> str:
        self._from_env.add(path)
        if not _NAME.fullmatch(name):
            self.complain(path, f"expected ${{NAME}}, got ${{{name}}}")
            return ""
        if name not in self._env:
            self.complain(path, f"the environment has no variable {name}; set it before the start")
            return ""
        self.secrets.add(self._env[name])
        return self._env[name]
