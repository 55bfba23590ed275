"""The linear part of errors: planted in transcoders whose errors are linear, even or constant by construction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jobs_of_cases import LOCAL, job
from jobs_of_cases import write_prompts as write_rows
from safetensors.torch import load_file, save_file
from tiny import LAYERS, WIDTH, save_model, save_transcoders

from distributed_tracer.cli.main import main
from distributed_tracer.config import CorpusConfig, JobConfig, ModelConfig, StoreConfig, TraceConfig, TranscoderConfig
from distributed_tracer.errors import ConfigError, ResultError, StoreMismatch
from distributed_tracer.linear_errors import settings as settings_module
from distributed_tracer.linear_errors import worker as worker_module
from distributed_tracer.linear_errors.job import describe_dark_matter, layer_groups, mine_dark_matter
from distributed_tracer.linear_errors.settings import Corpus, LinearErrorSettings, new_prefixes
from distributed_tracer.linear_errors.worker import LinearErrorWorker
from distributed_tracer.mine.clusters import clusters_of
from distributed_tracer.mine.linear_errors import LayerErrors
from distributed_tracer.mine.prompts import choose_prompts
from distributed_tracer.mine.result import Result
from distributed_tracer.model.forward_cache import run_with_cache
from distributed_tracer.model.load import load_model
from distributed_tracer.pipeline import run_job
from distributed_tracer.prompt import Prompt
from distributed_tracer.store.reader import Store, open_store
from distributed_tracer.trace.attribute import run_and_encode
from distributed_tracer.transcoder.load import load_transcoders

pytest.importorskip("pyarrow")
LINEAR, EVEN, CONSTANT = range(LAYERS)
PROMPTS, CLUSTERS = 60, 15
write = LayerErrors.write


def planted_transcoders(folder: Path, model: str) -> Path:
    """Each feature has one with the opposite encoder. Their decoders are opposite in one layer, so that the pair is
    linear, and equal in the next, so that it is even about the mean input; in the last layer no feature fires."""
    save_transcoders(folder, size=2 * WIDTH)
    generator, inputs, loaded = torch.Generator().manual_seed(9), [], load_model(model)
    for _ in range(100):
        tokens = [1, *torch.randint(3, 320, (7,), generator=generator).tolist()]
        inputs.append(run_with_cache(loaded, tokens, "mlp.hook_in", "mlp.hook_out").inputs_PD[EVEN][1:])
    mean_D = torch.cat(inputs).mean(0)
    for layer in range(LAYERS):
        path = folder / f"layer_{layer}.safetensors"
        found = load_file(path)
        encoder, decoder = (found[name][:WIDTH] for name in ("W_enc", "W_dec"))
        sign = -1.0 if layer == LINEAR else 1.0
        found["W_enc"] = torch.cat([encoder, -encoder])
        found["W_dec"] = torch.cat([decoder, sign * decoder])
        found["b_enc"] = -found["W_enc"] @ mean_D if layer == EVEN else torch.zeros(2 * WIDTH)
        if layer == CONSTANT:
            found["b_enc"] -= 1e6
        save_file(found, path)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model whose MLPs write nothing, so that errors are what the transcoders write, with the sign changed."""
    folder = tmp_path_factory.mktemp("planted")
    model = save_model(folder / "model")
    weights = load_file(model / "model.safetensors")
    silent = {name: value * 0 if "down_proj" in name else value for name, value in weights.items()}
    save_file(silent, model / "model.safetensors", {"format": "pt"})
    return {"model": str(model), "transcoders": str(planted_transcoders(folder / "transcoders", str(model)))}


