"""mine_contrast: a contrast of two sets that conditions describe, as the folder of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError
from ..names import unknown
from ..store.read.where import rows_meeting
from ..store.reader import Store
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted, printable
from .atlas_build import AtlasPlan
from .contrast import FEATURE_MEASURES, features_of_sets
from .contrast_edges import EDGE_MEASURES, edges_of_sets
from .edge_records import EDGE_RECORD, ROW_RECORD
from .findings import Findings, mine_in_phases
from .prompt_sets import PromptSets, prompt_sets, prompts_of, two_sets
from .prompts import ChosenPrompts
from .result import Result
from .set_tests import ContrastSettings

Of = Literal["features", "edges"]
_ACTIVE_BYTES = 64
"""Bytes that an active feature takes in temporary files, at most."""
_MEASURES = {"features": FEATURE_MEASURES, "edges": EDGE_MEASURES}


@dataclass(frozen=True, eq=False)
class ContrastPlan:
    """Two sets that are to be compared, and how."""

    store: Store
    sets: PromptSets
    of: Of
    measure: str
    settings: ContrastSettings
    memory_gb: float
    asked: dict[str, Any]
    """The conditions and names that determine the sets."""

    @property
    def prompts(self) -> ChosenPrompts:
        """The prompts of both sets."""
        return prompts_of(self.store, self.sets)

    @property
    def temporary_bytes(self) -> int:
        """A bound of the bytes of temporary files: not every node has a computed row, nor is every feature tested."""
        prompts = self.prompts
        if self.of == "features":
            num_active = sum(self.store.entry(prompt_id).num_active for prompt_id in prompts.ids)
            return _ACTIVE_BYTES * num_active
        return EDGE_RECORD.itemsize * prompts.num_edges + ROW_RECORD.itemsize * prompts.num_nodes

    def describe(self) -> str:
        """Return lines for people."""
        sets, prompts = self.sets, self.prompts
        lines = [f"warning: {text}" for text in sets.warnings]
        for name, is_in in (("a", sets.is_a), ("b", ~sets.is_a)):
            (_, num_prompts), (_, num_clusters) = sets.sizes(is_in)
            lines.append(f"set {name}: {counted(num_prompts, 'prompt')} in {counted(num_clusters, 'cluster')}")
        lines.append(f"{counted(prompts.num_nodes, 'node')} and {counted(prompts.num_edges, 'edge')}")
        lines.append(f"at most {self.temporary_bytes / 1e9:.3f} GB of temporary files")
        lines.append(f"at most {counted(self.settings.permutations, 'assignment')} of labels for every tested row")
        return "\n".join(map(printable, lines))


def plan_contrast(
    store: Store,
    a: str | Sequence[str],
    b: str | Sequence[str] = (),
    *,
    of: Of = "features",
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    paired: str | None = None,
    measure: str | None = None,
    test: Literal["both", "welch"] = "both",
    q: float = 0.05,
    min_clusters: int = 3,
    permutations: int = 9_999,
    seed: int = 0,
    memory_gb: float = 2.0,
) -> ContrastPlan:
    """Return what `mine_contrast` would do with these arguments, or refuse what it would refuse. Reads no graphs."""
    if of not in _MEASURES:
        raise ConfigError(unknown("kind of rows", of, tuple(_MEASURES)))
    known = _MEASURES[of]
    if measure is not None and measure not in known:
        raise ConfigError(f"{unknown('measure', measure, known)} (of {of})")
    settings = ContrastSettings(test, q, min_clusters, permutations, seed)
    conditions = {
        name: [given] if isinstance(given, str) else list(given)
        for name, given in (("a", a), ("b", b), ("where", where))
    }
    chosen = _sets(store, conditions)
    sets = prompt_sets(store, chosen, cluster, paired)
    AtlasPlan.of(memory_gb)  # too little memory is refused at once
    return ContrastPlan(
        store, sets, of, measure or known[0], settings, memory_gb, {**conditions, "cluster": cluster, "paired": paired}
    )


def mine_contrast(
    store: Store,
    out: str | Path,
    a: str | Sequence[str],
    b: str | Sequence[str] = (),
    *,
    of: Of = "features",
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    paired: str | None = None,
    measure: str | None = None,
    test: Literal["both", "welch"] = "both",
    q: float = 0.05,
    min_clusters: int = 3,
    permutations: int = 9_999,
    seed: int = 0,
    memory_gb: float = 2.0,
    run: Execute = perform_here,
) -> Result:
    """Write the contrast of the prompts that meet the conditions `a` with those that meet `b` into the folder `out`.

    `where` holds conditions for the prompts of both sets. Without `b`, set b has all of these prompts that are not in
    set a. `of` says whether features or edges are compared; the other
    arguments are those of `contrast_features` and `contrast_edges`. The measure of features is influence or activation,
    that of edges is share. The tables are `features` or `edges`, and `tokens`. `run` does the work, as for
    `mine_atlas`; what a killed run has finished is not done again. Raises ConfigError for sets that are
    empty or overlap and for arguments that do not fit, and ResultError if the disk is full.
    """
    plan = plan_contrast(
        store,
        a,
        b,
        of=of,
        where=where,
        cluster=cluster,
        paired=paired,
        measure=measure,
        test=test,
        q=q,
        min_clusters=min_clusters,
        permutations=permutations,
        seed=seed,
        memory_gb=memory_gb,
    )
    return write_contrast(plan, out, run)


def write_contrast(plan: ContrastPlan, out: str | Path, run: Execute = perform_here) -> Result:
    """Do what a plan says, and write the result into the folder `out`; `run` does the work, as for `mine_contrast`."""

    def find(phases: Phases) -> Findings:
        contrast = features_of_sets if plan.of == "features" else edges_of_sets
        return contrast(phases, plan.store, plan.sets, plan.measure, plan.settings).findings()

    settings = plan.settings
    options = {
        **plan.asked,
        "of": plan.of,
        "measure": plan.measure,
        **{name: getattr(settings, name) for name in ("test", "q", "min_clusters", "permutations", "seed")},
    }
    given = {"memory_gb": plan.memory_gb}
    return mine_in_phases(out, "contrast", plan.prompts, options, find, run, plan.temporary_bytes, given)


def _sets(store: Store, conditions: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    """Return the ids of both sets. Raises ConfigError for sets without conditions or prompts, and for common ones."""
    table = store.prompts
    if not conditions["a"]:
        raise ConfigError("set a has no conditions: give some, such as language=fr, as --a")
    if conditions["where"]:
        table = table.where(rows_meeting(table, conditions["where"]))
    found: dict[str, list[str]] = {}
    for name in ("a", "b"):
        if conditions[name]:
            ids = table["id"][rows_meeting(table, conditions[name])].tolist() if len(table) else []
        else:
            in_a = {*found["a"]}
            ids = [prompt for prompt in table["id"].tolist() if prompt not in in_a]
        if not ids:
            every = [*conditions["where"], *conditions[name]] or ["anything else than set a"]
            raise ConfigError(
                f"set {name} has no prompts: none of {len(store):,} of {store.url} meets {' '.join(every)}"
            )
        found[name] = ids
    return two_sets(found["a"], found["b"])
