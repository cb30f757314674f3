"""No class of the package crashes when a user makes one, subclasses it, or calls its methods unbound."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

from picows import WSFrame, WSTransport

from .wire_support import TEXT, client_of_bare_server, frame

# ------------------------------------------------------------------------------------- objects made by users


def test_a_transport_is_not_made_by_users():
    for arguments in ((), (None,), (5,), ("x", True), (asyncio,)):
        with pytest.raises((TypeError, AttributeError)):
            WSTransport(*arguments)
    with pytest.raises(TypeError):
        WSTransport.__new__(WSTransport)


async def test_a_transport_made_from_nonsense_does_not_harm_later_connections():
    for loop in (5, "loop", object()):
        with pytest.raises((TypeError, AttributeError)):
            WSTransport(loop)

    async with client_of_bare_server(behind_101=frame(TEXT, b"hi")) as (_, listener, _s):
        assert await listener.received(1) == [(TEXT, b"hi", True)]


def test_classes_cannot_be_subclassed_or_changed_from_python():
    for cls in (WSTransport, WSFrame):
        with pytest.raises(TypeError):
            type("Sub", (cls,), {})
        with pytest.raises(TypeError):
            cls.send = None


def run(code):
    """Run `code` in a process of its own: what is looked for is a crash."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )


def test_methods_called_unbound_check_their_self():
    done = run("""
        from picows import WSFrame, WSListener, WSTransport
        for cls in (WSFrame, WSListener, WSTransport):
            for name, method in vars(cls).items():
                if name.startswith("__") or not callable(method):
                    continue
                for bad in (None, 5, "x" * 100, object(), cls):
                    for count in range(5):
                        try:
                            method(bad, *[None] * count)
                        except TypeError:
                            continue
                        raise SystemExit(f"{cls.__name__}.{name}({bad!r}) was accepted")
    """)

    assert (done.returncode, done.stderr) == (0, "")


def test_every_class_of_the_package_can_be_called_without_a_crash():
    done = run("""
        import importlib, inspect, pkgutil, picows
        made = []
        for module in pkgutil.walk_packages(picows.__path__, "picows."):
            if "examples" in module.name:
                continue
            for name, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if not cls.__module__.startswith("picows"):
                    continue
                for arguments in ((), (None,), (5,), ("x",), (None, None), (5, 5, 5), (None,) * 5):
                    try:
                        made.append(cls(*arguments))
                    except Exception:
                        continue
        print(len(made) > 10)
        for one in made:
            for name in dir(one):
                if name.startswith("__"):
                    continue
                try:
                    value = getattr(one, name)
                    repr(value)
                    if callable(value) and not inspect.isclass(value):
                        for arguments in ((), (None,), (5, 5)):
                            try:
                                got = value(*arguments)
                                if inspect.iscoroutine(got):
                                    got.close()
                            except Exception:
                                pass
                except Exception:
                    pass
    """)

    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr[-2000:]
