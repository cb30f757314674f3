"""The speed table: this project against picows 2.3.1, interleaved run by run.

    make bench [BENCH_ARGS="--quick --only echo --loop uvloop"]

Prints the table, and writes it with a JSON file and a plot into --out. ../README.md says how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from arithmetic import Round, summary
from jobs import Job, chosen, scaled
from report import Row, print_head, print_row
from results import Results, print_beside
from sides import Peer, RunFailed, Side, Worker

QUICK = {"launches": 1, "rounds": 3}
USUAL = {"launches": 3, "rounds": 7}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--theirs", required=True, help="Python with picows 2.3.1 and uvloop")
    parser.add_argument("--ours", default=sys.executable, help="Python with this project's core")
    parser.add_argument("--peer", required=True, help="the compiled peer")
    parser.add_argument("--out", type=Path, required=True, help="folder of results and compiled listeners")
    parser.add_argument("--only", nargs="*", default=[], metavar="JOB", help="jobs whose name begins so")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], help="one event loop only")
    parser.add_argument("--quick", action="store_true", help="few runs: a look, not a measurement")
    parser.add_argument("--launches", type=int, help="sets of processes for each row")
    parser.add_argument("--rounds", type=int, help="rounds of four runs with each set")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the length of each run")
    return parser.parse_args()


def certificates(folder: Path) -> tuple[str, str, str]:
    """Files of an authority's certificate, the peer's certificate and its key."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(str(paths[0]))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(paths[1]), append=True)
    issued.private_key_pem.write_to_path(str(paths[2]))
    return str(paths[0]), str(paths[1]), str(paths[2])


def told(job: Job, side: Side) -> dict[str, Any]:
    return {**job.run, **(job.ours if side.name == "ours" else {})}


def who(side: Side) -> str:
    """Which picows a side has."""
    path = f"import sys; sys.path.insert(0, {side.extensions!r}); "  # as the workers do
    text = path + "import picows; print(getattr(picows, '__version__', ''), picows.__file__)"
    done = subprocess.run([side.python, "-P", "-c", text], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


def round_of(answers: list[dict[str, float]], key: str) -> Round:
    a1, b1, b2, a2 = (answer[key] for answer in answers)
    return Round((a1, a2), (b1, b2))


def run_job(job: Job, loop: str, sides: dict[str, Side], settings: dict[str, Any], size: Any) -> Row:
    """`launches` times four processes, each with `rounds` runs: a process may be lucky with its addresses."""
    order = [sides[name] for name in ("ours", "theirs", "theirs", "ours")]
    rounds: list[Round] = []
    extra: dict[str, list[Round]] = {key: [] for key in job.extra}
    launches, warm_up, each_launch = size.launches, 1, size.rounds * job.times
    if job.is_fresh:
        launches, warm_up, each_launch = size.rounds, 0, 1
    for _ in range(launches):
        with contextlib.ExitStack() as processes:
            workers = [processes.enter_context(Worker(side, loop, settings)) for side in order]
            for number in range(warm_up + each_launch):
                answers = [
                    worker.measure(told(job, side)) for worker, side in zip(workers, order, strict=True)
                ]
                if number >= warm_up:
                    rounds.append(round_of(answers, job.metric))
                    for key, values in extra.items():
                        values.append(round_of(answers, key))
    return Row(
        job=job.name,
        title=job.title,
        loop=loop,
        unit=job.unit,
        at_least=job.at_least if loop == "uvloop" else job.at_least and 1.0,
        aim=job.aim if loop == "uvloop" else None,
        summary=summary(rounds),
        extra={key: summary(values) for key, values in extra.items()},
        rounds=[asdict(each) for each in rounds],
    )


# The worker waits for the peer and the peer for the worker: one processor is enough, and steadier.
TAKE_TURNS = ("echo", "send")


def run_all(options: argparse.Namespace, sides: dict[str, Side], results: Results) -> int:
    """Number of rows that failed. What is measured is written at once: a long run may be interrupted."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        files = certificates(Path(folder))
        peer = Peer(options.peer, files[1:])
        settings = {"ports": peer.ports, "certificates": files, "peer": peer.binary}
        for loop in [options.loop] if options.loop else ["uvloop", "asyncio"]:
            for job in chosen(options.only):
                if job.needs_tls and not peer.has_tls:
                    print(f"{loop:<8} {job.title:<36} skipped: the peer was built without OpenSSL")
                    continue
                peer.stay(with_worker=job.run["kind"] in TAKE_TURNS)
                try:
                    row = run_job(scaled(job, options.scale), loop, sides, settings, options)
                except RunFailed as error:
                    print(f"{loop:<8} {job.title:<36} FAILED\n{error}", flush=True)
                    failed += 1
                    continue
                print_row(row)
                results.add(row)
        peer.close()
    return failed


def main() -> None:
    options = arguments()
    for name, value in (QUICK if options.quick else USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    out = options.out.resolve()
    sides = {
        "ours": Side("ours", options.ours, str(out / "ours")),
        "theirs": Side("theirs", options.theirs, str(out / "theirs")),
    }
    results = Results(out / "quick" if options.quick else out)
    print(f"# {results.about}")
    for side in sides.values():
        print(f"# {side.name}: {who(side)}")
    print_head()
    failed = run_all(options, sides, results)
    results.plot()
    print_beside(out.parent)
    if failed:
        raise SystemExit(f"{failed} rows failed")


if __name__ == "__main__":
    main()
