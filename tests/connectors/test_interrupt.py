"""Ctrl-C before a run has begun: exit code 130, no traceback, whatever is being loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import builtins, os, runpy, signal, sys

load, at = builtins.__import__, sys.argv.pop(1)

def interrupted(name, *args, **kwargs):
    if name == at:
        builtins.__import__ = load
        os.kill(os.getpid(), signal.SIGINT)
    return load(name, *args, **kwargs)

builtins.__import__ = interrupted
runpy.run_module("connectors", run_name="__main__", alter_sys=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "module", ["click", "connectors.errors", "msgspec", "yaml", "connectors.runner", "connectors.engine"]
)
def test_interrupt_while_modules_are_loaded(tmp_path: Path, module: str) -> None:
    config = ROOT / "configs" / "demo.yaml"

    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, "run", str(config), "--for", "5"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 130, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
