"""Dark matter: how much influence ends in what the transcoders do not explain, and in which layers."""

from __future__ import annotations

from math import isnan

import numpy as np

from ..store.reader import Store
from ..table import Table


def dark_matter(store: Store) -> Table:
    """Return the share of all influence that ends in errors, by layer, from the scores before pruning.

    Columns: layer, prompts, mean_error_share, max_error_share, and max_prompt, the prompt with this maximum. The means
    of all layers add up to the mean of `prompts["error_share"]`. Prompts whose shares are not known, as those of
    imported graphs may be, are left out, and so are layers of which no share is known.
    """
    ids, shares = store.prompts["id"], store.prompts["error_share_L"]
    num_layers = max(map(len, shares), default=0)
    rows = []
    for layer in range(num_layers):
        having = [(share_L[layer], i) for i, share_L in enumerate(shares) if layer < len(share_L)]
        having = [(share, i) for share, i in having if not isnan(share)]
        if not having:
            continue
        most, where = max(having, key=lambda pair: pair[0])
        rows.append((layer, len(having), float(np.mean([share for share, _ in having])), most, ids[where]))
    dtypes = {"layer": "i2", "prompts": "i8", "mean_error_share": "f8", "max_error_share": "f8", "max_prompt": "O"}
    return Table({name: np.array([row[i] for row in rows], dtype) for i, (name, dtype) in enumerate(dtypes.items())})
