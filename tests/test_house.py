"""The rules of the house: import order, cycles, file length, venue names, stubs, README commands, paths.

Each rule is a function from text to complaints. The first half of the tests feeds it this repository, the
second half a bad sample, so that a rule which has gone blind is noticed.
"""

import ast
import graphlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Data run down this list, imports point up it.
RANK = {"picows": 0, "connectors": 1, "strategies": 2}

SOURCES = (".py", ".pyx", ".pxd", ".pyi", ".h", ".c")
MAX_LINES = 400

# "gate" alone is an English word, so that venue is known by its domain.
VENUES = {
    "binance": r"binance",
    "bitfinex": r"bitfinex",
    "bitget": r"bitget",
    "bithumb": r"bithumb",
    "bitmex": r"bitmex",
    "bybit": r"bybit",
    "coinbase": r"coinbase",
    "cryptocom": r"crypto[._]?com(?![a-z])",
    "deribit": r"deribit",
    "gate": r"gate[._]?io(?![a-z])",
    "htx": r"(?<![a-z])htx|huobi",
    "hyperliquid": r"hyperliquid",
    "kraken": r"kraken",
    "kucoin": r"kucoin",
    "mexc": r"(?<![a-z])mexc",
    "okx": r"okx|okex",
    "upbit": r"upbit",
}
# Where a venue is at home: its facts, its verbs, and the example that is about one venue.
VENUE_HOMES = ("connectors/exchanges/", "configs/", "picows/examples/okx_roundtrip_time.")

# Written so that this file does not match itself.
FORBIDDEN = {
    "the host of a package registry": r"py[p]i\.org|python[h]osted\.org|registry\.npm[j]s|deb\.debia[n]\.org",
    "an absolute path of one machine": r"(?<![\w.)])/(?:wor[k]|roo[t]|hom[e]/\w+|Use[r]s/\w+|opt/whee[l]s)/",
}
TEXT = (
    *SOURCES,
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".in",
    ".txt",
    ".cfg",
    ".sh",
    ".json",
    "Makefile",
    ".ci/run",
)


# ---------------------------------------------------------------- rules: text in, complaints out


def py_imports(text: str, module: str, is_package: bool) -> set[str]:
    """Dotted names that Python source imports, at run time; `from a import b` gives `a.b`."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(text, filename=module)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: None if is_package else -1]
            base = base[: len(base) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found.update(f"{origin}.{alias.name}" for alias in node.names)
        else:
            pending += ast.iter_child_nodes(node)
    return found


def cython_imports(text: str) -> set[str]:
    """Dotted names that Cython source imports or cimports; `from a cimport b` gives `a.b`."""
    text = re.sub(r"(\"\"\"|''')(?:\\.|.)*?\1", "", text, flags=re.DOTALL)
    text = re.sub(r"#[^\n]*", "", text)
    text = re.sub(r"\(([^()]*)\)", lambda match: match.group(1).replace("\n", " "), text)
    found: set[str] = set()
    for origin, names in re.findall(
        r"^[ \t]*from[ \t]+([\w.]+)[ \t]+c?import[ \t]+([^\n]+)", text, re.MULTILINE
    ):
        found.update(f"{origin}.{name.split()[0]}" for name in names.split(",") if name.strip())
    for names in re.findall(r"^[ \t]*c?import[ \t]+([^\n]+)", text, re.MULTILINE):
        found.update(name.split()[0] for name in names.split(",") if name.strip())
    return found


def imports(path: str, text: str) -> set[str]:
    """Dotted names that one file of the packages imports."""
    if path.endswith((".py", ".pyi")):
        return py_imports(text, module_of(path), Path(path).stem == "__init__")
    return cython_imports(text)


def module_of(path: str) -> str:
    """Dotted name of the module a file belongs to; .pyx, .pxd and .pyi of one name are one module."""
    return str(Path(path).with_suffix("")).replace("/", ".").removesuffix(".__init__")


def wrong_way_imports(files: dict[str, str]) -> list[str]:
    """Files that import a package which stands below them."""
    return [
        f"{path} imports {name}: {path.partition('/')[0]} must not know {name.partition('.')[0]}"
        for path, text in files.items()
        if path.endswith((".py", ".pyi", ".pyx", ".pxd"))
        for name in sorted(imports(path, text))
        if RANK.get(name.partition(".")[0], -1) > RANK[path.partition("/")[0]]
    ]


def import_cycle(files: dict[str, str]) -> list[str]:
    """One cycle among the modules, or nothing. Stubs may refer to each other: they do not run."""
    sources = {path: text for path, text in files.items() if path.endswith((".py", ".pyx", ".pxd"))}
    modules = {module_of(path) for path in sources}
    graph: dict[str, set[str]] = {}
    for path, text in sources.items():
        # `from a.b import c` is the module a.b.c if there is one, else a name in a.b.
        found = {name if name in modules else name.rpartition(".")[0] for name in imports(path, text)}
        graph.setdefault(module_of(path), set()).update(found & modules - {module_of(path)})
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def long_files(files: dict[str, str]) -> list[str]:
    """Files of more than MAX_LINES lines."""
    sizes = {path: len(text.splitlines()) for path, text in files.items()}
    return [f"{path}: {size} lines, at most {MAX_LINES}" for path, size in sizes.items() if size > MAX_LINES]


def venue_names(files: dict[str, str]) -> list[str]:
    """Shared files that name an exchange, in their path or their text."""
    return [
        f"{path} names {venue}"
        for path, text in files.items()
        if path.startswith(("picows/", "connectors/")) and not path.startswith(VENUE_HOMES)
        for venue, pattern in VENUES.items()
        if re.search(pattern, f"{path}\n{text}", re.IGNORECASE)
    ]


def missing_stubs(files: dict[str, str]) -> list[str]:
    """Compiled modules that Python code of the packages imports, and that have no .pyi beside them."""
    imported = {name for path, text in files.items() if path.endswith(".py") for name in imports(path, text)}
    imported |= {name.rpartition(".")[0] for name in imported}
    return [
        f"{path} is imported by Python code and has no stub"
        for path in files
        if path.endswith(".pyx")
        and module_of(path) in imported
        and str(Path(path).with_suffix(".pyi")) not in files
    ]


def unknown_make_targets(readme: str, makefile: str) -> list[str]:
    """Targets that a shell block of a Markdown file calls and the Makefile lacks."""
    targets = set(re.findall(r"^([\w-]+):(?!=)", makefile, re.MULTILINE))
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^(?:\$ )?make\b([^\n#&|;]*)", "\n".join(blocks), re.MULTILINE)
    wanted = [word for command in commands for word in re.findall(r"(?<!\S)[a-z][\w-]*(?!\S)", command)]
    return [f"make {word}: no such target" for word in wanted if word not in targets]


def forbidden_text(files: dict[str, str]) -> list[str]:
    """Files that name a package registry's host or a path of the machine they were written on."""
    return [
        f"{path}: {match.group()!r} is {what}"
        for path, text in files.items()
        for what, pattern in FORBIDDEN.items()
        if (match := re.search(pattern, text))
    ]


