"""Each fuzz target holds for its seeds and a thousand inputs near them, so that none rots between runs."""

import random

import pytest

from .fuzz import TARGETS, load
from .inputs import mutate

INPUTS = 1_000


@pytest.fixture
def target(request):
    for needed in {"decoders": ["msgspec"], "deflate": ["picows.deflate"]}.get(request.param, []):
        pytest.importorskip(needed, reason=f"the target reads what {needed} is for")
    return load(request.param)


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_seeds_and_inputs_near_them_hold(target):
    seeds = list(target.seeds())
    assert len(set(seeds)) > 10
    for seed in seeds:
        target.check(seed)

    source = random.Random(6455)
    for _ in range(INPUTS):
        data = mutate(source, seeds)
        try:
            target.check(data)
        except BaseException as error:
            error.add_note(f"input: {data!r}")
            raise


def test_a_failing_input_fails_the_run():
    """The harness can fail: an input that breaks a target's claim is not swallowed."""
    parser = load("parser")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "CODES", {1000})
        with pytest.raises(AssertionError):
            parser.check(b"\x8f\x00" + bytes([0, 0, 0, 0, 0, 1]))
