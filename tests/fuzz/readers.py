"""Every reader of outside input, as a function of bytes that must return or raise a TracerError, soon and in few words.

A reader's `seeds` are whole inputs, from which others are made; what once failed is in `failed/READER/`.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import annotation_files
import graph_files
import model_files
import numpy as np
import pyarrow
from profiles import write_profile
from pyarrow import parquet

from distributed_tracer.artifacts.checkpoint_files import INDEX, damaged, shards
from distributed_tracer.artifacts.location import read_config
from distributed_tracer.config import CorpusConfig
from distributed_tracer.corpus.reader import read_prompts
from distributed_tracer.errors import TracerError
from distributed_tracer.graph.labels import Labels
from distributed_tracer.intervene.parse_settings import parse_settings
from distributed_tracer.intervene.supernode import Feature, Supernode
from distributed_tracer.intervene.viewer_supernodes import groups_of_file, groups_of_url
from distributed_tracer.labels.label_file import read_label_file
from distributed_tracer.model.norm_weights import read_weights
from distributed_tracer.ops.bundle.bundle import remove_stale_wheels
from distributed_tracer.ops.bundle.manifest import NAME, Manifest, problems, read_manifest, summary
from distributed_tracer.profile.feature_profile import Context, FeatureProfile
from distributed_tracer.profile.reader import open_profile
from distributed_tracer.prompt import TargetSpec
from distributed_tracer.redact import redacted, redacted_url
from distributed_tracer.runtime.telemetry.untrusted_text import in_short, plain_lines
from distributed_tracer.store.read.where import rows_meeting, values_of
from distributed_tracer.table import Table
from distributed_tracer.transcoder.load import transcoder_shape
from distributed_tracer.transcoder.tensor_files import TensorRef, map_rows, read, read_headers

FAILED = Path(__file__).with_name("failed")
LONGEST_MESSAGE = 4_000
Read = Callable[[bytes, Path], None]


@dataclass(frozen=True)
class Reader:
    """How to read, in an empty folder, and what whole inputs look like."""

    read: Read
    seeds: tuple[bytes, ...]
    seconds: float = 10.0
    """Seconds of a processor after which reading one input counts as a failure."""


def checked(reader: Reader, data: bytes, folder: Path) -> str:
    """Read; the message of the error, or nothing. Anything but a TracerError of bounded length passes through."""
    try:
        reader.read(data, folder)
    except TracerError as error:
        message = str(error)
        assert message, "an error without a word"
        assert len(message) < LONGEST_MESSAGE, f"an error of {len(message)} characters"
        assert all(c.isprintable() or c == "\n" for c in message), f"unprintable characters in {message!r}"
        return message
    return ""


def mutated(data: bytes, others: tuple[bytes, ...], rng: random.Random) -> bytes:
    """The input with a few things changed."""
    for _ in range(rng.choice((0, 1, 1, 2, 4, 8))):
        if data[:1] in (b"{", b"[") and rng.random() < 0.5:
            data = with_another_value(data, rng)
            continue
        i, j = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        j = min(j, i + rng.choice((1, 4, 16, 1000)))
        match rng.randrange(7):
            case 0:
                data = data[:i] + data[j:]
            case 1:
                data = data[:i] + rng.randbytes(rng.choice((1, 2, 8))) + data[j:]
            case 2:
                data = data[:i] + data[i:j] * rng.choice((2, 3, 100)) + data[j:]
            case 3:
                data = data[:i] + rng.choice(PIECES) + data[i:]
            case 4:
                data = data[:i] + rng.choice(PIECES) + data[j:]
            case 5:
                other = rng.choice(others)
                at = rng.randint(0, len(other))
                data = data[:i] + other[at : at + 100] + data[j:]
            case 6 if i < len(data):
                data = data[:i] + bytes([data[i] ^ 1 << rng.randrange(8)]) + data[i + 1 :]
    return data[:100_000]


def with_another_value(data: bytes, rng: random.Random) -> bytes:
    """JSON with one of its values changed, taken out or put elsewhere; what is no JSON stays."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places = list(_places(document))
    if not places:
        return data
    holder, key = rng.choice(places)
    match rng.randrange(4):
        case 0:
            del holder[key]
        case 1:
            other, there = rng.choice(places)
            if key in holder if isinstance(holder, dict) else key < len(holder):
                holder[key] = json.loads(json.dumps(other[there]))
        case _:
            holder[key] = rng.choice(VALUES)
    return json.dumps(document).encode()


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ():
        yield holder, key
        yield from _places(holder[key])


VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        3,
        7,
        2**31,
        2**63,
        10**308,
        10**400,
        0.5,
        -0.0,
        1e308,
        float("nan"),
        float("inf"),
    ),
    *("", "x", "/", "../x", "1", "\ud800", "\x1b[2J", "\n", "auto", "none", "default", "x" * 10_000),
    *([], {}, [[]], [None], [1, 2, 3], ["a", "a"], {"a": 1}, {"a": {"a": []}}, [0] * 1000, [{}] * 100, [-1] * 4),
)

PIECES = tuple(
    piece.encode("utf-8", "surrogatepass")
    for piece in (
        *("[", "]", "{", "}", '"', ",", ":", "\n", "\r", "\t", " ", "=", ">=", "'", "\\", "\x00", "\x1b[2J", "\u2028"),
        *("null", "true", "NaN", "-Infinity", "0", "-1", "1e308", "1e999", "-0.0", "0x1F", "1_000", "١", "1:30:30"),
        *("9" * 400, "9" * 5000, "[" * 70, "[" * 1200, '{"a":' * 70, "1:" * 300, "\\ud800", "\ud800", "\ufeff", "é"),
        *(
            "&a ",
            "*a",
            "<<: ",
            "!!int ",
            "!!float ",
            "!!timestamp ",
            "!!binary ",
            "!!omap ",
            "!!set ",
            "- ",
            "? ",
            "=: ",
        ),
        *('"id"', '"text"', '"tokens"', '"targets"', '"messages"', '"direction"', '"feature"', '"weight"', "..", "/"),
        *(
            "layer_0.safetensors",
            "transcoders: ",
            "k: ",
            "F32",
            "BF16",
            "<f4",
            "|O",
            "(3,)",
            "(-1,)",
            "(9" + "9" * 30 + ",)",
        ),
    )
)


# prompts


def read_corpus(name: str, data: bytes, folder: Path) -> None:
    path = folder / name
    path.write_bytes(data)
    for prompt in read_prompts(CorpusConfig(str(path), on_bad_prompt="record")):
        assert len(getattr(prompt, "reason", "")) < LONGEST_MESSAGE


def read_compressed(data: bytes, folder: Path) -> None:
    read_corpus(f"p.jsonl.{('gz', 'bz2', 'xz', 'zst')[data[0] % 4 if data else 0]}", data[1:], folder)


