"""Weighted sketches: vectors of a fixed length whose equal entries estimate the Ruzicka similarity of two vectors.

This is consistent weighted sampling (Manasse, McSherry and Talwar 2010) by darts (Christiani 2020, "DartMinHash: Fast
Sketching for Weighted Sets"). Imagine darts thrown at random, at a uniform rate, over all edges, weights and times.
Where they hit depends on the seed alone. A prompt keeps, for each entry of its sketch, the first dart below its own
weights. Two prompts keep the same dart if the first dart below the weights of either is below those of both. This has
the probability J = Σ min / Σ max, independently for each entry. So the number of equal entries is binomial, and the
estimate has a standard deviation of sqrt(J (1 - J) / samples), at most 0.5 / sqrt(samples).

Axes: X weight, Y cell of a weight, or dart.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
_POISSON = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(21)])
"""Probability that a cell has at most 0, 1, 2, ... darts; more than 20 have a probability of 10^-20."""


def mixed(*words: Words | int) -> Words:
    """Return a hash of words (SplitMix64 of Steele, Lea and Flood 2014), which are arrays of one shape, or numbers."""
    found: Words = np.array(0x9E3779B97F4A7C15, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for word in words:
            found = (found ^ np.asarray(word, dtype=np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
            found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            found = found ^ (found >> np.uint64(31))
    return found


def weighted_sketch(word_X: Words, weight_X: Floats, samples: int, seed: int) -> tuple[Words, npt.NDArray[np.intp]]:
    """Return the sketch of a vector [samples], and the number X of the weight that each entry was drawn from.

    `word_X` are different words, the same for the same column in all vectors, and `weight_X` are weights above 0 that
    add up to about 1. All vectors that are compared need the same `samples` and `seed`.
    """
    rate = samples * (math.log(samples) + 3.0)  # darts at each time step, so that one step fills most sketches
    found, drawn = np.zeros(samples, dtype=np.uint64), np.full(samples, -1, dtype=np.intp)
    num_cells = np.ceil(weight_X * rate).astype(np.int64)
    number_Y = np.repeat(np.arange(len(word_X)), num_cells)
    cell_Y = np.arange(len(number_Y)) - np.repeat(np.cumsum(num_cells) - num_cells, num_cells)
    cells = mixed(word_X[number_Y], cell_Y.astype(np.uint64), seed % (1 << 64))
    step = 0
    while len(word_X) and (drawn < 0).any():
        of_step = mixed(cells, step)
        count = np.searchsorted(_POISSON, _uniform(of_step), side="right")
        cell = np.repeat(np.arange(len(cells)), count)
        dart = np.arange(len(cell)) - np.repeat(np.cumsum(count) - count, count)
        word = mixed(of_step[cell], dart.astype(np.uint64) + np.uint64(1))
        number = number_Y[cell]
        is_below = cell_Y[cell] + _uniform(mixed(word, 1)) <= weight_X[number] * rate
        word, number = word[is_below], number[is_below]
        entry = (mixed(word, 2) % np.uint64(samples)).astype(np.intp)
        order = np.lexsort((word, mixed(word, 3), entry))  # the time of a dart, for each entry
        first = order[np.concatenate([[True], np.diff(entry[order]) != 0])[: len(order)]]
        first = first[drawn[entry[first]] < 0]
        found[entry[first]], drawn[entry[first]] = word[first], number[first]
        step += 1
    return found, drawn


def _uniform(word: Words) -> Floats:
    """Return a number in [0, 1) for each word."""
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
