"""Prompt vectors: each prompt as a sparse vector over features, by which prompts are compared and grouped.

Axes: I prompt, F feature of these prompts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..errors import ConfigError, PromptNotFound
from ..names import hint, unknown
from ..store.reader import Store, prompt_list
from ..table import Table
from ..text import counted, listed
from .sum_by_key import as_keys, site_columns

_MEASURES = ("influence", "activation", "presence")


@dataclass(frozen=True, eq=False)
class PromptVectors:
    """Prompts as vectors over the features that are nodes of their graphs."""

    ids: list[str]
    """The prompt of each row."""
    features: Table
    """The layer and the feature of each column, ascending."""
    matrix_IF: csr_array
    """float64 [prompts, features]; a feature that is no node of a prompt's graph is not stored."""

    def __repr__(self) -> str:
        sizes = f"{counted(len(self.ids), 'prompt')} x {counted(len(self.features), 'feature')}"
        return f"<PromptVectors: {sizes}, {self.matrix_IF.nnz:,} values>"

    def nearest(self, prompt_id: str, top: int | None = 10) -> Table:
        """Return the other prompts by cosine similarity with one prompt, most similar first, then by id.

        Columns: prompt, cosine (from -1 to 1; 0 for a prompt without features). Raises PromptNotFound.
        """
        if prompt_id not in self.ids:
            raise PromptNotFound(f"no prompt {prompt_id!r} among these {len(self.ids)}{hint(prompt_id, self.ids)}")
        own = self.ids.index(prompt_id)
        unit_IF = self._unit()
        cosine_I = (unit_IF @ unit_IF[[own]].T).toarray().ravel()
        order = [i for i in np.lexsort((np.array(self.ids, dtype=np.str_), -cosine_I)) if i != own][:top]
        return Table({"prompt": [self.ids[i] for i in order], "cosine": cosine_I[order]})

    def cosine(self) -> npt.NDArray[np.float64]:
        """Return the cosine similarity of all pairs of prompts: float64 [prompts, prompts], dense.

        It is 0 for a prompt without features, also with itself.
        """
        unit_IF = self._unit()
        cosine_II: npt.NDArray[np.float64] = (unit_IF @ unit_IF.T).toarray()
        return cosine_II

    def _unit(self) -> csr_array:
        length_I = np.sqrt((self.matrix_IF * self.matrix_IF).sum(axis=1))
        scale_I = np.divide(1.0, length_I, out=np.zeros(len(self.ids)), where=length_I > 0)
        return csr_array(self.matrix_IF * scale_I[:, None])


def prompt_vectors(
    store: Store,
    prompt_ids: str | Iterable[str] | None = None,
    measure: Literal["influence", "activation", "presence"] = "influence",
) -> PromptVectors:
    """Return prompts as vectors over the features that are nodes of their graphs, whatever their positions.

    A value is the feature's influence, summed over positions; or its largest activation over positions; or 1. Rows are
    in the order of `prompt_ids` (default: sorted ids). Memory holds one value for each feature of each graph. Raises
    PromptNotFound, and ConfigError for an unknown measure and for imported graphs of which it is not known.
    """
    if measure not in _MEASURES:
        raise ConfigError(unknown("measure", measure, _MEASURES))
    ids = list(store) if prompt_ids is None else list(dict.fromkeys(prompt_list(prompt_ids)))
    number_of = {prompt: number for number, prompt in enumerate(ids)}
    of_node = "activation" if measure == "presence" else measure
    keys, values = [np.zeros((0, 3), np.int64)], [np.zeros(0)]
    for table in store.nodes(ids, ["prompt", "layer", "feature", of_node], {"kind": "feature"}):
        number = np.fromiter((number_of[prompt] for prompt in table["prompt"]), np.int64, len(table))
        found = _by_site(as_keys(table["layer"], table["feature"], number), table[of_node], measure)
        keys.append(found[0])
        values.append(found[1])
    key, value = np.concatenate(keys), np.concatenate(values)
    if unknown_I := sorted({ids[number] for number in key[np.isnan(value), 2]}):
        raise ConfigError(f"the {measure} of features is not known for {listed(unknown_I)}: try measure='presence'")
    sites, column = np.unique(key[:, :2], axis=0, return_inverse=True)
    matrix_IF = csr_array((value, (key[:, 2], column.reshape(-1))), shape=(len(ids), len(sites)))
    return PromptVectors(ids, Table(site_columns(sites)), matrix_IF)


def _by_site(
    keys: npt.NDArray[np.int64], of_node: npt.NDArray[Any], measure: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return distinct keys [n, (layer, feature, prompt)] and, for each, its value over all positions."""
    order = np.lexsort(keys.T[::-1])
    keys, of_node = keys[order], of_node[order].astype(np.float64)
    first = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)])) if len(keys) else order
    if measure == "presence":
        return keys[first], np.ones(len(first))
    joined = np.add.reduceat if measure == "influence" else np.maximum.reduceat
    return keys[first], joined(of_node, first) if len(first) else of_node
