"""The arithmetic of the benchmarks, and one run of them, so that they cannot rot unnoticed."""

import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .instructions.callgrind import read
from .instructions.counts import Count, Segment, by_function, changed, count, grown, is_our_doing, rows
from .runner.arithmetic import Round, Summary, quantile, resolution, standard_error, summary, verdict

HERE = Path(__file__).parent


def rounds(*costs):
    return [Round((a1, a2), (b1, b2)) for a1, a2, b1, b2 in costs]


# Ratios


def test_a_ratio_above_one_means_that_ours_costs_less():
    assert Round(ours=(1.0, 1.0), theirs=(2.0, 2.0)).ratio == pytest.approx(2.0)


def test_a_machine_that_slows_down_during_a_round_does_not_change_the_ratio():
    slower = [1.0, 1.1, 1.21, 1.331]  # by the same factor from run to run, in the order A1 B1 B2 A2

    a1, b1, b2, a2 = (speed * cost for speed, cost in zip(slower, (1.0, 2.0, 2.0, 1.0), strict=True))

    assert Round((a1, a2), (b1, b2)).ratio == pytest.approx(2.0)


def test_a_summary_takes_medians_so_that_one_disturbed_round_does_not_count():
    quiet = [(1.0, 1.0, 2.0, 2.0)] * 4

    found = summary(rounds(*quiet, (50.0, 50.0, 2.0, 2.0)))

    assert (found.ratio, found.same_ours, found.same_theirs, found.rounds) == (2.0, 1.0, 1.0, 5)
    assert (found.ours, found.theirs) == (1.0, 2.0)


@pytest.mark.parametrize(("q", "value"), [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (1.0, 4.0)])
def test_a_quantile_lies_between_its_neighbours(q, value):
    assert quantile([4.0, 1.0, 3.0, 2.0], q) == value


def test_a_quantile_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_the_resolution_is_at_least_what_ours_against_ours_shows():
    skewed = rounds(*[(1.2, 1.0, 2.0, 2.0)] * 9)  # the second process of ours is luckier, always by the same

    assert resolution(skewed) == pytest.approx(math.log(1.2) / math.sqrt(2))


def test_more_rounds_of_the_same_spread_resolve_more():
    some = rounds((1.0, 1.0, 1.9, 1.9), (1.0, 1.0, 2.1, 2.1)) * 2

    assert resolution(some * 4) < resolution(some)
    assert standard_error([1.0]) == math.inf


@pytest.mark.parametrize(
    ("ratio", "within", "said"),
    [(1.0, 0.0, "ok"), (0.99, 0.02, "ok?"), (0.97, 0.02, "BELOW"), (5.0, math.inf, "ok")],
)
def test_a_verdict_says_where_the_machine_cannot_tell(ratio, within, said):
    assert verdict(ratio, within, 1.0) == said
    assert verdict(ratio, within, None) == ""


# Instruction counts

FIRST = """positions: line
ob=(1) /site/picows/transport.so
fn=(1) send
10 100
+2 5
cob=(2) /usr/lib/libc.so.6
calls=3 0
* 5000
ob=(3) /usr/bin/python3
fn=(2) run
-1 7
"""
SECOND = "ob=(2)\nfn=(9) memcpy\n5 30\nob=(1)\nfn=(1)\n10 11\n"


def test_a_callee_is_counted_where_it_runs_and_not_at_its_caller():
    assert read(FIRST.splitlines(), {}) == {
        ("/site/picows/transport.so", "send"): 105,
        ("/usr/bin/python3", "run"): 7,
    }


def test_a_later_file_uses_the_names_of_the_earlier_ones():
    names = {}
    read(FIRST.splitlines(), names)

    found = read(SECOND.splitlines(), names)

    assert found == {("/usr/lib/libc.so.6", "memcpy"): 30, ("/site/picows/transport.so", "send"): 11}
    assert count(found, "/site/picows") == Count(total=41, own=11)


