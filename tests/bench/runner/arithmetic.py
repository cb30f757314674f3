"""From figures of single runs to a ratio, its spread, and what the machine can resolve.

A round is four runs in the order ours, theirs, theirs, ours (A1 B1 B2 A2), each by a process of its own: a
drift of the machine over the round cancels. A cost is anything of which less is better; a ratio is
theirs / ours, so above 1 we are ahead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Round:
    """Costs of one round, in one unit."""

    ours: tuple[float, float]
    theirs: tuple[float, float]

    @property
    def ratio(self) -> float:
        return math.sqrt(self.theirs[0] * self.theirs[1] / (self.ours[0] * self.ours[1]))

    @property
    def ours_against_ours(self) -> float:
        return self.ours[0] / self.ours[1]

    @property
    def theirs_against_theirs(self) -> float:
        return self.theirs[0] / self.theirs[1]


@dataclass(frozen=True)
class Summary:
    """What a row of the table says."""

    ratio: float
    low: float  # quartiles of the ratio over the rounds
    high: float
    same_ours: float  # A/A: the same comparison, ours with ours and theirs with theirs; 1 on a quiet machine
    same_theirs: float
    resolution: float  # half-width: a ratio this near to 1 cannot be told from 1
    ours: float  # medians of the costs
    theirs: float
    rounds: int


def quantile(values: Sequence[float], q: float) -> float:
    """Of sorted or unsorted values, linear between neighbours; q from 0 to 1."""
    if not values:
        raise ValueError("quantile of no values")
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def standard_error(values: Sequence[float]) -> float:
    """Of the median: 1.253 * (IQR / 1.349) / sqrt(n), as for a normal distribution."""
    if len(values) < 2:
        return math.inf
    return 0.929 * (quantile(values, 0.75) - quantile(values, 0.25)) / math.sqrt(len(values))


def resolution(rounds: Sequence[Round]) -> float:
    """What the ratio's median can be wrong by: two standard errors, and at least what A/A shows."""
    same = [each.ours_against_ours for each in rounds], [each.theirs_against_theirs for each in rounds]
    # A pair of single runs varies by sqrt(2) more than the mean of two such pairs.
    shown = max(abs(math.log(median(values))) for values in same) / math.sqrt(2)
    return max(shown, 2 * standard_error([math.log(each.ratio) for each in rounds]))


def summary(rounds: Sequence[Round]) -> Summary:
    ratios = [each.ratio for each in rounds]
    return Summary(
        ratio=median(ratios),
        low=quantile(ratios, 0.25),
        high=quantile(ratios, 0.75),
        same_ours=median(each.ours_against_ours for each in rounds),
        same_theirs=median(each.theirs_against_theirs for each in rounds),
        resolution=resolution(rounds),
        ours=median(cost for each in rounds for cost in each.ours),
        theirs=median(cost for each in rounds for cost in each.theirs),
        rounds=len(rounds),
    )


def verdict(ratio: float, within: float, at_least: float | None) -> str:
    """Against what is demanded; `?` where the machine cannot tell."""
    if at_least is None:
        return ""
    if ratio >= at_least:
        return "ok"
    return "ok?" if ratio * math.exp(within) >= at_least else "BELOW"
