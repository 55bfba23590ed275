"""Names of sites for people: `feature 2:46`, `error of layer 2`, and tokens and targets by their text.

Axes: I prompt of a part range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..graph.nodes import NodeKind
from .prompts import ChosenPrompts
from .sites import Sites

_READ_ROWS = 1_000_000


def site_names(prompts: ChosenPrompts, sites: Sites, numbers: npt.NDArray[np.integer]) -> list[str]:
    """Return the name of each of these sites. Reads the tokens and the targets of all prompts if some are among them.

    A token without a known id, and a target that is not the logit of one token, has no text.
    """
    kind, layer, feature = (values[numbers].tolist() for values in (sites.kind_I, sites.layer_I, sites.feature_I))
    tokens = _token_texts(prompts) if NodeKind.TOKEN in kind else {}
    targets = _target_texts(prompts) if NodeKind.TARGET in kind else {}
    found = []
    for of_kind, of_layer, of_feature in zip(kind, layer, feature, strict=True):
        match NodeKind(of_kind):
            case NodeKind.FEATURE:
                found.append(f"feature {of_layer}:{of_feature}")
            case NodeKind.ERROR:
                found.append(f"error of layer {of_layer}")
            case NodeKind.TOKEN:
                found.append(f"token {tokens[of_feature]!r}" if of_feature in tokens else "token of unknown id")
            case NodeKind.TARGET:
                found.append(f"target {targets[of_feature]!r}" if of_feature in targets else "target without a token")
    return found


def _token_texts(prompts: ChosenPrompts) -> dict[int, str]:
    """Return the text of each token id; the smallest one if, in an imported store, an id has several."""
    texts: dict[int, str] = {}
    for own, _ in prompts.ranges("num_tokens", rows=_READ_ROWS):
        ids = own.part.read({"tokens/token": own.rows("num_tokens")})["tokens/token"]
        distinct, first = np.unique(np.stack([ids, own.tokens.codes]), axis=1, return_index=True)
        for (token, _), place in zip(distinct.T.tolist(), first.tolist(), strict=True):
            _add(texts, token, own.tokens.names[own.tokens.codes[place]])
    return texts


def _target_texts(prompts: ChosenPrompts) -> dict[int, str]:
    """Return the label of each target's token id; the smallest one if an id has several."""
    texts: dict[int, str] = {}
    labels: Sequence[list[str]] = prompts.store.prompt_table(prompts.ids, ["id", "targets"])["targets"].tolist()
    for own, rank_I in prompts.ranges("num_targets", rows=_READ_ROWS):
        ids = own.part.read({"targets/token_id": own.rows("num_targets")})["targets/token_id"].tolist()
        names = [label for rank in rank_I.tolist() for label in labels[rank]]
        for token, label in zip(ids, names, strict=True):
            _add(texts, token, label)
    return texts


def _add(texts: dict[int, str], token: int, text: str) -> None:
    if token >= 0:
        texts[token] = min(text, texts.get(token, text))
