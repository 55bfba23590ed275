"""The committed demo must load, stay small, and be what its report says.

Axes: B row of a batch, I token of a sample, L layer, D model width, S feature of the dictionary, V vocabulary,
P position.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
import yaml
from rounding import round_off
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

DEMO = Path(__file__).resolve().parents[1] / "demo"
MAX_BYTES = 20 * 2**20

HALF_A_DIGIT = 0.5 * 10**-4
"""Of the four that the report has after the point."""

Json = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small lose time to more threads on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    loaded = AutoModelForCausalLM.from_pretrained(DEMO / "model", local_files_only=True)
    loaded.eval()  # type: ignore[no-untyped-call]
    return cast(LlamaForCausalLM, loaded)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(DEMO / "model", local_files_only=True))


@pytest.fixture(scope="module")
def report() -> Json:
    return cast(Json, json.loads((DEMO / "report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def corpus() -> list[Json]:
    lines = (DEMO / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def plain_corpus(corpus: list[Json]) -> list[Json]:
    """The prompts without the contrast ones, which repeat a text to name another target."""
    return [line for line in corpus if "targets" not in line]


def test_the_demo_is_small() -> None:
    folders = (DEMO / "model", DEMO / "transcoders")
    total = sum(f.stat().st_size for folder in folders for f in folder.rglob("*") if f.is_file())
    assert total <= MAX_BYTES


def test_corpus_lines_are_complete_and_unique(corpus: list[Json]) -> None:
    assert len(corpus) >= 300
    assert len({line["id"] for line in corpus}) == len(corpus)
    needed = {"id", "text", "family", "language", "subject", "answer", "answer_token", "held_out"}
    assert all(needed <= set(line) for line in corpus)
    assert {line["language"] for line in corpus} == {"en", "fr", "zh"}
    dallas = next(line for line in corpus if line["id"] == "two-hop-dallas")
    assert dallas["text"] == "Fact: the capital of the state containing Dallas is"
    assert dallas["answer"] == " Austin"


def test_contrast_targets_are_single_tokens(corpus: list[Json], tokenizer: PreTrainedTokenizerFast) -> None:
    contrasts = [line for line in corpus if "targets" in line]
    assert contrasts
    for line in contrasts:
        lead = " " if line["answer"].startswith(" ") else ""
        for word in line["targets"][0].split(" - "):
            assert len(tokenizer.encode(lead + word, add_special_tokens=False)) == 1


def test_tokenizer_round_trips_and_prepends_bos(corpus: list[Json], tokenizer: PreTrainedTokenizerFast) -> None:
    for line in corpus:
        ids = tokenizer.encode(line["text"])
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.decode(ids[1:]) == line["text"]
        assert tokenizer.unk_token_id not in ids


def test_no_city_is_named_twice() -> None:
    facts = json.loads((DEMO / "facts.json").read_text(encoding="utf-8"))
    states, countries = facts["states"], facts["countries"]
    cities = [city for entry in states.values() for city in entry["cities"] + entry["held_out"]]
    cities += [city for entry in countries.values() for city in entry["cities"]]
    capitals = [entry["capital"] for places in (states, countries) for entry in places.values()]
    assert len(states) == 50
    assert len(set(cities + capitals)) == len(cities) + len(capitals)


@torch.no_grad()
def predicted_tokens(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, lines: list[Json]) -> list[str]:
    """The likeliest next token of every prompt, decoded."""
    rows = [torch.tensor(tokenizer.encode(line["text"])) for line in lines]
    ids_BP = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0)
    last_B = torch.tensor([len(row) - 1 for row in rows])
    logits_BV = model(input_ids=ids_BP).logits[torch.arange(len(rows)), last_B]
    return [str(tokenizer.decode([token])) for token in logits_BV.argmax(-1).tolist()]


def test_held_out_two_hop_accuracy_is_as_reported(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plain_corpus: list[Json], report: Json
) -> None:
    held_out = [line for line in plain_corpus if line["held_out"]]
    answers = predicted_tokens(model, tokenizer, held_out)
    correct = sum(answer == line["answer_token"] for answer, line in zip(answers, held_out, strict=True))
    claimed = report["model"]["accuracy"]["two-hop-held-out"]
    assert claimed["n"] == len(held_out)
    assert round(correct / len(held_out), 4) == claimed["accuracy"]
    assert claimed["accuracy"] > 0.95


def read_transcoders(kind: str) -> tuple[Tensor, Tensor, Tensor, list[Tensor], Tensor]:
    """W_enc [L, S, D], b_enc and threshold [L, S], decoders [S, T, D] per layer and b_dec [L, D]."""
    folder = DEMO / "transcoders" / kind
    if kind.startswith("plt"):
        layers = [load_file(folder / f"layer_{i}.safetensors") for i in range(4)]
        names = ("W_enc", "b_enc", "activation_function.threshold", "b_dec")
        parts = [[layer[name].float() for layer in layers] for name in names]
        decoders = [layer["W_dec"].float()[:, None] for layer in layers]
    else:
        layers = [load_file(folder / f"W_enc_{i}.safetensors") for i in range(4)]
        names = ("W_enc", "b_enc", "threshold", "b_dec")
        parts = [[layer[f"{name}_{i}"].float() for i, layer in enumerate(layers)] for name in names]
        decoders = [load_file(folder / f"W_dec_{i}.safetensors")[f"W_dec_{i}"].float() for i in range(4)]
    W_enc_LSD, b_enc_LS, threshold_LS, b_dec_LD = (torch.stack(part) for part in parts)
    return W_enc_LSD, b_enc_LS, threshold_LS, decoders, b_dec_LD


@pytest.fixture(scope="module")
def mlp_sample(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plain_corpus: list[Json]
) -> tuple[Tensor, Tensor]:
    """Inputs and outputs of all MLPs over the prompts but their bos, each [L, N, D]."""
    recorded: list[tuple[Tensor, Tensor]] = []

    def record(_mlp: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        recorded.append((args[0][0, 1:], output[0, 1:]))

    handles = [layer.mlp.register_forward_hook(record) for layer in model.model.layers]
    with torch.no_grad():
        for line in plain_corpus:
            model.model(input_ids=torch.tensor([tokenizer.encode(line["text"])]))
    for handle in handles:
        handle.remove()
    by_layer = [recorded[layer::4] for layer in range(4)]
    inputs_LID = torch.stack([torch.cat([x for x, _ in layer]) for layer in by_layer])
    outputs_LID = torch.stack([torch.cat([y for _, y in layer]) for layer in by_layer])
    return inputs_LID, outputs_LID


@pytest.mark.parametrize(
    ("kind", "model_kind"),
    [("plt", "transcoder_set"), ("clt", "cross_layer_transcoder"), ("plt-seed1", "transcoder_set")],
)
def test_transcoders_fit_as_reported(
    kind: str, model_kind: str, mlp_sample: tuple[Tensor, Tensor], report: Json
) -> None:
    config = yaml.safe_load((DEMO / "transcoders" / kind / "config.yaml").read_text(encoding="utf-8"))
    assert config["model_kind"] == model_kind
    assert (config["feature_input_hook"], config["feature_output_hook"]) == ("mlp.hook_in", "mlp.hook_out")

    inputs_LID, outputs_LID = mlp_sample
    W_enc_LSD, b_enc_LS, threshold_LS, decoders, b_dec_LD = read_transcoders(kind)
    guess_LID = b_dec_LD[:, None].expand_as(outputs_LID).clone()
    active_L = []
    for layer, decoder_SLD in enumerate(decoders):
        pre_IS = F.linear(inputs_LID[layer], W_enc_LSD[layer], b_enc_LS[layer])
        acts_IS = pre_IS * (pre_IS > threshold_LS[layer])
        active_L.append(float((acts_IS > 0).float().sum(1).mean()))
        for offset in range(decoder_SLD.shape[1]):
            guess_LID[layer + offset] += acts_IS @ decoder_SLD[:, offset]
    missed_L = (outputs_LID - guess_LID).square().sum((1, 2))
    spread_L = (outputs_LID - outputs_LID.mean(1, keepdim=True)).square().sum((1, 2))

    claimed = report[kind]["corpus_prompts"]
    missed = (missed_L / spread_L).tolist()
    off = HALF_A_DIGIT + round_off(torch.float32, outputs_LID[0].numel(), max(missed))
    assert missed == pytest.approx([1 - explained for explained in claimed["explained_variance"]], abs=off)
    off = HALF_A_DIGIT + 3 / claimed["positions"]  # so many features may be so near to their threshold that they differ
    assert active_L == pytest.approx(claimed["mean_active_features"], abs=off)
    assert min(report[kind]["held_out_text"]["explained_variance"]) >= 0.9


@torch.no_grad()
def test_every_family_is_answered(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plain_corpus: list[Json]
) -> None:
    answers = predicted_tokens(model, tokenizer, plain_corpus)
    correct = [answer == line["answer_token"] for answer, line in zip(answers, plain_corpus, strict=True)]
    assert sum(correct) / len(correct) > 0.98
