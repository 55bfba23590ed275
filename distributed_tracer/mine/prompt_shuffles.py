"""Shuffles of prompts within templates, under which every site goes to the same position of another prompt.

A shuffle moves whole prompts, so that what depends on itself along a prompt still does. Where the other prompt of a
template is too short to have a position, the next prompt of the same cycle that has it takes its place. At every
position, all orders of the prompts that have it are therefore equally likely.

Axes: I site, by prompt, then by position; X prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PromptShuffles:
    """Random orders of sites. The order of a number depends on the seed and on this number alone."""

    template_X: Ints
    """Template of each prompt, by rank; prompts of one template are exchanged."""
    num_sites_X: Ints
    """Number of positions of each prompt."""
    seed: int

    def order(self, number: int) -> Ints:
        """Return, for each site, the site whose features it gets [I]."""
        rng = np.random.default_rng((self.seed, number))
        follower_X = np.arange(len(self.template_X))
        for template in np.unique(self.template_X).tolist():
            own = np.flatnonzero(self.template_X == template)
            follower_X[own] = own[rng.permutation(len(own))]
        first_X = np.cumsum(self.num_sites_X) - self.num_sites_X
        found_I = np.zeros(int(self.num_sites_X.sum()), dtype=np.int64)
        by_length = np.argsort(self.num_sites_X, kind="stable")
        before_X = np.empty_like(follower_X)
        before_X[follower_X] = np.arange(len(follower_X))
        num_left_out = 0
        for position in range(int(self.num_sites_X.max(initial=0))):
            while self.num_sites_X[shorter := int(by_length[num_left_out])] <= position:
                before, after = int(before_X[shorter]), int(follower_X[shorter])
                follower_X[before], before_X[after] = after, before
                num_left_out += 1
            own = by_length[num_left_out:]
            found_I[first_X[own] + position] = first_X[follower_X[own]] + position
        return found_I
