"""An extension built against another layout of the core is refused at import, with a text that helps."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

import picows
from picows import abi

from .cython_support import IS_SANITIZED, build, declarations, run

USER = """
from picows.picows cimport WSFrame, WSListener, WSTransport

cdef class User(WSListener):
    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        transport.send(frame.msg_type, frame.payload_ptr[:frame.payload_size])
"""

IMPORT = """
try:
    import usercode
except BaseException as error:
    print(f"{type(error).__name__}|{getattr(error, 'name', None)}|{error}")
else:
    print("imported")
"""

# What may change between two versions: (file, what stands there, what stands there then).
CHANGES = {
    "a slot": (
        "listener.pxd",
        "    cpdef on_ws_frame(",
        "    cpdef on_ws_text(self, str text)\n    cpdef on_ws_frame(",
    ),
    "a slot of the transport": (
        "transport.pxd",
        "    cpdef send(self",
        "    cpdef flush(self)\n    cpdef send(self",
    ),
    "a field": (
        "frame.pxd",
        "        readonly Py_ssize_t payload_size",
        "        int extra\n        readonly Py_ssize_t payload_size",
    ),
    "a field of a base class": (
        "listener.pxd",
        "    cdef object __weakref__",
        "    cdef object extra\n    cdef object __weakref__",
    ),
}


def change(core, what):
    """Edit the .pxd files in the folder `core`."""
    name, before, after = CHANGES[what]
    text = (core / name).read_text()
    assert text.count(before) == 1, (name, before)
    (core / name).write_text(text.replace(before, after))


def copy_of_declarations(folder, patterns=("*.pxd", "*.pxd.in")):
    source = declarations() / "picows"
    for pattern in patterns:
        for path in source.rglob(pattern):
            copy = folder / "picows" / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    return folder / "picows"


def other_version(folder, what):
    """The declarations of a picows 9.8.7 that differs in `what`."""
    core = copy_of_declarations(folder, patterns=("*.pxd",))
    change(core, what)
    text = (core / "abi.pxd").read_text()
    (core / "abi.pxd").write_text(re.sub(r"Layout_\w+", "Layout_9_8_7_0badc0de", text))
    return folder


@pytest.mark.user_build
@pytest.mark.slow
@pytest.mark.parametrize("what", CHANGES)
def test_an_extension_of_another_layout_is_refused_and_told_to_be_rebuilt(what, tmp_path):
    build(tmp_path, USER, include=[other_version(tmp_path / "other", what)])

    name, module, text = run(tmp_path, "-c", IMPORT).stdout.strip().split("|")

    assert (name, module) == ("ImportError", "usercode")
    assert text.startswith("usercode was built against picows 9.8.7 (layout 0badc0de), installed is picows ")
    assert f"picows {picows.__version__} (layout " in text
    assert text.endswith("rebuild usercode against the installed picows")


@pytest.mark.user_build
@pytest.mark.slow
@pytest.mark.skipif(IS_SANITIZED, reason="this late, Cython has copied a vtable of the other size already")
def test_it_is_refused_without_multi_phase_initialisation_too(tmp_path):
    other = other_version(tmp_path / "other", "a slot")
    build(tmp_path, USER, include=[other], macros=[("CYTHON_PEP489_MULTI_PHASE_INIT", "0")])

    name, _, text = run(tmp_path, "-c", IMPORT).stdout.strip().split("|")

    assert name == "ImportError"
    assert text.startswith("a Cython extension was built against picows 9.8.7 (layout 0badc0de)")


@pytest.mark.user_build
@pytest.mark.slow
def test_an_extension_of_this_layout_is_imported(tmp_path):
    build(tmp_path, USER)

    assert run(tmp_path, "-c", IMPORT).stdout == "imported\n"


def test_another_hash_is_another_layout_and_another_version_alone_is_not():
    layout = abi._installed[0]
    same = "Layout_9_8_7_" + layout.rpartition("_")[2]

    abi.check(same, "usercode")
    with pytest.raises(
        ImportError, match=r"usercode was built against picows 9\.8\.7 \(layout 0bad\)"
    ) as told:
        abi.check("Layout_9_8_7_0bad", "usercode")

    assert told.value.name == "usercode"
    with pytest.raises(AttributeError):
        abi.nothing  # noqa: B018


SETUP = Path(__file__).parents[2] / "setup.py"
needs_source_tree = pytest.mark.skipif(
    not SETUP.exists(), reason="the rule is in setup.py of the source tree"
)


@pytest.fixture
def setup_script():
    """setup.py as a module."""
    spec = importlib.util.spec_from_file_location("setup_script", SETUP)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.mark.house
@needs_source_tree
@pytest.mark.parametrize("what", CHANGES)
def test_the_build_names_another_layout_when_a_declaration_changes(what, setup_script, tmp_path, monkeypatch):
    monkeypatch.chdir(SETUP.parent)
    core = copy_of_declarations(tmp_path)
    before = setup_script.layout_name(core)

    change(core, what)

    assert setup_script.layout_name(core) != before


@pytest.mark.house
@needs_source_tree
def test_a_comment_changes_no_layout_and_no_file(setup_script, tmp_path, monkeypatch):
    monkeypatch.chdir(SETUP.parent)
    core = copy_of_declarations(tmp_path)
    setup_script.write_layout(core)
    written = (core / "abi.pxd").stat().st_mtime_ns

    text = (core / "frame.pxd").read_text()
    (core / "frame.pxd").write_text("# another word\n\n" + text.replace("# received bytes", "# bytes"))
    setup_script.write_layout(core)

    assert (core / "abi.pxd").stat().st_mtime_ns == written
    assert abi._installed[0] in (core / "abi.pxd").read_text()


@pytest.mark.house
@needs_source_tree
def test_every_declaration_that_users_reach_leads_to_the_check(setup_script):
    core = SETUP.parent / "picows"
    reached = setup_script.cimported(core / "picows.pxd")

    assert {"frame.pxd", "listener.pxd", "transport.pxd", "buffer.pxd"} <= {path.name for path in reached}
    for path in reached:
        if re.search(r"^cdef class", path.read_text(), re.MULTILINE):
            leads = setup_script.cimported(path)
            assert any(
                "from .abi cimport" in p.read_text() or "..abi cimport" in p.read_text() for p in leads
            )
