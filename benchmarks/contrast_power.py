"""Power and false discoveries of a contrast of two sets of prompts, in simulated values of features and of edges.

python benchmarks/contrast_power.py --repetitions 200

Prompts belong to clusters, and half of the variance of a value is between clusters. Values go through the same tests as
those that are read from a store. In the table, a row is a number of clusters per set, and a column is the size of the
planted differences, in standard deviations of the means of clusters; a cell is the share of these that is found at q,
and the mean share of false ones among all that is found. Then come sets without any difference, tested over clusters
and, as one should not, over prompts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from distributed_tracer.mine.prompt_sets import PromptSets
from distributed_tracer.mine.set_tests import ContrastSettings, SetTests

Floats = npt.NDArray[np.float64]
Of = Literal["features", "edges"]
Q = 0.05
SIZES = (1.0, 2.0, 3.0)
CLUSTERS = (6, 12, 24)


@dataclass(frozen=True)
class Found:
    """What a contrast of simulated sets has found."""

    num_true: int
    """Planted differences that were found."""
    num_false: int
    num_tested: int

    @property
    def false_share(self) -> float:
        """Share of false ones among what was found; 0 if nothing was."""
        return self.num_false / max(1, self.num_true + self.num_false)


def simulated(
    rng: np.random.Generator, of: Of, num_clusters: int, num_prompts: int, num_columns: int, planted: int, size: float
) -> tuple[Floats, Floats]:
    """Return values and presence [prompts, columns] of two sets of clusters; the first columns are larger in set a.

    A feature is active in a share of prompts that depends on the cluster, and then has a positive activation. An edge
    has a row in such a share of prompts, and is unknown in others; where it has a row, it may be absent, with value 0.
    Columns come in groups of five that share a part of what clusters have.
    """
    clusters = 2 * num_clusters
    shape = (clusters, num_prompts, num_columns)
    groups = np.repeat(rng.standard_normal((clusters, 1, -(-num_columns // 5))), 5, axis=2)[..., :num_columns]
    between = np.sqrt(0.5) * groups + np.sqrt(0.5) * rng.standard_normal((clusters, 1, num_columns))
    latent = between + rng.standard_normal(shape)
    shift = np.zeros((clusters, 1, num_columns))
    shift[:num_clusters, :, :planted] = size * np.sqrt(1 + 1 / num_prompts)
    often = rng.beta(4, 1, (clusters, 1, num_columns))
    happens = rng.random(shape) < often
    if of == "features":
        value = np.where(happens, np.log1p(np.exp(latent + shift)), 0.0)
        present = happens
    else:
        present = happens & (rng.random(shape) < 0.8)
        value = np.where(happens, np.where(present, 0.05 * (latent + shift), 0.0), np.nan)
    return value.reshape(-1, num_columns), present.reshape(-1, num_columns).astype(np.float64)


def sets_of(num_clusters: int, num_prompts: int, is_clustered: bool = True) -> PromptSets:
    """Return the two sets of prompts of simulated values; if not clustered, each prompt is a cluster."""
    number = np.arange(2 * num_clusters * num_prompts)
    ids = [f"p{one:06d}" for one in number]
    clusters = [f"c{one:06d}" for one in number // num_prompts] if is_clustered else ids
    return PromptSets(ids, number < num_clusters * num_prompts, clusters, None, ())


def contrasted(
    rng: np.random.Generator,
    of: Of,
    num_clusters: int,
    size: float = 0.0,
    *,
    num_prompts: int = 5,
    num_columns: int = 60,
    planted: int = 10,
    permutations: int = 4_999,
    is_clustered: bool = True,
) -> Found:
    """Contrast two simulated sets once."""
    value, present = simulated(rng, of, num_clusters, num_prompts, num_columns, planted if size else 0, size)
    settings = ContrastSettings(q=Q, permutations=permutations, seed=int(rng.integers(1 << 30)))
    tests = SetTests(sets_of(num_clusters, num_prompts, is_clustered), settings, presence_alone=of == "edges")
    tests.add(value, present)
    columns = tests.columns()
    is_found, is_true = columns["q"] <= Q, (np.arange(num_columns) < planted) & (size > 0)
    num_tested = int((~np.isnan(columns["p"])).sum())
    return Found(int((is_found & is_true).sum()), int((is_found & ~is_true).sum()), num_tested)


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--planted", type=int, default=10)
    parser.add_argument("--columns", type=int, default=60)
    parser.add_argument("--permutations", type=int, default=4_999)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(args)
    rng = np.random.default_rng(options.seed)
    shape = {
        "num_columns": options.columns,
        "planted": options.planted,
        "permutations": options.permutations,
    }
    kinds: tuple[Of, ...] = ("features", "edges")
    for of in kinds:
        print(f"{of}: {options.planted} of {options.columns} differ; found, and false among the found, at q = {Q}")
        print("clusters  " + "".join(f"{size:>6.1f} sd       " for size in SIZES))
        for num_clusters in CLUSTERS:
            cells = []
            for size in SIZES:
                found = [contrasted(rng, of, num_clusters, size, **shape) for _ in range(options.repetitions)]
                power = np.mean([one.num_true for one in found]) / options.planted
                cells.append(f"{power:6.1%} ({np.mean([one.false_share for one in found]):5.1%}) ")
            print(f"{num_clusters:>8}  " + " ".join(cells))
        for is_clustered, over in ((True, "clusters"), (False, "prompts")):
            repetitions = options.repetitions if is_clustered else max(1, options.repetitions // 10)
            found = [
                contrasted(rng, of, 10, num_prompts=20, is_clustered=is_clustered, **shape) for _ in range(repetitions)
            ]
            print(
                f"no difference, 10 clusters of 20 prompts per set, over {over}: "
                f"{np.mean([one.num_false for one in found]):.2f} of {options.columns} found on average, some in "
                f"{np.mean([one.num_false > 0 for one in found]):.1%} of {repetitions} repetitions"
            )


if __name__ == "__main__":
    main()