# ---------------------------------------------------------------- this repository


def tracked() -> list[str]:
    """Files git knows or would add; in an unpacked sdist, where git knows nothing, all files."""
    git = ("git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard")
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return done.stdout.splitlines()
    generated = {path.with_suffix(".c") for path in ROOT.rglob("*.pyx")}
    paths = {path for path in ROOT.rglob("*") if path.is_file()} - generated
    names = (path.relative_to(ROOT).as_posix() for path in sorted(paths))
    return [name for name in names if not name.startswith((".venv", "build/", "dist/"))]


@pytest.fixture(scope="module")
def repository():
    """Text of every text file: {path: text}. A file someone is about to move away may be gone by now."""
    return {
        path: (ROOT / path).read_text(encoding="utf-8")
        for path in tracked()
        if path.endswith(TEXT) and (ROOT / path).is_file()
    }


@pytest.fixture(scope="module")
def packages(repository):
    """Source files of the three packages."""
    found = {path: text for path, text in repository.items() if path.partition("/")[0] in RANK}
    return {path: text for path, text in found.items() if path.endswith(SOURCES)}


pytestmark = pytest.mark.house


def test_the_rules_see_the_packages(packages):
    assert {"picows/__init__.py", "picows/wire.h"} <= packages.keys()


def test_imports_point_from_strategies_to_connectors_to_picows(packages):
    assert wrong_way_imports(packages) == []


def test_no_import_or_cimport_cycle(packages):
    assert import_cycle(packages) == []


def test_no_file_is_longer_than_one_reading(repository):
    sources = {p: t for p, t in repository.items() if p.endswith(SOURCES)}

    assert long_files(sources) == []


def test_no_shared_file_names_an_exchange(repository):
    assert venue_names(repository) == []


def test_each_compiled_module_that_python_imports_has_a_stub(packages):
    assert missing_stubs(packages) == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_each_make_command_of_the_documents_exists(document, repository):
    assert unknown_make_targets(repository[document], repository["Makefile"]) == []


def test_text_names_no_registry_host_and_no_path_of_one_machine(repository):
    assert forbidden_text(repository) == []


