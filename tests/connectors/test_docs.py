"""The pages say what the code does: examples run, every config key and fault is explained, links lead on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

import connectors
import picows
from connectors import settings
from connectors.cli import main
from connectors.context import Context
from connectors.loader import load_strategy
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


@pytest.fixture(params=["getting-started.md", "../README.md"], ids=["page", "readme"])
def five_minutes(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The first strategy and its config of a page, as a reader would save them."""
    (tmp_path / "my_strategy.py").write_text(blocks(request.param, "python")[0])
    config = tmp_path / "my.yaml"
    config.write_text(blocks(request.param, "yaml")[0])
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


GIVEN = (connectors.Book, connectors.Instrument, connectors.Status, connectors.StatusKind, Context)
EVENTS = (connectors.Event, *connectors.Event.__subclasses__())


@pytest.mark.parametrize("given", [*EVENTS, *GIVEN], ids=lambda given: given.__name__)
def test_every_attribute_that_a_strategy_is_given_is_explained(given: type) -> None:
    page = (DOCS / "events.md").read_text()

    missing = [
        name for name in vars(given) if not name.startswith("_") and not re.search(rf"`{name}[`(]", page)
    ]

    assert missing == []


@pytest.mark.parametrize("name", connectors.__all__)
def test_every_name_of_the_package_stands_on_a_page(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", page.read_text()) for page in PAGES)


@pytest.mark.parametrize("name", picows.__all__)
def test_every_name_of_the_core_stands_in_the_readme(name: str) -> None:
    assert f"`{name}`" in (ROOT / "README.md").read_text()


def test_own_constructor_of_the_page_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(blocks("events.md", "python")[0])

    strategy = load_strategy(settings.StrategySettings(use="./own.py:Counter"), tmp_path, "mine")

    assert (strategy.name, getattr(strategy, "count", None)) == ("mine", 0)


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
