"""Compares plain values with a msgspec struct: every difference is told, not only the first."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import msgspec

Path_ = tuple[str | int, ...]
Complain = Callable[[Path_, str], None]
Shown = Callable[[Path_, object], str]


class ShapeCheck:
    """complain(path, what) is called for each difference. shown(path, value) makes values presentable."""

    def __init__(self, complain: Complain, shown: Shown) -> None:
        self._complain = complain
        self._shown = shown

    def check(self, value: object, wanted: type, path: Path_ = ()) -> None:
        """wanted: a msgspec.Struct type."""
        self._check(value, msgspec.inspect.type_info(wanted), path)

    def _check(self, value: Any, wanted: msgspec.inspect.Type, path: Path_) -> None:
        inspect = msgspec.inspect
        match wanted:
            case inspect.StructType():
                self._check_struct(value, wanted, path)
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                if not isinstance(value, list):
                    self._wrong(path, "a list", value)
                    return
                for at, each in enumerate(value):
                    self._check(each, item, (*path, at))
            case inspect.DictType(value_type=item):
                if not isinstance(value, dict):
                    self._wrong(path, "a mapping", value)
                    return
                for key, each in value.items():
                    self._check(each, item, (*path, key))
            case inspect.UnionType():
                self._check_union(value, wanted, path)
            case inspect.LiteralType(values=words):
                if value not in words:
                    near = difflib.get_close_matches(str(value), [str(word) for word in words], n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else ""
                    self._wrong(path, f"one of {', '.join(str(word) for word in words)}", value, hint)
            case inspect.AnyType():
                pass
            case _:
                self._check_scalar(value, wanted, path)

    def _check_struct(self, value: Any, wanted: msgspec.inspect.StructType, path: Path_) -> None:
        if not isinstance(value, dict):
            self._wrong(path, "a mapping", value)
            return
        fields = {field.encode_name: field for field in wanted.fields}
        for key, each in value.items():
            if key in fields:
                self._check(each, fields[key].type, (*path, key))
            else:
                near = difflib.get_close_matches(key, fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
                self._complain((*path, key), f"unknown key; {hint}")
        for name, field in fields.items():
            if field.required and name not in value:
                self._complain(path, f"expected a key {name!r}, which is missing")

    def _check_union(self, value: Any, wanted: msgspec.inspect.UnionType, path: Path_) -> None:
        """The member that fits the value's kind says what is wrong with it."""
        if value is None and wanted.includes_none:
            return
        members = [each for each in wanted.types if not isinstance(each, msgspec.inspect.NoneType)]
        for member in members:
            if _is_kind(value, member):
                self._check(value, member, path)
                return
        self._wrong(path, " or ".join(_name(each) for each in members), value)

    def _check_scalar(self, value: Any, wanted: msgspec.inspect.Type, path: Path_) -> None:
        if not _is_kind(value, wanted):
            self._wrong(path, _name(wanted), value)

    def _wrong(self, path: Path_, expected: str, value: object, hint: str = "") -> None:
        self._complain(path, f"expected {expected}, got {self._shown(path, value)}{hint}")


def _is_kind(value: object, wanted: msgspec.inspect.Type) -> bool:
    inspect = msgspec.inspect
    match wanted:
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict)
        case inspect.VarTupleType() | inspect.ListType():
            return isinstance(value, list)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.LiteralType(values=words):
            return value in words
    return True


def _name(wanted: msgspec.inspect.Type) -> str:
    inspect = msgspec.inspect
    match wanted:
        case inspect.StructType() | inspect.DictType():
            return "a mapping"
        case inspect.VarTupleType() | inspect.ListType():
            return "a list"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
        case inspect.StrType():
            return "a text"
        case inspect.LiteralType(values=words):
            return "one of " + ", ".join(str(word) for word in words)
    return type(wanted).__name__
