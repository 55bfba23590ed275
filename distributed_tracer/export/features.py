"""Export of a profile as the feature files that circuit-tracer's viewer reads, plain or packed.

Plain: one file `CANTOR.json` for each feature, where CANTOR is the Cantor pairing of layer and index by which graphs of
the viewer name features. Packed: `features/index.json.gz` has the name and the offsets of one file for each layer; at
each offset of `features/layer_N.bin` is a little-endian uint32 and as many bytes of zlib with the JSON. The viewer
reads from one feature's offset to the next one's, so there is one for every feature and one for the end.

Features that are active nowhere have files too, with the tokens that they promote: where the viewer finds no file, or
no such tokens, it goes on showing those of the feature before.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import ConfigError
from ..graph.viewer_groups import cantor_pair
from ..profile.feature_profile import Context, FeatureProfile
from ..profile.reader import Profile
from .atomic import check_folder, new_folder
from .viewer import elsewhere

_BINS = 40
_PERCENTILES = 100
_BYTE = re.compile("<0x([0-9A-F]{2})>")


def export_feature_files(profile: Profile, out: str | Path, packed: bool = False) -> list[str]:
    """Write a profile into the new folder `out`, and return lines that say what the files lack and how they are found.

    Raises ConfigError for a path that cannot be written or at which the viewer would not look, and ProfileError for a
    damaged profile.
    """
    destination = Path(out)
    check_folder(destination)
    if not packed and (found := elsewhere(f"./{destination.name}")):
        raise ConfigError(f"{found}: give the folder another name")
    name = str(profile.info.get("settings", {}).get("transcoders") or "unknown")
    with new_folder(destination) as folder:
        if packed:
            _write_packed(profile, folder / "features", name)
        else:
            for layer, count in _counts(profile).items():
                for number, record in enumerate(_records(profile, layer, count, name)):
                    (folder / f"{cantor_pair(layer, number)}.json").write_bytes(record)
    how = "serve it with features_dir=OUT/features" if packed else "put it beside the viewer's index.html"
    scan = "begins with /" if packed else "is ./ and the name of the folder"
    notes = [f"{how}; the metadata of graphs then need a scan that {scan}"]
    if profile.info.get("num_incomplete"):
        notes.append("activations that the store does not know are written as 0")
    return notes


def feature_record(feature: FeatureProfile, transcoders: str, intervals: int = 0) -> dict[str, Any]:
    """Return what the viewer shows of a feature.

    `intervals` is the number of quantiles of contexts beside the strongest; 0 is the highest one of its contexts. The
    histogram has bins of equal width, into which the counts of the profile's are spread evenly; it begins at 0 if all
    activations are equal. `quantile_values` are the 100 percentiles according to the same bins.
    """
    groups = groupby(feature.contexts, key=lambda context: context.quantile)
    intervals = intervals or max((context.quantile for context in feature.contexts), default=0)
    low, high = feature.min_activation, feature.max_activation
    if low == high:  # the viewer divides by their difference
        low, high = min(low, 0.0), max(high, 0.0)
    edges = np.linspace(low, high, _BINS + 1)
    cumulative = _cumulative(feature, edges)
    shares = np.arange(1, _PERCENTILES + 1) / _PERCENTILES
    return {
        "transcoder_id": transcoders,
        "index": feature.feature,
        "examples_quantiles": [
            {"quantile_name": _title(quantile, intervals), "examples": [_example(context) for context in contexts]}
            for quantile, contexts in groups
        ],
        "top_logits": [token.token for token in feature.promoted],
        "bottom_logits": [token.token for token in feature.suppressed],
        "act_min": low,
        "act_max": high,
        "quantile_values": [float(value) for value in _quantiles(feature, shares)],
        "histogram": [float(count) for count in np.diff(cumulative)],
        "activation_frequency": feature.density,
    }


def _title(quantile: int, intervals: int) -> str:
    if not quantile:
        return "Strongest"
    low, high = (round(100 * (1 - number / intervals)) for number in (quantile, quantile - 1))
    return f"Activations from {low}% to {high}%"


def _example(context: Context) -> dict[str, Any]:
    return {
        "tokens": [_with_escapes(token) for token in context.tokens],
        "tokens_acts_list": [0.0 if math.isnan(value) else value for value in context.activations],
        "train_token_ind": context.position - context.start,
        "is_repeated_datapoint": False,
    }


def _with_escapes(token: str) -> str:
    r"""Return a token with its bytes that are no text as `\xe6`, from which the viewer puts characters together."""
    return _BYTE.sub(lambda found: f"\\x{found[1].lower()}", token)


def _cumulative(feature: FeatureProfile, at: Any) -> Any:
    """Return how many activations are below each value, if those of a bin are spread evenly over it."""
    if feature.max_activation <= feature.min_activation or not feature.histogram:
        below = np.where(at > feature.max_activation, float(feature.num_active_tokens), 0.0)
        return np.append(below[:-1], float(feature.num_active_tokens))
    edges = np.clip(feature.bin_edges, feature.min_activation, feature.max_activation)
    return np.interp(at, edges, np.concatenate([[0], np.cumsum(feature.histogram)]))


def _quantiles(feature: FeatureProfile, shares: Any) -> Any:
    if not feature.histogram:
        return np.full(len(shares), feature.max_activation)
    edges = np.clip(feature.bin_edges, feature.min_activation, feature.max_activation)
    below = np.concatenate([[0], np.cumsum(feature.histogram)])
    distinct = np.append(np.diff(below) > 0, True)  # an empty bin has no quantile in it
    return np.interp(shares * below[-1], below[distinct], edges[distinct])


def _counts(profile: Profile) -> dict[int, int]:
    """Return how many features each layer has; where that is unknown, up to the last one that is active."""
    if known := profile.info.get("features_of_layers"):
        return dict(enumerate(known))
    table = profile.table()
    return {layer: int(table["feature"][table["layer"] == layer].max()) + 1 for layer in profile.layers}


def _write_packed(profile: Profile, folder: Path, name: str) -> None:
    folder.mkdir()
    index = {}
    for layer, count in _counts(profile).items():
        file_name = f"layer_{layer}.bin"
        with (folder / file_name).open("wb") as file:
            offsets = list(_write_layer(_records(profile, layer, count, name), file))
        index[str(layer)] = {"filename": file_name, "offsets": offsets}
    with gzip.GzipFile(folder / "index.json.gz", "wb", mtime=0) as file:
        file.write(_encoded(index))


def _write_layer(records: Iterator[bytes], file: BinaryIO) -> Iterator[int]:
    """Write every feature of a layer, and yield where each begins and where the last one ends."""
    for record in records:
        yield file.tell()
        packed = zlib.compress(record)
        file.write(struct.pack("<I", len(packed)) + packed)
    yield file.tell()


def _records(profile: Profile, layer: int, count: int, name: str) -> Iterator[bytes]:
    """Yield the JSON of every feature of a layer."""
    active, decoders = profile.features([layer]), profile.decoders(layer)
    intervals = int(profile.info.get("settings", {}).get("quantiles") or 0)
    feature, decoder = next(active, None), next(decoders, None)
    for number in range(count):
        record = _inactive(number, name)
        if decoder is not None and decoder[0] == number:
            record["top_logits"], record["bottom_logits"] = ([one.token for one in side] for side in decoder[1:])
            decoder = next(decoders, None)
        if feature is not None and feature.feature == number:
            record, feature = feature_record(feature, name, intervals), next(active, None)
        yield _encoded(record)


def _inactive(number: int, transcoders: str) -> dict[str, Any]:
    """Return the record of a feature that is active nowhere."""
    lists = ("examples_quantiles", "top_logits", "bottom_logits")
    return {
        "transcoder_id": transcoders,
        "index": number,
        **{name: [] for name in lists},
        "act_min": 0.0,
        "act_max": 1.0,
        "quantile_values": [],
        "histogram": [],
        "activation_frequency": 0.0,
    }


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
