from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_graphs import AWKWARD, assert_same, random_graph, with_added_columns

from distributed_tracer.errors import StoreError
from distributed_tracer.store.format.graph_columns import columns_of, graph_of
from distributed_tracer.store.format.schema import COLUMNS

GRAPH = random_graph("a")


@pytest.mark.parametrize("case", AWKWARD)
def test_columns_and_back_is_the_same_graph(case: str) -> None:
    assert_same(graph_of(columns_of(AWKWARD[case])), AWKWARD[case])


def test_there_is_a_column_for_each_array_of_the_format() -> None:
    assert list(columns_of(with_added_columns(GRAPH))) == list(COLUMNS)
    assert list(columns_of(GRAPH)) == [name for name, column in COLUMNS.items() if not column.added]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weight_E": GRAPH.weight_E.astype(np.float64)}, "edges/weight is float64, not float32"),
        ({"source_E": GRAPH.source_E.astype(np.int64)}, "edges/source is int64, not uint32"),
        ({"influence_N": GRAPH.influence_N[1:]}, r"nodes/influence has \d+ entries for \d+"),
        ({"source_E": GRAPH.source_E[1:]}, r"edges/source has \d+ entries for \d+"),
        ({"source_E": GRAPH.source_E + np.int32(1000)}, r"but there are \d+ nodes"),
        ({"source_E": -1 - GRAPH.source_E}, "sources run from -"),
        ({"metadata": {"x": {1, 2}}}, "metadata of prompt 'a' cannot be written as JSON"),
    ],
)
def test_a_graph_that_breaks_its_contract_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        columns_of(replace(GRAPH, **change))  # type: ignore[arg-type]
    assert "'a'" in str(caught.value)
