"""Request templates of the facts, read backwards: a request in, its topics and id out."""

from __future__ import annotations

from string import Template
from typing import Any

import msgspec

_ITEMS = "\x01items"
_ID = 987654321987


class RequestPattern:
    """A request template (facts: $items, $id) as a pattern. JSON is compared as values, all else as text."""

    def __init__(self, template: str) -> None:
        text = Template(template).safe_substitute(items='"\\u0001items"', id=str(_ID))
        try:
            self._shape = msgspec.json.decode(text)
            self._literal: bytes | None = None
        except msgspec.DecodeError:
            self._literal = template.encode()

    def match_text(self, payload: bytes) -> bool:
        """A template that is no JSON: is this it?"""
        return self._literal is not None and bytes(payload) == self._literal

    def match(self, value: Any) -> dict[str, Any] | None:
        """{"items": [...], "id": ...} (each only where the template has it), or None: not this request."""
        found: dict[str, Any] = {}
        if self._literal is None and _fits(self._shape, value, found):
            return found
        return None


def _fits(shape: Any, value: Any, found: dict[str, Any]) -> bool:
    if shape == [_ITEMS]:
        found["items"] = value
        return isinstance(value, list)
    if shape in (_ID, str(_ID)):
        found["id"] = value
        return True
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return False
        # A request without its id is a request all the same.
        return all(_fits(part, value.get(key), found) for key, part in shape.items())
    return bool(shape == value)
