"""Instructions per wake-up, received frame and sent frame, counted by callgrind: the same number at each run.

    make bench-instructions                          print them beside the baseline
    make bench-instructions BENCH_ARGS=--check       fail where one has grown by more than 5 % (same tools)
    make bench-instructions BENCH_ARGS=--renew       write the baseline of this Python
    make bench-instructions BENCH_ARGS="--functions 'sent by a client'"    where the instructions of a row are

The baseline (../instructions.json) is kept by minor version of Python. ../README.md says what makes the
counts stable.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from callgrind import read
from counts import Count, Segment, by_function, changed, count, grown, is_our_doing, rows

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BASELINE = HERE.parent / "instructions.json"
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"

# Which memcpy the C library picks depends on the processor: with these, it is the SSE2 one on every x86-64.
# The names have changed over its versions; it ignores those it does not know.
TUNABLES = "glibc.cpu.hwcaps=" + ",".join(
    f"-{name}" for name in ("AVX2", "AVX2_Usable", "AVX_Fast_Unaligned_Load", "AVX512VL", "ERMS", "FSRM")
)


def environment(extensions: Path) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return {
        **kept,
        "GLIBC_TUNABLES": TUNABLES,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(extensions),
    }


def run(peer: str, extensions: Path, folder: Path) -> list[Segment]:
    """The program once, under callgrind; the peer beside it is not counted."""
    pipe = subprocess.PIPE
    server = subprocess.Popen([peer, "serve"], stdin=pipe, stdout=pipe, text=True)
    assert server.stdout is not None
    port = server.stdout.readline().split()[0]
    files = folder / "callgrind.out"
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={files}", "--dump-before=getppid"]
    done = subprocess.run(
        [*valgrind, sys.executable, str(HERE / "program.py"), port, peer],
        capture_output=True,
        text=True,
        env=environment(extensions),
        check=False,
    )
    server.communicate()
    if done.returncode:
        raise SystemExit(f"the program under valgrind failed:\n{done.stdout}\n{done.stderr}")
    return segments(done.stdout.splitlines(), files)


def segments(printed: list[str], files: Path) -> list[Segment]:
    """Dump 1 is all before the first segment, 2 the first segment, 3 what lies between, and so on."""
    package = str(ROOT / "picows")
    names: dict[tuple[str, str], str] = {}
    found = []
    for number, line in enumerate(printed):
        row, rounds, operations = line.rsplit(" ", 2)
        between, counted = (Path(f"{files}.{2 * number + place}") for place in (1, 2))
        with between.open() as lines:
            read(lines, names)
        with counted.open() as lines:
            functions = read(lines, names)
        found.append(Segment(row, int(rounds), int(operations), count(functions, package), functions))
    return found


def build() -> dict[str, str]:
    """What the counts depend on beside our source."""
    compiler = subprocess.run(
        [os.environ.get("CC", "cc"), "--version"], capture_output=True, text=True, check=False
    ).stdout
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "compiler": compiler.partition("\n")[0],
        "libc": " ".join(platform.libc_ver()),
        "cython": version("Cython"),
        "uvloop": version("uvloop"),
    }


def print_table(found: dict[str, Count], baseline: dict[str, Any]) -> None:
    print(f"{'instructions per':<20} {'total':>8} {'baseline':>9} {'own':>8} {'baseline':>9}")
    for row, counted in found.items():
        was = baseline.get(row, {})
        print(
            f"{row:<20} {counted.total:>8.0f} {was.get('total', '-'):>9} "
            f"{counted.own:>8.0f} {was.get('own', '-'):>9}"
        )


def renew(kept: dict[str, Any], found: dict[str, Count]) -> None:
    counts = {row: {key: round(value) for key, value in asdict(each).items()} for row, each in found.items()}
    kept[MINOR] = {"built with": build(), "counts": counts}
    BASELINE.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n")
    print(f"baseline of Python {MINOR} written to {BASELINE.relative_to(ROOT)}")


def judge(entry: dict[str, Any], found: dict[str, Count]) -> None:
    complaints = grown(entry["counts"], found)
    if not complaints:
        print(f"check: nothing has grown by more than 5 % since the baseline of Python {MINOR}")
        return
    others = changed(entry["built with"], build())
    print("check: instruction counts have grown by more than 5 %, or rows differ:", *complaints, sep="\n  ")
    if others:
        print("not only our source has changed since, so this fails nothing:", *others, sep="\n  ")
    print(
        "If the growth is wanted: make bench-instructions BENCH_ARGS=--renew, and commit instructions.json."
    )
    if is_our_doing(complaints, others):
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make bench-instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--peer", required=True, help="the compiled peer")
    parser.add_argument("--extensions", required=True, type=Path, help="folder with the compiled listener")
    parser.add_argument("--check", action="store_true", help="fail where a count has grown")
    parser.add_argument("--renew", action="store_true", help="write the baseline of this Python")
    parser.add_argument("--functions", metavar="ROW", help="the functions of one row, most expensive first")
    options = parser.parse_args()
    kept = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if not shutil.which("valgrind"):
        print("bench-instructions: skipped: valgrind is not installed")
        return
    if options.check and MINOR not in kept:
        print(
            f"bench-instructions: skipped: no baseline of Python {MINOR} in {BASELINE.name}; --renew makes it"
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        counted = run(os.path.abspath(options.peer), options.extensions.resolve(), Path(folder))
    found = rows(counted)
    entry = kept.get(MINOR, {"built with": {}, "counts": {}})
    print_table(found, entry["counts"])
    if options.functions:
        print(f"\n{options.functions}:")
        for instructions, name, function in by_function(counted, options.functions)[:30]:
            print(f"{instructions:>8.1f}  {Path(name).name.partition('.')[0]:<12} {function}")
    if options.renew:
        renew(kept, found)
    elif options.check:
        judge(entry, found)


if __name__ == "__main__":
    main()