def parquet_file(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


PARQUET = (
    parquet_file({"text": ["Fact: the capital of Texas is"]}, compression="none", use_dictionary=False),
    parquet_file({"id": [str(n) for n in range(200)], "text": ["é"] * 200, "n": list(range(200))}, compression="zstd"),
    parquet_file({"tokens": [[1, 2], None, [3]], "targets": [["a"], [], None]}, compression="snappy"),
    parquet_file(
        {"messages": [[{"role": "user", "content": "x"}]], "when": [datetime(2024, 5, 31)], "b": [b"x"], "d": [1.5]},
        compression="gzip",
        data_page_version="2.0",
    ),
)
JSONL = b"\n".join(
    json.dumps(row).encode()
    for row in (
        {
            "id": "a",
            "text": "Fact: the capital of Texas is",
            "targets": ["Austin - Dallas", 5],
            "family": "x",
            "n": 2.5,
        },
        {"tokens": [1, 2, 3], "targets": [{"token": 5, "position": 2, "weight": 0.5, "label": "x"}], "m": [[{"k": 1}]]},
        {"messages": [{"role": "user", "content": "Texas?"}], "targets": [{"feature": [2, 7, 117]}]},
        {"id": 7, "text": "é", "targets": [{"direction": [0.1, -2e-5]}]},
    )
)
CSV = b'id,text,tokens,targets,family\na,"the ""capital"",\nof",,Austin,x\nb,,1 2 3,"[5, ""Austin""]",\n'


# models and transcoders


def read_circuit_tracer(data: bytes, folder: Path) -> None:
    (folder / "config.yaml").write_bytes(data)
    (folder / "layer_0.safetensors").write_bytes(safetensors(LAYER))
    transcoder_shape(str(folder))


def read_folder_of(config: str, weights: str, tensors: dict[str, list[int]], data: bytes, folder: Path) -> None:
    """A configuration beside weights, in a folder of one layer."""
    inner = folder / "layers.0.mlp"
    inner.mkdir(exist_ok=True)
    (inner / config).write_bytes(data)
    (inner / weights).write_bytes(safetensors(tensors))
    transcoder_shape(str(folder))


def read_configs(data: bytes, folder: Path) -> None:
    for name in ("c.yaml", "c.json"):
        (folder / name).write_bytes(data)
    read_config(folder / ("c.json" if data[:1] in b"{[" else "c.yaml"))


NORM = "model.layers.0.norm.weight"


def read_index(data: bytes, folder: Path) -> None:
    (folder / "a.safetensors").write_bytes(safetensors(LAYER))
    (folder / INDEX).write_bytes(data)
    assert all(len(sentence) < LONGEST_MESSAGE for sentence in damaged(folder, ["a.safetensors", INDEX]))
    shards(folder / INDEX)


def read_safetensors(data: bytes, folder: Path) -> None:
    """The file as it is; where it begins with a brace, a header with its length in front and some data behind."""
    path = folder / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(data)) + data + bytes(68) if data.startswith(b"{") else data)
    assert all(len(sentence) < LONGEST_MESSAGE for sentence in damaged(folder, [path.name]))
    read_all(path)


