"""Run fuzz targets: `python -m tests.fuzz.fuzz [TARGET ...] --seconds 600`; `make fuzz` builds what it needs.

With atheris, libFuzzer chooses the inputs by the lines and, where the extensions were compiled by clang with
-fsanitize=fuzzer-no-link, the edges of C code that they reach. Without it (--random), inputs are random
mutations of the seeds. An input that fails is written to CORPUS/TARGET/crash-*, and the run fails;
`--once FILE` shows it again. It becomes a plain test.
"""

import argparse
import contextlib
import hashlib
import importlib
import random
import subprocess
import sys
import time
from pathlib import Path

TARGETS = [path.stem.removeprefix("target_") for path in sorted(Path(__file__).parent.glob("target_*.py"))]


def load(name):
    return importlib.import_module(f"{__package__}.target_{name}")


def write_seeds(target, folder):
    """The corpus that the target begins with; what earlier runs have found stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (folder / f"seed-{hashlib.sha1(seed).hexdigest()[:16]}").write_bytes(seed)


def run_random(target, folder, seconds, seed):
    """Mutations of the seeds, by chance alone."""
    from .inputs import mutate

    source = random.Random(seed)
    corpus = [path.read_bytes() for path in sorted(folder.glob("seed-*"))]
    end_s = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end_s:
        data = mutate(source, corpus)
        count += 1
        try:
            target.check(data)
        except BaseException:
            (folder / f"crash-{hashlib.sha1(data).hexdigest()[:16]}").write_bytes(data)
            print(f"after {count} inputs: {data!r}", file=sys.stderr)
            raise
    print(f"{count} random inputs in {seconds} s, none failed")


def run_atheris(name, folder, seconds):
    """libFuzzer ends the process, hence a process for each target."""
    import atheris

    with atheris.instrument_imports(include=["picows", "connectors", "multidict", "urllib.parse"]):
        target = load(name)
    write_seeds(target, folder)
    arguments = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=1500",
        "-detect_leaks=0",
    ]
    arguments += [f"-artifact_prefix={folder}/", "-print_final_stats=1", "-verbosity=0", str(folder)]
    atheris.Setup([sys.argv[0], *arguments], lambda data: target.check(data) and None)
    atheris.Fuzz()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz/corpus"), help="default: %(default)s")
    parser.add_argument("--random", action="store_true", help="without atheris")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="of --random")
    parser.add_argument(
        "--once", type=Path, metavar="FILE", help="run the one target on this input, then end"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown target {min(unknown)!r}: expected some of {', '.join(TARGETS)}")
    names = arguments.targets or TARGETS
    if arguments.once:
        load(names[0]).check(arguments.once.read_bytes())
    elif len(names) == 1:
        folder = arguments.corpus / names[0]
        if arguments.random:
            write_seeds(load(names[0]), folder)
            run_random(load(names[0]), folder, arguments.seconds, arguments.seed)
        else:
            run_atheris(names[0], folder, arguments.seconds)
    else:
        return run_each(names, sys.argv[1:])
    return 0


def run_each(names, options):
    """One process after the other; all have their turn, also behind one that fails."""
    failed = []
    options = [option for option in options if option not in names]
    for name in names:
        print(f"== fuzz: {name}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            done = subprocess.run([sys.executable, "-m", f"{__package__}.fuzz", name, *options], check=False)
            if done.returncode:
                failed.append(name)
    print(f"== fuzz: failed: {', '.join(failed)}" if failed else "== fuzz: no finding")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