def test_functions_of_a_row_are_told_per_operation_and_most_expensive_first():
    functions = [
        Counter({("a.so", "f"): 5, ("a.so", "g"): 3}),
        Counter({("a.so", "f"): 9, ("a.so", "h"): 40}),
    ]
    segments = [Segment("row", 1, n, Count(0, 0), each) for n, each in zip((1, 5), functions, strict=True)]

    assert by_function(segments, "row") == [(10.0, "a.so", "h"), (1.0, "a.so", "f"), (-0.75, "a.so", "g")]


def segment(row, operations, total, own):
    return Segment(row, 64, operations, Count(total, own))


def test_what_two_segments_have_in_common_cancels():
    found = rows(
        [
            segment("echo", 10, 1000 + 10 * 90, 50 + 10 * 9),
            segment("echo", 20, 1000 + 20 * 90, 50 + 20 * 9),
            segment("received, Python", 1, 777 + 1 * 20, 2),
            segment("received, Python", 5, 777 + 5 * 20, 10),
            segment("sent by a client", 1, 33 + 1 * 30, 3),
            segment("sent by a client", 5, 33 + 5 * 30, 15),
        ]
    )

    assert found == {
        "wake-up": Count(40, 4),
        "received, Python": Count(20, 2),
        "sent by a client": Count(30, 3),
    }


BASELINE = {"received": {"total": 1000, "own": 300}}


def test_growth_of_five_percent_passes_and_more_is_told_with_both_numbers():
    assert grown(BASELINE, {"received": Count(1050, 315)}) == []

    (complaint,) = grown(BASELINE, {"received": Count(1000, 316)})

    assert complaint == "received, own: was 300, is 316 (+5.3%)"


def test_a_row_on_one_side_only_is_told():
    assert len(grown(BASELINE, {"sent": Count(1, 1)})) == 2


def test_growth_with_another_compiler_is_told_and_fails_nothing():
    then, now = {"compiler": "cc 12", "libc": "2.36"}, {"compiler": "cc 14", "libc": "2.36"}

    assert changed(then, now) == ["compiler cc 12 then, cc 14 now"]
    assert not is_our_doing(["received, own: ..."], changed(then, now))
    assert is_our_doing(["received, own: ..."], changed(then, then))
    assert not is_our_doing([], changed(then, then))


# One run of it all


def python_with_listener(folder):
    """Compile the listener, and the peer beside it; both sides of this comparison are ours."""
    for side in ("ours", "theirs"):
        (folder / side).mkdir()
    for name in ("counting.pyx", "setup.py"):
        shutil.copy(HERE / "worker" / name, folder / "ours")
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=folder / "ours", check=True, capture_output=True, timeout=300)
    shutil.copytree(folder / "ours", folder / "theirs", dirs_exist_ok=True)


def compile_peer(path):
    sources = [str(source) for source in (HERE / "peer").glob("*.c")]
    for tls in (["-DWITH_TLS", "-lssl", "-lcrypto"], []):
        done = subprocess.run(
            ["cc", "-std=gnu11", "-O1", *sources, "-o", str(path), *tls], capture_output=True, check=False
        )
        if done.returncode == 0:
            return
    raise AssertionError(done.stderr.decode())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peer uses epoll")
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler for the peer")
def test_every_kind_of_job_of_the_speed_table_runs(tmp_path):
    python_with_listener(tmp_path)
    compile_peer(tmp_path / "peer")
    kinds = (
        "echo",
        "firehose-cython",
        "send-256",
        "cork",
        "latency-1k",
        "server",
        "memory-client",
        "memory-server",
    )
    tiny = ["--quick", "--rounds", "1", "--scale", "0.01", "--loop", "uvloop", "--only", *kinds]
    sides = ["--theirs", sys.executable, "--peer", str(tmp_path / "peer"), "--out", str(tmp_path)]

    done = subprocess.run(
        [sys.executable, str(HERE / "runner"), *sides, *tiny],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    table = json.loads((tmp_path / "quick" / "table.json").read_text())
    assert {row["job"] for row in table} >= set(kinds)
    for row in table:
        found = Summary(**row["summary"])
        assert min(found.ratio, found.ours, found.theirs) > 0, row["title"]