def read_norm(data: bytes, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(data)
    read_weights("m", folder, [NORM])


def read_npz(data: bytes, folder: Path) -> None:
    """The file as it is; where it begins as an array does, an archive of that one."""
    path = folder / "w.npz"
    if data.startswith(b"\x93"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("W.npy", data)
    else:
        path.write_bytes(data)
    read_all(path)


def read_all(path: Path) -> None:
    known = ("F64", "F32", "F16", "BF16")
    for key, header in list(read_headers(path).items())[:4]:
        if header.dtype in known:
            read(TensorRef(path, key))
            read(TensorRef(path, key), range(1))
            map_rows(TensorRef(path, key))


def safetensors(tensors: dict[str, list[int]]) -> bytes:
    """A file of float32 zeros."""
    header, end = {}, 0
    for name, shape in tensors.items():
        begin, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


LAYER = {"W_enc": [3, 2], "b_enc": [3], "W_dec": [3, 2], "b_dec": [2]}
TURNED = LAYER | {"W_enc": [2, 3]}
LETTERED = {"W_E": [2, 3], "b_E": [3], "W_D": [3, 2], "b_D": [2]}
MODULES = {"encoder.weight": [3, 2], "encoder.bias": [3], "W_dec": [3, 2], "b_dec": [2]}
YAML = b"""model_kind: transcoder_set
feature_input_hook: mlp.hook_in
feature_output_hook: mlp.hook_out
transcoders: [layer_0.safetensors]
activation: topk
k: 2
notes: &n {a: 1, b: [x, 1.5, 2024-01-02, true, ~]}
wandb: {<<: *n, c: 0x1f}
"""
SAELENS = json.dumps(
    {
        "architecture": "transcoder",
        "hook_name": "blocks.0.ln2.hook_normalized",
        "hook_name_out": "blocks.0.hook_mlp_out",
        "d_in": 2,
        "metadata": {"model_name": "m", "prepend_bos": True},
    }
).encode()
OPENMOSS = json.dumps(
    {
        "sae_type": "sae",
        "hook_point_in": "blocks.0.ln2.hook_normalized",
        "hook_point_out": "blocks.0.hook_mlp_out",
        "act_fn": "topk",
        "top_k": 2,
        "norm_activation": "inference",
    }
).encode()
SPARSIFY = json.dumps({"activation": "topk", "k": 2, "transcode": True, "skip_connection": False}).encode()


# bundles


def read_bundle(data: bytes, folder: Path) -> None:
    """As `bundle` and `verify` do with one that is there."""
    (folder / "model").mkdir()
    (folder / "model" / "a.json").write_text("{}")
    (folder / "wheels").mkdir()
    (folder / NAME).write_bytes(data)
    manifest = read_manifest(folder)
    assert all(len(sentence) < LONGEST_MESSAGE for sentence in problems(folder, manifest))
    assert len(summary(manifest)) < LONGEST_MESSAGE
    manifest.write(folder)
    assert read_manifest(folder) == manifest
    remove_stale_wheels(folder, manifest, {"a": "1"})


FILES = {"model/a.json": {"sha256": "4f" * 32, "bytes": 2}, "wheels/c-1-py3-none-any.whl": {"sha256": "", "bytes": 1}}
PARTS = {"model": {"path": "model", "origin": "org/name", "revision": None}}
MANIFEST = json.dumps({"format": 1, **vars(Manifest(packages={"python": "3.11"}, parts=PARTS, files=FILES))}).encode()


# what others say


def read_foreign_text(data: bytes, folder: Path) -> None:
    """Logs and messages of a job's server, as they come and as an error's."""
    text = data.decode("utf-8", "replace")
    shown = plain_lines(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert in_short(RuntimeError(text)).isprintable()


# what people type or save


def read_groups(data: bytes, folder: Path) -> None:
    (folder / "graph.json").write_bytes(data)
    groups_of_file(folder / "graph.json", num_layers=26)


def read_groups_address(data: bytes, folder: Path) -> None:
    groups_of_url("http://localhost/?" + data.decode("utf-8", "replace"), num_layers=26)


def read_labels(name: str, data: bytes, folder: Path) -> None:
    (folder / name).write_bytes(data)
    found = read_label_file(str(folder / name))
    assert all(len(row.reason) < LONGEST_MESSAGE for row in found.bad)
    Labels.of(found.rows).text(0, 1)


def read_where(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    rows_meeting(PROMPTS, text)
    values_of(PROMPTS, text)


def read_target(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    TargetSpec.parse(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    TargetSpec.parse(value)


def read_settings(data: bytes, folder: Path) -> None:
    known = [Supernode("Texas", (Feature(2, 9, 117),)), Supernode("capital", (Feature(1, slice(2, 5), 3),))]
    parse_settings(data.decode("utf-8", "replace").split("\n"), known)


def read_addresses(data: bytes, folder: Path) -> None:
    """Whatever surrounds an address, its password and signature are not shown."""
    text = data.decode("utf-8", "replace")
    for shown in (
        redacted(f"{text} http://alice:PASSWORD@host/x?sig=SIGNATURE {text}"),
        redacted(f"{text}s3://alice:PASSWORD@host/x?sig=SIGNATURE"),
        redacted_url(f"https://alice:PASSWORD@host/{text}?sig=SIGNATURE"),
    ):
        assert "PASSWORD" not in shown
        assert "SIGNATURE" not in shown
    assert redacted(redacted(text)) == redacted(text)


FLOATS = np.ones((2, 3), "f4")
PROMPTS = Table(
    {
        "id": ["a", "b"],
        "num_tokens": np.array([3, 4]),
        "replacement": np.array([0.5, float("nan")]),
        "part": ["x", "x"],
        "topic": ["capitals", None],
        "mixed": [10**308, [1, {"k": 2}]],
        "flag": [True, "2024-05-31"],
    }
)
GROUPS = {
    "supernodes": [["Texas", "20_15589_10"], ["state", "6_4012_7"]],
    "pinnedIds": "16_25_9",
    "clerps": [["886", "x"]],
}
GRAPH = {"qParams": GROUPS, "nodes": [{"node_id": "20_15589_10", "feature_type": "x", "activation": 7.5}]}

PICKLE = graph_files.record(graph_files.PT, "data.pkl")
ARRAY = graph_files.record(graph_files.NPZ, "active_features.npy")
MATRIX = graph_files.record(graph_files.NPZ, "adjacency.npy")
LABELS = b"""{"layer": 2, "index": 46, "text": "capital", "source": "me"}
{"modelId": "m", "layer": "5-transcoder-hp", "index": "3", "description": "x", "explanationModelName": "g"}
"""
LABEL_TABLE = b'layer,index,text,source\r\n2,46,"a ""b""\nc",me\r\n3,1,\xc3\xa9,\r\n'
LABEL_PARQUET = io.BytesIO()
parquet.write_table(pyarrow.table({"layer": [2, 3], "feature": [46, 1], "label": ["x", "y"]}), LABEL_PARQUET)


# profiles of features


def profile_document(folder: Path) -> bytes:
    context = Context(0, "p1", 1, 0, ("a", "b"), (0.0, 2.5))
    feature = FeatureProfile(0, 3, 2, 1, 60, 5, 2.5, 1.5, contexts=(context,), min_activation=0.5)
    return (write_profile(folder, [feature], {"model": "m"}) / "profile.json").read_bytes()


def read_profile(data: bytes, folder: Path) -> None:
    profile_document(folder)
    (folder / "profile.json").write_bytes(data)
    profile = open_profile(folder)
    assert len(repr(profile) + profile._repr_html_()) < LONGEST_MESSAGE
    for feature in profile.features():
        assert profile.feature(feature.layer, feature.feature) == feature
    profile.table()


with tempfile.TemporaryDirectory() as whole_profile:
    PROFILE = profile_document(Path(whole_profile))


READERS = {
    "jsonl": Reader(partial(read_corpus, "p.jsonl"), (JSONL,)),
    "csv": Reader(partial(read_corpus, "p.csv"), (CSV, b'text,messages\n,"[{""role"":""user"",""content"":""x""}]"\n')),
    "tsv": Reader(partial(read_corpus, "p.tsv"), (CSV.replace(b",", b"\t"),)),
    "text": Reader(partial(read_corpus, "p.txt"), (b"first\n\n second \r\n\xef\xbb\xbfthird",)),
    "parquet": Reader(partial(read_corpus, "p.parquet"), PARQUET),
    "compressed": Reader(read_compressed, (b"\x00" + gzip.compress(JSONL, mtime=0),)),
    "yaml": Reader(read_configs, (YAML, b"x: &a [1, 2]\ny: *a\n", b"a: 0b11\nb: 1:30\nc: !!binary aGk=\n? x\n: y\n")),
    "circuit-tracer": Reader(read_circuit_tracer, (YAML,)),
    "saelens": Reader(partial(read_folder_of, "cfg.json", "sae_weights.safetensors", TURNED), (SAELENS,)),
    "openmoss": Reader(partial(read_folder_of, "config.json", "sae_weights.safetensors", LETTERED), (OPENMOSS,)),
    "sparsify": Reader(partial(read_folder_of, "cfg.json", "sae.safetensors", MODULES), (SPARSIFY,)),
    "index": Reader(read_index, (json.dumps({"weight_map": {"W_enc": "a.safetensors", "x": "b"}}).encode(),)),
    "safetensors": Reader(read_safetensors, (safetensors(LAYER), safetensors(LAYER)[8:-68])),
    "norm": Reader(read_norm, (safetensors({NORM: [4]}), safetensors({NORM.removeprefix("model."): [4], "b": [1]}))),
    "npz": Reader(read_npz, (npz(W=FLOATS, b=np.ones(3)), npy(FLOATS), npy(np.asfortranarray(FLOATS)))),
    "model-config": Reader(model_files.read_model_config, model_files.CONFIGS),
    "whole-config": Reader(partial(model_files.read_whole_model, "config.json"), model_files.WHOLE_CONFIGS),
    "generation": Reader(partial(model_files.read_whole_model, "generation_config.json"), model_files.GENERATION),
    "tokenizer": Reader(partial(model_files.read_tokenizer, "tokenizer.json"), model_files.TOKENIZERS),
    "tokenizer-config": Reader(
        partial(model_files.read_tokenizer, "tokenizer_config.json"), model_files.TOKENIZER_CONFIGS
    ),
    # Jinja compiles a sum of up to 100 terms in as many as 15 seconds; see SECURITY.md for how long templates may run.
    "chat-template": Reader(model_files.read_chat_template, (model_files.TEMPLATE,), seconds=60.0),
    "bundle": Reader(read_bundle, (MANIFEST,)),
    "foreign-text": Reader(
        read_foreign_text, (b"\x1b[31mred\x1b[0m 10%\r100%\n\x1b]0;title\x07x\x9b1m\t\x1bP1\x1b\\", b"see http://a:b@h/?x=1")
    ),
    "profile": Reader(read_profile, (PROFILE, PROFILE.partition(b',"sha256"')[0] + b"}")),
    "groups": Reader(read_groups, (json.dumps(GRAPH).encode(),)),
    "groups-address": Reader(read_groups_address, (b"supernodes=[[%22a%22,%221_2_3%22]]&pinnedIds=1_2_4&clerps=[]",)),
    "graph-pt": Reader(partial(graph_files.read_file, "g.pt"), (graph_files.PT,)),
    "graph-pickle": Reader(
        partial(graph_files.read_inside, graph_files.PT, PICKLE[0], "g.pt"), (PICKLE[1],)
    ),
    "graph-viewer": Reader(
        partial(graph_files.read_file, "g.json", options=graph_files.DROP), graph_files.VIEWERS
    ),
    "graph-node-link": Reader(partial(graph_files.read_file, "g.json"), (graph_files.NODE_LINK,)),
    "graph-npz": Reader(partial(graph_files.read_file, "g.npz"), (graph_files.NPZ,)),
    "graph-npy": Reader(
        partial(graph_files.read_inside, graph_files.NPZ, ARRAY[0], "g.npz"), (ARRAY[1],)
    ),
    "graph-matrix": Reader(
        partial(graph_files.read_inside, graph_files.NPZ, MATRIX[0], "g.npz"), (MATRIX[1],)
    ),
    "graph-nodes": Reader(
        partial(graph_files.read_table, graph_files.TABLES, "nodes.parquet"), (graph_files.TABLES["nodes.parquet"],)
    ),
    "graph-edges": Reader(
        partial(graph_files.read_table, graph_files.TABLES, "edges.parquet"), (graph_files.TABLES["edges.parquet"],)
    ),
    "labels": Reader(partial(read_labels, "l.jsonl"), (LABELS,)),
    "labels-csv": Reader(partial(read_labels, "l.csv"), (LABEL_TABLE,)),
    "labels-parquet": Reader(partial(read_labels, "l.parquet"), (LABEL_PARQUET.getvalue(),)),
    "annotations": Reader(annotation_files.read_annotations, annotation_files.LINES),
    "annotations-sealed": Reader(annotation_files.read_sealed, annotation_files.LINES),
    "where": Reader(
        read_where,
        (b"topic=capitals", b"replacement>=0.8", b'mixed=[1, {"k": 2}]', b"flag<=2024-05-31", b"num_tokens = 3"),
    ),
    "targets": Reader(
        read_target,
        (b"Austin - Texas", b"1234", b'{"direction": [0.1]}', b'{"feature": [2, 7, 1]}'),
    ),
    "settings": Reader(read_settings, (b"2:9:117=x0\nTexas=x-2", b"2:5::117=3.5", b"2=1e3")),
    "addresses": Reader(read_addresses, (b"see http://host/x?y, s3://b/k@v and (ftp://u:p@h)", b"://", b"a'b:80/@?#")),
}  # fmt: skip
