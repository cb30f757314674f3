"""help() has something to say about every public name, of its own and not of a base class."""

import inspect

import pytest

import picows

VALUES = {"PICOWS_DEBUG_LL", "__version__", "__author__"}
NAMES = sorted(set(picows.__all__) - VALUES)
CLASSES = [name for name in NAMES if isinstance(getattr(picows, name), type)]


def own_doc(found):
    """The docstring of a class or function itself."""
    doc = found.__doc__
    if isinstance(found, type) and any(doc == base.__doc__ for base in found.__mro__[1:]):
        return None
    return doc


def described(cls):
    """Names of the public methods and properties that a class of ours defines."""
    for owner in cls.__mro__:
        if not owner.__module__.startswith("picows"):
            continue
        for name, found in vars(owner).items():
            is_method = inspect.isroutine(found) and not inspect.isdatadescriptor(found)
            if not name.startswith("_") and (is_method or isinstance(found, property)):
                yield name


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_has_a_docstring_that_begins_with_a_sentence(name):
    doc = own_doc(getattr(picows, name))

    assert doc
    first = doc.strip().split("\n\n")[0]
    assert first[0].isupper() or first[0] in "`_", first
    assert first.endswith((".", ":")), first


@pytest.mark.parametrize("name", CLASSES)
def test_each_public_method_and_property_has_a_docstring(name):
    cls = getattr(picows, name)

    # A method that overrides a documented one may leave it at that.
    assert [found for found in described(cls) if not inspect.getdoc(getattr(cls, found))] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_public_function_shows_its_signature(name):
    found = getattr(picows, name)
    if inspect.isroutine(found):
        assert inspect.signature(found).parameters
