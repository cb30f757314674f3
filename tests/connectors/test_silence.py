"""A live stream that falls silent is missed by its own rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.dialogue import (
    Restarted,
)

from .dialogue_support import Told


def test_silence_is_measured_by_the_streams_own_rate(tmp_path: Path) -> None:
    told = Told(tmp_path, "A B")
    told.live()
    # A: a message a second, then silence. B: one message in 4 s, then silence.
    for second in range(40):
        told.until(1.0)
        for stream, is_due in ((told.streams[0], True), (told.streams[1], second % 4 == 0)):
            count = told.activity[stream.topic][0]
            if is_due:
                told.activity[stream.topic] = (count + 1, told.now_ns)

    actions = told.until(30.0)

    restarted = [(at, action.stream.topic) for at, action in actions if isinstance(action, Restarted)]
    # quiet_s is 10. A's mean gap is 1 s: it may be silent for 20 s; B's is 4 s: 80 s.
    assert restarted[0] == (pytest.approx(20.0, abs=1.0), "trades.AUSDT")
    assert {topic for _, topic in restarted} == {"trades.AUSDT"}


def test_fast_stream_is_missed_in_seconds_not_after_its_channels_threshold(tmp_path: Path) -> None:
    told = Told(tmp_path, "A")
    told.streams[0] = told._stream("quote", "A")
    told.dialogue = told.make_dialogue()
    told.live()
    for _ in range(600):
        told.until(0.05)
        told.activity[told.streams[0].topic] = (told.activity[told.streams[0].topic][0] + 1, told.now_ns)

    restarted = [at for at, action in told.until(290.0) if isinstance(action, Restarted)]

    # quiet_s is 300; the mean gap is 50 ms: 200 gaps are 10 s.
    assert restarted[0] == pytest.approx(10.0, abs=1.0)
