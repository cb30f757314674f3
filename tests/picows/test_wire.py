"""wire.h: builds tests/c/test_wire.c against it and runs it, sanitized and as the extensions are built."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "c" / "test_wire.c"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]


def wire_header_dir() -> Path:
    """The folder of wire.h, found without importing the extensions: this test needs none of them."""
    spec = importlib.util.find_spec("picows")
    assert spec is not None
    return Path(next(iter(spec.submodule_search_locations)))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command without a preloaded sanitizer: the test may itself run under one, and the two clash."""
    env = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "ASAN_OPTIONS")}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=env)


def compile_c(source: Path, target: Path, flags: list[str]) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("needs gcc")
    command = [gcc, *STRICT, *flags, f"-I{wire_header_dir()}", str(source), "-o", str(target)]
    result = run(*command)
    assert result.returncode == 0, result.stderr


def run_c_tests(target: Path) -> list[str]:
    result = run(target)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("flags", [["-O1", *SANITIZERS], ["-O3"]], ids=["sanitized", "optimised"])
def test_wire_h_equals_naive_references(tmp_path, flags):
    target = tmp_path / "test_wire"
    tests = SOURCE.read_text().count("RUN(test_")
    compile_c(SOURCE, target, flags)

    lines = run_c_tests(target)

    assert len(lines) == tests > 0
    assert all(line.startswith("ok ") for line in lines)


def test_the_sanitizer_sees_one_byte_too_far(tmp_path):
    """The test above proves nothing if the sanitizer is off: here it has something to find."""
    source = tmp_path / "overrun.c"
    source.write_text(
        '#include "wire.h"\n#include <stdlib.h>\n'
        "int main(void) { uint8_t *p = malloc(20); memset(p, 1, 20); ws_mask(p, p, 21, 7, 0); return !p; }\n"
    )
    target = tmp_path / "overrun"
    compile_c(source, target, ["-O1", "-Wno-error", *SANITIZERS])

    result = run(target)

    assert result.returncode != 0
    assert "wire.h" in result.stderr
    assert "insufficient space" in result.stderr or "heap-buffer-overflow" in result.stderr
