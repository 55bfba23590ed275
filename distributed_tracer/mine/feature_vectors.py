"""FeatureVectors: what features read from and write to the residual stream, from weight files without a model.

Scales are left out: a feature j of layer l reads along U[j], and a feature i writes V[i, m] at layer m, as section 6 of
store/FORMAT.md defines them, with the weights of the norms between the residual stream and the transcoders.

Axes: F feature requested, X vector or pair of vectors, D model width, L layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StoreMismatch
from ..shapes import TranscoderShape
from ..store.format.run_file import changed_keys, check_traced
from ..store.reader import Store

if TYPE_CHECKING:
    import torch

    from ..model.norm_weights import TranscoderNorms
    from ..transcoder.base import Transcoders

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]
_NUMBERS = 1 << 22
"""Numbers of vectors that are multiplied at once: 32 MiB in float64."""


def feature_vectors(store: Store, transcoders: str | None = None, model: str | None = None) -> FeatureVectors:
    """Return the vectors of the features with which a store was traced, read from files when they are used.

    `transcoders` and `model` say where the files are, if they are not where they were when the store was made. Of the
    model only its config and the weights of norms are read, and nothing if no norm is between transcoders and residual
    stream. Raises StoreMismatch for other files than those of the store, and for imported graphs; and TranscoderError
    and ModelError for files that are missing or malformed.
    """
    from ..model.norm_weights import needs_norms, transcoder_norms
    from ..transcoder.load import transcoders_by_layer

    check_traced(store.info, "what features read and write")
    identity = store.info["identity"]
    places = {"transcoders": transcoders or identity.get("transcoders"), "model": model or identity.get("model")}
    for what, place in places.items():
        if not isinstance(place, str):
            raise ConfigError(f"{store.url} does not say which {what} it was made with: name them with --{what}")
    dtype = str(identity.get("forward_dtype", "float32"))
    loaded = transcoders_by_layer(places["transcoders"], dtype)
    _check_same(store, loaded.shape, {"transcoders": places["transcoders"]})
    if not needs_norms(loaded.shape):
        return FeatureVectors(loaded, None)
    norms = transcoder_norms(places["model"], loaded.shape, dtype)
    _check_same(store, loaded.shape, {"model": places["model"]})
    return FeatureVectors(loaded, norms)


def _check_same(store: Store, shape: TranscoderShape, places: dict[str, str]) -> None:
    """Raise StoreMismatch if files are not those with which the graphs were traced, as far as the store tells."""
    from ..artifacts.local_files import identity_of, model_files, transcoder_files

    look = {"transcoders": transcoder_files, "model": model_files}
    content = identity_of({what: look[what](place) for what, place in places.items()})["content"]
    changed = changed_keys(store.info.get("content"), content)
    recorded = list(store.info.get("num_features", shape.features_L))
    if recorded != list(shape.features_L):
        changed.append(f"features of each layer: {recorded} in the store, {list(shape.features_L)} here")
    if changed:
        lines = "\n  ".join(changed)
        raise StoreMismatch(
            f"{store.url} was made with other files:\n  {lines}\n  Give the transcoders and the model of this store."
        )


class FeatureVectors:
    """The vectors along which features read, and those that they write, in float64."""

    def __init__(self, transcoders: Transcoders, norms: Sequence[TranscoderNorms] | None = None) -> None:
        """Combine transcoders with the norms of each layer; None if there are no norms between them and the residual
        stream."""
        self.transcoders, self.norms = transcoders, norms
        self.shape = transcoders.shape

    def __repr__(self) -> str:
        return f"<FeatureVectors of {self.transcoders!r}>"

    def read(self, layer: int, features_F: Ints) -> Floats:
        """Return the vectors along which features of `layer` read from the residual stream: U, float64 [F, D]."""
        rows_FD, _ = self.transcoders.encoder_rows(layer, self._index(layer, features_F))
        return self._numpy(self._through(layer, rows_FD, "read"))

    def written(self, layer: int, features_F: Ints, output_layer: int) -> Floats:
        """Return what features of `layer` add to the residual stream at `output_layer`, for an activation of 1: V,
        float64 [F, D]."""
        rows_FD = self.transcoders.decoder_rows(layer, self._index(layer, features_F), output_layer)
        return self._numpy(self._through(output_layer, rows_FD, "write"))

    def writes_below(self, layer: int, reader: int) -> range:
        """Return the layers at which features of `layer` write what a feature of the layer `reader` can read."""
        written = self.shape.writes_to(layer)
        return range(written.start, min(written.stop, reader))

    def through_skip(self, layer: int, gradient_XD: Floats) -> Floats | None:
        """Return the gradients before the MLP of `layer`, through its linear skip alone, of gradients after it.

        Both are float64 [X, D], without the scales of the norms. None if the transcoder has no skip.
        """
        import torch

        from ..threads import product

        matrix = self.transcoders.skip(layer)
        if matrix is None:
            return None
        g_XD = torch.from_numpy(gradient_XD)
        norms = None if self.norms is None else self.norms[layer]
        if norms is not None and norms.write is not None:
            g_XD = norms.write.vjp(g_XD)
        g_XD = product(g_XD, matrix.double().cpu())
        return self._numpy(g_XD if norms is None or norms.read is None else norms.read.vjp(g_XD))

    def _through(self, layer: int, rows_FD: torch.Tensor, end: str) -> torch.Tensor:
        rows_FD = rows_FD.double().cpu()
        norm = None if self.norms is None else getattr(self.norms[layer], end)
        if norm is None:
            return rows_FD
        found: torch.Tensor = norm.vjp(rows_FD) if end == "read" else norm.jvp(rows_FD)
        return found

    def _index(self, layer: int, features_F: Ints) -> torch.Tensor:
        import torch

        number = self.shape.features_L[layer]
        if len(features_F) and not 0 <= int(features_F.min()) <= int(features_F.max()) < number:
            wrong = int(features_F[(features_F < 0) | (features_F >= number)][0])
            raise ConfigError(f"layer {layer} has {number:,} features; there is no feature {wrong}")
        return torch.from_numpy(features_F.astype(np.int64))

    @staticmethod
    def _numpy(tensor: torch.Tensor) -> Floats:
        found: Floats = tensor.contiguous().numpy(force=True)
        return found


def pair_products(a_FD: Floats, b_FD: Floats, a_X: Ints, b_X: Ints) -> Floats:
    """Return the inner product of rows a_X[n] of `a_FD` and b_X[n] of `b_FD`, for each n: float64 [X].

    Each product is added up in the same order whatever the other pairs are, so that its bits depend on the two vectors
    alone; a matrix product would not keep this promise.
    """
    found_X = np.empty(len(a_X))
    step = max(1, _NUMBERS // max(1, a_FD.shape[1]))
    for start in range(0, len(a_X), step):
        own = slice(start, start + step)
        np.einsum("xd,xd->x", a_FD[a_X[own]], b_FD[b_X[own]], out=found_X[own])
    return found_X
