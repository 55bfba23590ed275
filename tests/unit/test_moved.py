"""Scripts of the version before find modules and names under their former names, and are told the new ones."""

from __future__ import annotations

import pickle
import re
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from types import MappingProxyType
from typing import Any

import pytest

import distributed_tracer
from distributed_tracer.evaluate.edge_effects import EdgeEffectMetric
from distributed_tracer.evaluate.job import EvaluationJob
from distributed_tracer.moved import MOVED, RENAMED, former_arguments, former_names
from distributed_tracer.store.reader import Store

FORMER = {new: old for old, new in MOVED.items()}


@pytest.mark.parametrize("former", MOVED)
def test_a_moved_module_is_found_and_its_new_name_said(former: str) -> None:
    new = import_module(f"distributed_tracer.{MOVED[former]}")
    sys.modules.pop(f"distributed_tracer.{former}", None)
    with pytest.warns(DeprecationWarning, match=re.escape(f"distributed_tracer.{former} is now {new.__name__}")):
        old = import_module(f"distributed_tracer.{former}")
    public = [name for name in vars(new) if not name.startswith("_")]
    assert all(getattr(old, name) is getattr(new, name) for name in public)


@pytest.mark.parametrize("module", RENAMED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_former_names_in_modules_stand_for_the_new_ones(module: str) -> None:
    old = import_module(f"distributed_tracer.{FORMER.get(module, module)}")
    for former, name in RENAMED[module].items():
        assert getattr(old, former) is getattr(import_module(f"distributed_tracer.{module}"), name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = old.nonsense


def test_a_name_that_changed_in_a_module_that_did_not_move_is_said() -> None:
    from distributed_tracer.plot import style

    with pytest.warns(
        DeprecationWarning, match=r"plot\.style\.save is now distributed_tracer\.plot\.style\.save_figure"
    ):
        assert style.save is style.save_figure


@former_names(old="new", begin="start")
@dataclass(frozen=True)
class Renamed:
    new: int
    other: int = 0

    def start(self, by: int) -> int:
        return self.new + by


def test_former_names_of_arguments_and_members_stand_for_the_new_ones() -> None:
    with pytest.warns(DeprecationWarning, match="old of Renamed is now new") as warned:
        found = Renamed(old=1, other=2)  # type: ignore[call-arg]
    assert warned[0].filename == __file__
    assert found == Renamed(1, 2)
    with pytest.warns(DeprecationWarning, match="begin of Renamed is now start"):
        assert found.begin(4) == 5  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match="old of Renamed is now new"):
        assert replace(found, old=3) == Renamed(3, 2)  # type: ignore[call-arg]
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_metric_written_for_the_version_before_is_used() -> None:
    class Halved(EdgeEffectMetric):
        def rows(self, graph: Any, *others: Any) -> Any:
            return super().rows, graph  # type: ignore[misc]

    class Alone:
        kind, settings = "own", MappingProxyType({"seed": 3})

        def rows(self, *given: Any) -> Any:
            return given

    for metric, name, settings in (
        (Halved(sources=4), "edges", {"sources": 4, "seed": 0}),
        (Alone(), "own", {"seed": 3}),
    ):
        with pytest.warns(DeprecationWarning, match="kind and rows of a metric are now name and eval") as warned:
            job = EvaluationJob("store", metric)  # type: ignore[arg-type]
        assert warned[0].filename == __file__
        assert (job.metric.name, job.metric.settings) == (name, settings)
    given: Any = ("graph", "model", "transcoders", 4)
    assert job.metric.evaluate_graph(*given) == given
    with pytest.warns(DeprecationWarning, match="members kind and rows"):
        halved = EvaluationJob("store", Halved()).metric
    with pytest.warns(DeprecationWarning, match="rows of EdgeEffectMetric is now evaluate_graph"):
        base, graph = halved.evaluate_graph(*given)  # type: ignore[misc]
    assert (base.__name__, graph) == ("evaluate_graph", "graph")


def test_the_former_name_of_a_jobs_metric_is_said() -> None:
    with pytest.warns(DeprecationWarning, match="measure of EvaluationJob is now metric"):
        job = EvaluationJob("store", measure=EdgeEffectMetric())  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="measure of EvaluationJob is now metric"):
        assert job.measure is job.metric  # type: ignore[attr-defined]


def test_former_names_of_arguments_are_taken_and_the_new_ones_said() -> None:
    @former_arguments(likeness="min_similarity")
    def group(name: str, min_similarity: float = 0.3) -> tuple[str, float]:
        return name, min_similarity

    with pytest.warns(DeprecationWarning, match="likeness of group is now min_similarity") as warned:
        assert group("a", likeness=0.5) == ("a", 0.5)  # type: ignore[call-arg]
    assert warned[0].filename == __file__
    assert group("a", 0.4) == group("a", min_similarity=0.4) == ("a", 0.4)


@pytest.mark.parametrize(("function", "former"), [("cluster_supernodes", "likeness"), ("load_transcoders", "slice")])
def test_arguments_that_changed_their_names_are_known(function: str, former: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{former} of {function} is now"), pytest.raises(TypeError):
        getattr(distributed_tracer, function)(**{former: None})


def test_part_manifests_of_a_store_are_found_under_their_former_name() -> None:
    store: Any = object.__new__(Store)
    store.__dict__ |= {"manifest": "one", "catalogue": None}
    with pytest.warns(DeprecationWarning, match="receipt of Store is now manifest"):
        assert store.receipt == "one"
