"""A line of the log is one line, whatever a venue sends."""

from __future__ import annotations

import logging

import pytest

from connectors.reports import formatter


def line(name: str, text: str) -> str:
    record = logging.LogRecord(name, logging.WARNING, __file__, 1, "no stream for %s", (text,), None)
    return formatter().format(record)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a\n2026-01-31T12:00:00.000Z ERROR forged", "a\\n2026-01-31T12:00:00.000Z ERROR forged"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("\r\x00\x9b\u2028", "\\r\\x00\\x9b\\u2028"),
        ("Größe 1 µs, tab\\t", "Größe 1 µs, tab\\t"),
    ],
)
def test_what_a_venue_sends_cannot_forge_a_line_or_drive_the_terminal(sent: str, shown: str) -> None:
    assert line("connectors.intake", sent).endswith(f"no stream for {shown}")


def test_a_strategy_may_log_several_lines() -> None:
    assert line("strategies.mine", "a\nb").endswith("a\nb")