# ---------------------------------------------------------------- each rule can fail


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("picows/client.py", "import connectors.session"),
        ("picows/client.py", "def load():\n    from connectors import session\n"),
        ("picows/frame.pyi", "from strategies import x"),
        ("picows/frame.pyx", "from connectors.book cimport Book"),
        ("picows/frame.pxd", "cimport connectors.book as book"),
        ("picows/frame.pyx", "import os, connectors.book"),
        ("connectors/session.py", "from strategies.spread import Spread"),
        ("picows/stream/tcp.py", "from ..parser import x\nfrom connectors.errors import y"),
    ],
)
def test_an_import_of_a_lower_package_is_found(path, text):
    assert len(wrong_way_imports({path: text})) == 1


def test_imports_up_the_list_and_words_in_docstrings_are_no_complaint():
    files = {
        "connectors/session.pyx": '"""Used\nfrom strategies import x\n"""\nfrom picows.frame cimport WSFrame',
        "strategies/spread.py": "import connectors\nfrom picows import ws_connect",
        "picows/wire.h": "/* connectors import */",
    }

    assert wrong_way_imports(files) == []


@pytest.mark.parametrize(
    "files",
    [
        {"picows/a.py": "import picows.b", "picows/b.py": "from picows import a"},
        {"picows/a.py": "from .b import x", "picows/b.py": "def f():\n    from . import a\n"},
        {"picows/a.pxd": "from picows.b cimport B", "picows/b.pxd": "from picows.a cimport A"},
        {
            "picows/a.pyx": "from picows.b cimport B",
            "picows/b.pyx": "from picows.c import (\n  d,\n  e)",
            "picows/c.py": "import picows.a",
        },
        {"picows/__init__.py": "from picows.a import f", "picows/a.py": "from picows import __version__"},
    ],
)
def test_a_cycle_is_found(files):
    assert len(import_cycle(files)) > 2


def test_a_chain_a_stub_and_a_type_checking_import_are_no_cycle():
    files = {
        "picows/a.py": "import picows.b",
        "picows/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import picows.a\n",
        "picows/b.pyi": "import picows.a",
        "picows/c.pyx": "from picows.c cimport C\nfrom picows.a cimport A",
    }

    assert import_cycle(files) == []


def test_a_file_of_401_lines_is_found_and_one_of_400_is_not():
    files = {"picows/long.py": "x = 1\n" * 401, "picows/fits.py": "x = 1\n" * 400}

    assert long_files(files) == ["picows/long.py: 401 lines, at most 400"]


NAMED = """Binance BITFINEX bitget Bithumb bitmex BybitSession coinbase crypto.com Deribit gate.io is_gateio
htx Huobi hyperliquid Kraken kucoin mexc OKX OKEx upbit"""


@pytest.mark.parametrize("text", NAMED.split())
def test_an_exchange_name_in_a_shared_file_is_found(text):
    assert len(venue_names({"connectors/session.py": f"# as {text} does\n"})) == 1
    assert len(venue_names({f"picows/{text}.py": ""})) == 1


def test_exchange_names_are_at_home_in_facts_verbs_and_one_example():
    homes = {
        "connectors/exchanges/okx.py": "okx",
        "configs/exchanges/okx.yaml": "okx",
        "picows/examples/okx_roundtrip_time.py": "okx",
        "connectors/errors.py": "a gate, an aggregate: to navigate, irrigation, investigation",
        "tests/connectors/test_okx.py": "okx",
    }

    assert venue_names(homes) == []


def test_a_compiled_module_without_stub_is_found():
    files = {
        "picows/frame.pyx": "",
        "picows/listener.pyx": "",
        "picows/listener.pyi": "",
        "picows/buffer.pyx": "",
        "picows/parser.pyx": "from picows.buffer cimport Buffer",
        "picows/__init__.py": "from picows.frame import WSFrame\nfrom .listener import WSListener",
    }

    assert missing_stubs(files) == ["picows/frame.pyx is imported by Python code and has no stub"]


def test_a_make_command_without_target_is_found():
    readme = "make tea\n```sh\nmake run\n$ make VENV=x test deploy  # now\n```\n"

    assert unknown_make_targets(readme, "run: build\ntest:\nVENV := y\n") == ["make deploy: no such target"]


@pytest.mark.parametrize(
    "text",
    [
        "see https://py" + "pi.org/project/x",
        "/ro" + "ot/.cache",
        "cd /wo" + "rk/main",
        "in /ho" + "me/ann/src",
    ],
)
def test_a_registry_host_or_a_path_of_one_machine_is_found(text):
    assert len(forbidden_text({"README.md": text})) == 1


def test_relative_and_system_paths_are_allowed():
    assert (
        forbidden_text({"README.md": "../shared/data /usr/bin/env https://a.b/work/x docs/home/a /tmp/x"})
        == []
    )