@pytest.fixture(scope="module")
def store(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder, rng = tmp_path_factory.mktemp("store"), np.random.default_rng(0)
    rows = [
        {
            "id": f"p{n:02d}",
            "tokens": [1, *rng.integers(3, 320, 7 + n % 3).tolist()],
            "topic": n % CLUSTERS,
            "two": n % 2,
        }
        for n in range(PROMPTS)
    ]
    config = replace(
        job(folder, []),
        model=ModelConfig(files["model"]),
        transcoders=TranscoderConfig(files["transcoders"]),
        corpus=CorpusConfig(str(write_rows(folder / "p.jsonl", rows))),
        trace=TraceConfig(max_feature_nodes=10, round_size=10, keep_all=True),
    )
    assert run_job(config).exit_code == 0
    return open_store(config.store.store)


def mined(store: Store, out: Path, files: dict[str, str], cluster: str = "topic", **options: Any) -> Result:
    return mine_dark_matter(store, out, cluster=cluster, **({"run": LOCAL} | files | options))


@pytest.fixture(scope="module")
def result(store: Store, files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Result:
    return mined(store, tmp_path_factory.mktemp("result") / "r", files)


def test_errors_that_are_linear_even_or_constant_by_construction_are_told_apart(result: Result) -> None:
    linear, even, constant = result.table("linear").rows()
    assert linear["r2"] > 1 - 1e-6
    assert linear["share_nonlinear"] < 1e-3 * linear["share"]
    assert even["r2_low"] < 0.02
    assert even["r2"] < 0.1
    left = even["share"] * (1 - even["linear"]) ** 0.5  # lengths, not squares
    assert even["share_nonlinear_low"] < 1.1 * left < 1.2 * even["share_nonlinear_high"]
    assert even["constant"] > 0.3  # what is even has a mean
    assert constant["constant"] > 1 - 1e-9
    assert all(row["clusters"] == CLUSTERS and row["prompts"] == PROMPTS for row in (linear, even, constant))


def test_errors_are_those_of_tracing(store: Store, files: dict[str, str], tmp_path: Path) -> None:
    model, transcoders = load_model(files["model"]), load_transcoders(files["transcoders"])
    found: dict[int, LayerErrors] = {}
    with pytest.MonkeyPatch.context() as patch:

        def keep(self: LayerErrors, path: Path) -> None:
            found[int(path.stem[-4:])] = self
            write(self, path)

        patch.setattr(LayerErrors, "write", keep)
        mined(store, tmp_path / "r", files)
    corpus = Corpus.of(prompts := choose_prompts(store, (), "topic"), clusters_of(prompts, "topic"), 0)
    for rank in range(0, PROMPTS, 30):
        _, features = run_and_encode(Prompt("p", tokens=corpus.tokens(rank)), model, transcoders, TraceConfig())
        is_new = corpus.is_new(rank)[1:]
        for layer, errors in found.items():
            square_P = features.source_vectors.error_LPD[layer][1:].double().square().sum(1).numpy()
            assert errors.tokens_I[rank] == is_new.sum() > 0
            assert errors.square_I[rank] == pytest.approx(square_P[is_new].sum(), rel=1e-9)
            first = corpus.first_I[rank]
            assert np.isnan(errors.rest_X[first])
            assert not np.isnan(errors.rest_X[first + 1 : corpus.first_I[rank + 1]]).any()


def test_no_bit_depends_on_how_many_layers_are_fitted_at_once_nor_on_an_interruption(
    store: Store, files: dict[str, str], result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []

    def writes(self: LayerErrors, path: Path) -> None:
        fitted.append(path.name)
        if len(fitted) == 2:
            raise OSError("no space left")
        write(self, path)

    least = 8 * WIDTH**2 * 19 / 1e9
    monkeypatch.setattr(LayerErrors, "write", writes)
    with pytest.raises(
        ResultError, match=r"could not be fitted: .*errors of layers 1 to 1.*no space left.*same command"
    ):
        mined(store, tmp_path / "r", files, memory_gb=least)
    again = mined(store, tmp_path / "r", files, memory_gb=least)
    assert sorted(fitted) == ["layer_0000.npz", "layer_0001.npz", "layer_0001.npz", "layer_0002.npz"]
    for table in result.tables:
        assert [path.read_bytes() for path in again.files(table)] == [path.read_bytes() for path in result.files(table)]
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["provenance.json", "tables"]


def test_a_position_counts_if_no_other_fold_has_the_same_text_so_far() -> None:
    rng = np.random.default_rng(1)
    texts = [rng.integers(0, 3, rng.integers(1, 7)).tolist() for _ in range(200)]
    fold = rng.integers(0, 5, 200)
    first = np.append(0, np.cumsum([len(text) for text in texts]))
    expected = []
    for number, text in enumerate(texts):
        for end in range(1, len(text) + 1):
            same = {int(fold[other]) for other, own in enumerate(texts) if own[:end] == text[:end]}
            expected.append(same == {int(fold[number])})
    found = new_prefixes(np.concatenate(texts).astype(np.int32), first, fold)
    assert found.tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_text_that_every_fold_has_explains_nothing(store: Store, files: dict[str, str], tmp_path: Path) -> None:
    """Prompts of one prefix with other last tokens: a map that has seen the prefix knows its errors by heart."""
    rng = np.random.default_rng(2)
    prefix = rng.integers(3, 320, 12).tolist()
    rows = [{"id": f"p{n}", "tokens": [1, *prefix, 3 + n, 103 + n], "topic": n % 10} for n in range(30)]
    config = replace(
        job(tmp_path, []),
        model=ModelConfig(files["model"]),
        transcoders=TranscoderConfig(files["transcoders"]),
        corpus=CorpusConfig(str(write_rows(tmp_path / "p.jsonl", rows))),
        trace=TraceConfig(max_feature_nodes=10, round_size=10),
    )
    run_job(config)
    shared = open_store(config.store.store)
    even = mined(shared, tmp_path / "r", files).table("linear").take([EVEN])
    assert even["tokens"][0] == 2 * 30
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings_module, "new_prefixes", lambda token_X, *_: np.ones(len(token_X), bool))
        by_heart = mined(shared, tmp_path / "by_heart", files).table("linear").take([EVEN])
    assert even["r2_high"][0] < 0.6 < 0.8 < by_heart["r2"][0]


def test_what_does_not_fit_is_refused_before_anything_is_read(
    store: Store, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "cross_fit", lambda *args, **options: pytest.fail("it is fitted"))
    out = tmp_path / "r"
    with pytest.raises(ConfigError, match="give both or neither"):
        mine_dark_matter(store, out, model=files["model"])
    with pytest.raises(ConfigError, match="at least 3"):
        mined(store, out, files, cluster="two")
    with pytest.raises(
        ConfigError, match=r"the sums of one layer of width 32 take .*, more than --memory-gb 1e-06 allows"
    ):
        mined(store, out, files, memory_gb=1e-6)
    other = save_model(tmp_path / "other", seed=5)
    with pytest.raises(StoreMismatch, match="made with another model"):
        mined(store, out, files | {"model": str(other)})
    assert main(["mine", "dark-matter", store.url, "--out", str(out), "--gpus-per-worker", "1"]) == 1
    assert not any(out.glob("tables/*"))


def test_groups_of_layers_fit_into_memory_and_give_every_worker_work() -> None:
    matrix = 8 * 100**2
    assert layer_groups(range(6), 100, 4.0, 1) == [[0, 1, 2, 3, 4, 5]]
    assert layer_groups(range(6), 100, 4.0, 4) == [[0, 1], [2, 3], [4, 5]]
    assert layer_groups([1, 4, 5], 100, (8 + 25) * matrix / 1e9, 1) == [[1, 4], [5]]
    assert layer_groups([], 100, 4.0, 2) == []


def test_the_command_says_what_it_found_and_what_it_would_take(
    store: Store, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_model = [f"--{name}={value}" for name, value in files.items()]
    command = ["mine", "dark-matter", store.url, "--out", str(tmp_path / "r"), "--cluster", "topic"]
    assert main([*command, *of_model, "--local", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("60 prompts, ")
    assert "3 layers in 1 group, each of which reads" in said
    assert said.strip() == describe_dark_matter(store, cluster="topic", run=LOCAL, **files)
    assert not (tmp_path / "r").exists()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "of the influence in 60 prompts ends in errors" in said
    assert "by token:" in said
    assert "linear part" not in said
    assert main([*command[:-2], "--cluster", "topic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["what"] == "dark-matter"


def test_a_worker_refuses_a_store_whose_prompts_have_changed(store: Store, files: dict[str, str]) -> None:
    settings = LinearErrorSettings(store.url, (), "topic", "sha256:other", 0, "nowhere")
    of_model = ModelConfig(files["model"]), TranscoderConfig(files["transcoders"])
    config = JobConfig(*of_model, CorpusConfig(""), StoreConfig(store.url), TraceConfig(), LOCAL)
    with pytest.raises(StoreMismatch, match="have changed"):
        LinearErrorWorker(settings, config, 1)
