"""The pages say what the code does: examples run, every config key and fault is explained, links lead on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from connectors import settings
from connectors.cli import main
from connectors.mock.faults import COMMON, FAULTS
from connectors.strategy import CALLBACKS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
STRUCTS = [
    each
    for each in vars(settings).values()
    if isinstance(each, type) and issubclass(each, msgspec.Struct) and not each.__name__.startswith("_")
]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.fixture
def five_minutes(tmp_path: Path) -> Path:
    """The strategy and the config of the getting-started page, as a reader would save them."""
    (tmp_path / "my_strategy.py").write_text(blocks("getting-started.md", "python")[0])
    config = tmp_path / "my.yaml"
    config.write_text(blocks("getting-started.md", "yaml")[0])
    return config


def test_first_strategy_of_the_page_runs_and_prints(five_minutes: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "connectors.cli", "run", str(five_minutes), "--for", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^okx:BTC-USDT (bought|sold) [\d.]+ at [\d.]+$", result.stdout, re.MULTILINE)
    assert "the counts agree" in result.stdout


def test_first_config_of_the_page_is_correct_without_its_mock(five_minutes: Path) -> None:
    five_minutes.write_text(re.sub(r"^mock:.*\n", "", five_minutes.read_text()))

    result = CliRunner().invoke(main, ["check", str(five_minutes)])

    assert result.exit_code == 0, result.output
    assert "wss://" in result.stdout


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_config_key_is_explained(struct: type[msgspec.Struct]) -> None:
    page = (DOCS / "configuration.md").read_text()

    missing = [field for field in struct.__struct_fields__ if not re.search(rf"\b{field}\b", page)]

    assert missing == []


def test_defaults_on_the_page_are_those_of_the_code() -> None:
    page = (DOCS / "configuration.md").read_text()
    rtt = page.split("### `rtt`")[1].split("##")[0]

    for field in msgspec.structs.fields(settings.RttSettings):
        row = re.search(rf"^\| `{field.name}` \| (.*?) \|", rtt, re.MULTILINE)
        assert row is not None, field.name
        shown = "none" if field.default is None else str(field.default).removesuffix(".0")
        assert row[1].strip("`") == shown


def test_every_fault_and_its_options_are_explained() -> None:
    page = (DOCS / "mock-exchange.md").read_text()
    own = [option for _, options in FAULTS.values() for option in options if option not in COMMON]

    assert [name for name in FAULTS if f"`{name}`" not in page] == []
    assert [name for name in COMMON if f"`{name}`" not in page] == []
    assert [name for name in own if name not in page] == []


def test_every_callback_is_explained() -> None:
    page = (DOCS / "getting-started.md").read_text()

    assert [name for name in CALLBACKS if name not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_pages_that_exist(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:connectors|strategies|configs|tests)/[\w./-]+)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_that_a_page_names_exist(page: Path) -> None:
    used = re.findall(r"connectors (\w+)([^\n`|#]*)", "\n".join(blocks(page.name, "sh")))

    for command, rest in used:
        known = {option for each in main.commands[command].params for option in each.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known, command
