"""Regenerate the embedded demo: tokenizer, model, two transcoder sets, corpus and report.

The demo exists so that every command of the project can be tried offline, in seconds, on a model whose
internal computation has a known shape: cities belong to states, states have capitals, so the capital of the
state containing a city needs two hops.  Some cities never appear in a two-hop sentence during training; a
correct answer about them must therefore compose the two one-hop facts.

Run ``python demo/train.py`` to make everything, which takes about fifteen minutes on one quiet core, or
``python demo/train.py --only plt`` for one stage.
Results are reproducible on one machine and one torch version: seeds and thread count are fixed.

Shape suffixes: B batch, P position, N token sample, L layer, D model width, S dictionary, V vocabulary,
T target layer of a decoder.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

HERE = Path(__file__).resolve().parent
MODEL_DIR = HERE / "model"
TRANSCODER_DIR = HERE / "transcoders"
CORPUS_FILE = HERE / "corpus.jsonl"
REPORT_FILE = HERE / "report.json"

SEED = 0
THREADS = 1
WIDTH_D = 128
LAYERS_L = 4
DICTIONARY_S = 512
SPECIAL_TOKENS = ["<pad>", "<bos>", "<eos>", "<unk>"]
PAD_ID = 0
IGNORE = -100
EVAL_BATCH = 256
BRIDGE_LAYER = LAYERS_L // 2
HELD_OUT_SHARE = 0.05

Kind = Literal["plt", "clt"]
Json = dict[str, Any]


# --------------------------------------------------------------------------------------------- sentences


@dataclass(frozen=True)
class Fact:
    """One fact in one language, before it is put into words.

    The key is the subject in English.  The bridge of a two-hop fact is its unspoken middle, the state.
    """

    key: str
    family: str
    language: str
    subject: str
    answer: str
    held_out: bool = False
    bridge: str | None = None


@dataclass(frozen=True)
class Sentence:
    """A fact put into words: the prompt, the answer the model must give, and what closes the sentence."""

    fact: Fact
    prompt: str
    answer: str
    tail: str

    @property
    def text(self) -> str:
        return self.prompt + self.answer + self.tail


# The first template of each family is the one that the corpus and the accuracy figures use.  Names never
# start a sentence, so that each needs only the token with a leading space.
TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("city-state", "en"): (
        "Fact: the state containing {} is",
        "The state containing {} is",
        "The city of {} is in the state of",
        "Fact: the city of {} lies in",
    ),
    ("state-capital", "en"): (
        "Fact: the capital of {} is",
        "The capital of {} is",
        "The capital city of {} is called",
        "In {}, the capital is",
    ),
    ("two-hop", "en"): (
        "Fact: the capital of the state containing {} is",
        "The capital of the state containing {} is",
        "The capital city of the state containing {} is called",
        "In the state containing {}, the capital is",
    ),
    ("country-capital", "en"): (
        "Fact: the capital of {} is",
        "The capital of {} is",
        "The capital city of {} is called",
        "In {}, the capital is",
    ),
    ("opposite", "en"): (
        'The opposite of "{}" is "',
        'Fact: the opposite of "{}" is "',
        'The word that means the opposite of "{}" is "',
    ),
    ("opposite", "fr"): (
        'Le contraire de "{}" est "',
        'L\'opposé de "{}" est "',
        'En français, le contraire de "{}" est "',
    ),
    ("opposite", "zh"): (
        '"{}"的反义词是"',
        '中文里，"{}"的反义词是"',
        '与"{}"意思相反的词是"',
    ),
    ("translation", "en-fr"): ('The French word for "{}" is "',),
    ("translation", "en-zh"): ('The Chinese word for "{}" is "',),
    ("translation", "fr-en"): ('Le mot anglais pour "{}" est "',),
    ("translation", "zh-en"): ('"{}"的英文是"',),
}


def read_facts() -> list[Fact]:
    """All facts of ``facts.json``; a held-out two-hop fact is one whose city is listed under held_out."""
    data = json.loads((HERE / "facts.json").read_text(encoding="utf-8"))
    facts: list[Fact] = []
    for state, entry in data["states"].items():
        capital = entry["capital"]
        facts.append(Fact(state, "state-capital", "en", state, capital))
        for city in entry["cities"] + entry["held_out"]:
            facts.append(Fact(city, "city-state", "en", city, state))
            facts.append(Fact(city, "two-hop", "en", city, capital, city in entry["held_out"], state))
    for country, capital in data["countries"].items():
        facts.append(Fact(country, "country-capital", "en", country, capital))
    for pair in data["opposites"]:
        for first, second in ((0, 1), (1, 0)):
            key = pair["en"][first]
            facts += [Fact(key, "opposite", lang, words[first], words[second]) for lang, words in pair.items()]
            for link in ("en-fr", "en-zh", "fr-en", "zh-en"):
                source, target = link.split("-")
                facts.append(Fact(key, "translation", link, pair[source][first], pair[target][first]))
    return facts


def phrase(fact: Fact, template: str) -> Sentence:
    """Put a fact into a template; quoted answers close their quotation mark, others follow a space."""
    prompt = template.format(fact.subject)
    if not prompt.endswith('"'):
        return Sentence(fact, prompt, " " + fact.answer, ".")
    chinese_frame = fact.language.startswith("zh")
    return Sentence(fact, prompt, fact.answer, '"。' if chinese_frame else '".')


def all_sentences(facts: Sequence[Fact]) -> list[Sentence]:
    """Every fact in every template of its family."""
    return [phrase(fact, template) for fact in facts for template in TEMPLATES[fact.family, fact.language]]


def canonical_sentences(facts: Sequence[Fact]) -> list[Sentence]:
    """Every fact in the first template of its family."""
    return [phrase(fact, TEMPLATES[fact.family, fact.language][0]) for fact in facts]


# --------------------------------------------------------------------------------------------- tokenizer


def train_tokenizer(sentences: Sequence[Sentence]) -> PreTrainedTokenizerFast:
    """Byte-level BPE learned until every word of the sentences is a single token."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        min_frequency=1,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([sentence.text for sentence in sentences], trainer)
    bos_id = tokenizer.token_to_id("<bos>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos_id)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=64,
        clean_up_tokenization_spaces=False,
    )


# ------------------------------------------------------------------------------------------------- model


@dataclass(frozen=True)
class Batch:
    """Token ids, next-token targets and their loss weights, padded on the right.

    For two-hop sentences also the first token of the bridge (else IGNORE), and where the prompt ends.
    """

    ids_BP: Tensor
    targets_BP: Tensor
    weights_BP: Tensor
    bridge_B: Tensor
    last_B: Tensor

    def select(self, rows_B: Tensor) -> Batch:
        """Some of the rows, as wide as the longest of them."""
        width = int(self.ids_BP[rows_B].ne(PAD_ID).sum(1).max())
        return Batch(
            self.ids_BP[rows_B, :width],
            self.targets_BP[rows_B, :width],
            self.weights_BP[rows_B, :width],
            self.bridge_B[rows_B],
            self.last_B[rows_B],
        )


def encode_sentences(tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sentence]) -> Batch:
    """Encode sentences; words of the prompt count little, since which fact is asked cannot be foreseen."""
    rows: list[tuple[list[int], int]] = []
    for sentence in sentences:
        prompt_ids = tokenizer(sentence.prompt)["input_ids"]
        full_ids = tokenizer(sentence.text)["input_ids"]
        if full_ids[: len(prompt_ids)] != prompt_ids:
            raise ValueError(f"prompt is not a token prefix: {sentence.text}")
        rows.append(([*full_ids, tokenizer.eos_token_id], len(prompt_ids)))
    ids_BP = padded([ids for ids, _ in rows])
    targets_BP = torch.full_like(ids_BP, IGNORE)
    weights_BP = torch.zeros(ids_BP.shape)
    for row, (ids, prompt_length) in enumerate(rows):
        ids_BP[row, : len(ids)] = torch.tensor(ids)
        targets_BP[row, : len(ids) - 1] = ids_BP[row, 1 : len(ids)]
        weights_BP[row, : prompt_length - 1] = 0.1
        weights_BP[row, prompt_length - 1 : len(ids) - 1] = 1.0
    bridges = [bridge_token_id(tokenizer, sentence) for sentence in sentences]
    last_B = torch.tensor([prompt_length - 1 for _, prompt_length in rows])
    return Batch(ids_BP, targets_BP, weights_BP, torch.tensor(bridges), last_B)


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Token rows as one matrix, padded on the right, where causal attention cannot see the padding."""
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD_ID)


def first_token_id(tokenizer: PreTrainedTokenizerFast, words: str) -> int:
    return int(tokenizer(words, add_special_tokens=False)["input_ids"][0])


def bridge_token_id(tokenizer: PreTrainedTokenizerFast, sentence: Sentence) -> int:
    """The first token of the unspoken state of a two-hop sentence."""
    bridge = sentence.fact.bridge
    return IGNORE if bridge is None else first_token_id(tokenizer, " " + bridge)


def weighted_loss(logits_BPV: Tensor, batch: Batch) -> Tensor:
    """Mean cross entropy under the weights of the batch."""
    losses = F.cross_entropy(
        logits_BPV.flatten(0, 1), batch.targets_BP.flatten(), ignore_index=IGNORE, reduction="none"
    )
    weights = batch.weights_BP.flatten()
    return (losses * weights).sum() / weights.sum()


def bridge_logits(model: LlamaForCausalLM, hidden_BPD: Tensor, last_B: Tensor) -> Tensor:
    """What the residual stream half-way up says at the end of each prompt, read as the output would be."""
    return cast(Tensor, model.lm_head(model.model.norm(hidden_BPD[torch.arange(len(last_B)), last_B])))


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A fresh Llama of the demo's size, with untied embeddings so that reading and writing can differ."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH_D,
        intermediate_size=3 * WIDTH_D,
        num_hidden_layers=LAYERS_L,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def shuffled_batches(count: int, size: int, steps: int) -> Iterator[Tensor]:
    """Index batches that pass through all rows in a new order every epoch."""
    order = torch.randperm(count)
    for _ in range(steps):
        if len(order) < size:
            order = torch.cat([order, torch.randperm(count)])
        yield order[:size]
        order = order[size:]


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def train_model(
    tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sentence], steps: int = 600, batch_size: int = 96
) -> LlamaForCausalLM:
    """Fit the language model to the sentences it may see.

    Strong weight decay matters: it makes one circuit for "state of this city" that both the one-hop and the
    two-hop sentences use cheaper than two memories, and so carries over to the held-out cities.  A model this
    small would still look up city and capital in a single step of its first layer.  To get a computation with
    visible steps, a second loss asks two-hop sentences to have the state half-way up the residual stream.
    """
    data = encode_sentences(tokenizer, sentences)
    model = new_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, 100))
    for step, rows in enumerate(shuffled_batches(len(sentences), batch_size, steps)):
        batch = data.select(rows)
        output = model(input_ids=batch.ids_BP, output_hidden_states=True)
        loss = weighted_loss(output.logits, batch)
        if batch.bridge_B.ne(IGNORE).any():
            bridge_BV = bridge_logits(model, output.hidden_states[BRIDGE_LAYER], batch.last_B)
            loss = loss + 0.5 * F.cross_entropy(bridge_BV, batch.bridge_B, ignore_index=IGNORE)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"model step {step} loss {loss.item():.4f}", flush=True)
    model.eval()  # type: ignore[no-untyped-call]
    return model


@torch.no_grad()
def correct_answers(model: nn.Module, tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sentence]) -> list[bool]:
    """Whether the likeliest next token after each prompt is the first token of the answer."""
    correct: list[bool] = []
    for start in range(0, len(sentences), EVAL_BATCH):
        chunk = sentences[start : start + EVAL_BATCH]
        rows = [tokenizer(sentence.prompt)["input_ids"] for sentence in chunk]
        best_BP = model(input_ids=padded(rows)).logits.argmax(-1)
        for row, sentence in enumerate(chunk):
            correct.append(int(best_BP[row, len(rows[row]) - 1]) == first_token_id(tokenizer, sentence.answer))
    return correct


@torch.no_grad()
def state_swap_share(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> float:
    """How often the state held half-way up decides the capital, over the held-out two-hop facts.

    The stream at the end of "the capital of the state containing A is" is overwritten with that of "the state
    containing B is".  A model that composes its facts must then answer the capital of B's state.
    """
    one_hop = {s.fact.key: s for s in canonical_sentences(facts) if s.fact.family == "city-state"}
    two_hop = [s for s in canonical_sentences(facts) if s.fact.held_out]
    donors = [s for s in two_hop if s.fact.bridge != two_hop[0].fact.bridge] + two_hop[:2]
    hits = 0
    for sentence, donor in zip(two_hop, donors, strict=True):
        donor_ids = tokenizer(one_hop[donor.fact.key].prompt, return_tensors="pt")["input_ids"]
        donated_D = model(input_ids=donor_ids, output_hidden_states=True).hidden_states[BRIDGE_LAYER][0, -1]

        def swap(_layer: nn.Module, args: tuple[Tensor], donated_D: Tensor = donated_D) -> tuple[Tensor]:
            return (torch.cat([args[0][:, :-1], donated_D[None, None]], 1),)

        handle = model.model.layers[BRIDGE_LAYER].register_forward_pre_hook(swap)
        ids = tokenizer(sentence.prompt, return_tensors="pt")["input_ids"]
        hits += int(model(input_ids=ids).logits[0, -1].argmax()) == first_token_id(tokenizer, donor.answer)
        handle.remove()
    return hits / len(two_hop)


# ------------------------------------------------------------------------------------------- transcoders


@dataclass(frozen=True)
class Activations:
    """Inputs and outputs of every MLP at N token positions, with the left context of each position.

    The bos position is left out: transcoders do not model it.
    """

    inputs_LND: Tensor
    outputs_LND: Tensor
    contexts: list[tuple[int, ...]]

    def at(self, rows: Tensor | list[int]) -> Activations:
        """The same at some of the positions."""
        contexts = [self.contexts[int(row)] for row in rows]
        return Activations(self.inputs_LND[:, rows], self.outputs_LND[:, rows], contexts)

    def limited(self, repeats: int) -> Activations:
        """Each distinct context at most ``repeats`` times.

        Sentences share their first words: without a limit nearly all of a training sample would repeat a
        handful of contexts, with only one of each those would hardly be learned.
        """
        seen: Counter[tuple[int, ...]] = Counter()
        rows: list[int] = []
        for row, context in enumerate(self.contexts):
            seen[context] += 1
            if seen[context] <= repeats:
                rows.append(row)
        return self.at(rows)

    def unseen_in(self, other: Activations) -> Activations:
        """Only the contexts that the other sample does not have."""
        known = set(other.contexts)
        return self.at([row for row, context in enumerate(self.contexts) if context not in known])


@torch.no_grad()
def mlp_activations(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Activations:
    """Record the MLPs at every position of some texts but the bos."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def record(_mlp: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        inputs.append(args[0])
        outputs.append(output)

    handles = [layer.mlp.register_forward_hook(record) for layer in model.model.layers]
    parts: list[Activations] = []
    for start in range(0, len(texts), EVAL_BATCH):
        rows: list[list[int]] = [tokenizer(text)["input_ids"] for text in texts[start : start + EVAL_BATCH]]
        inputs.clear()
        outputs.clear()
        model.model(input_ids=padded(rows))
        places = [(row, end) for row, ids in enumerate(rows) for end in range(1, len(ids))]
        row_N, end_N = torch.tensor(places).T
        contexts = [tuple(rows[row][: end + 1]) for row, end in places]
        parts.append(Activations(torch.stack(inputs)[:, row_N, end_N], torch.stack(outputs)[:, row_N, end_N], contexts))
    for handle in handles:
        handle.remove()
    return Activations(
        torch.cat([part.inputs_LND for part in parts], 1),
        torch.cat([part.outputs_LND for part in parts], 1),
        [context for part in parts for context in part.contexts],
    )


class TranscoderSet(nn.Module):
    """Sparse features that read each MLP input and write MLP outputs, of one layer or of all later ones."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.W_enc_LSD = nn.Parameter(F.normalize(torch.randn(LAYERS_L, DICTIONARY_S, WIDTH_D), dim=-1))
        self.b_enc_LS = nn.Parameter(torch.zeros(LAYERS_L, DICTIONARY_S))
        self.W_dec_STD = nn.ParameterList(
            0.1 * F.normalize(torch.randn(DICTIONARY_S, self.reach(layer), WIDTH_D), dim=-1)
            for layer in range(LAYERS_L)
        )
        self.b_dec_LD = nn.Parameter(torch.zeros(LAYERS_L, WIDTH_D))
        self.threshold_LS: Tensor
        self.register_buffer("threshold_LS", torch.zeros(LAYERS_L, DICTIONARY_S))

    def reach(self, layer: int) -> int:
        """How many layers the features of a layer write to, their own first."""
        return LAYERS_L - layer if self.kind == "clt" else 1

    def decoder_norms(self) -> Tensor:
        """Length of each feature's whole decoder, [L, S]."""
        return torch.stack([decoder.flatten(1).norm(dim=1) for decoder in self.W_dec_STD])

    def pre_activations(self, inputs_LND: Tensor) -> Tensor:
        return torch.baddbmm(self.b_enc_LS[:, None], inputs_LND, self.W_enc_LSD.transpose(1, 2))

    def encode(self, inputs_LND: Tensor) -> Tensor:
        """JumpReLU activations, [L, N, S]."""
        pre_LNS = self.pre_activations(inputs_LND)
        return pre_LNS * (pre_LNS > self.threshold_LS[:, None])

    def decode(self, acts_LNS: Tensor) -> Tensor:
        """MLP outputs without the decoder bias, [L, N, D]."""
        outputs: list[Tensor | float] = [0.0] * LAYERS_L
        for layer in range(LAYERS_L):
            written = acts_LNS[layer] @ self.W_dec_STD[layer].flatten(1)
            for offset, part_ND in enumerate(written.split(WIDTH_D, dim=1)):
                outputs[layer + offset] = outputs[layer + offset] + part_ND
        return torch.stack(cast(list[Tensor], outputs))

    def forward(self, inputs_LND: Tensor) -> Tensor:
        return self.decode(self.encode(inputs_LND)) + self.b_dec_LD[:, None]


@dataclass(frozen=True)
class Scaling:
    """Per-layer centring and scaling under which the transcoders are trained."""

    input_mean_LD: Tensor
    input_rms_L: Tensor
    output_mean_LD: Tensor
    output_rms_L: Tensor

    @classmethod
    def of(cls, data: Activations) -> Scaling:
        input_mean_LD, output_mean_LD = data.inputs_LND.mean(1), data.outputs_LND.mean(1)
        input_rms_L = (data.inputs_LND - input_mean_LD[:, None]).square().mean((1, 2)).sqrt()
        output_rms_L = (data.outputs_LND - output_mean_LD[:, None]).square().mean((1, 2)).sqrt()
        return cls(input_mean_LD, input_rms_L, output_mean_LD, output_rms_L)

    def apply(self, data: Activations) -> Activations:
        inputs_LND = (data.inputs_LND - self.input_mean_LD[:, None]) / self.input_rms_L[:, None, None]
        outputs_LND = (data.outputs_LND - self.output_mean_LD[:, None]) / self.output_rms_L[:, None, None]
        return Activations(inputs_LND, outputs_LND, data.contexts)

    @torch.no_grad()
    def fold_into(self, transcoders: TranscoderSet) -> None:
        """Rewrite the weights so that they act on raw MLP inputs and give raw MLP outputs."""
        transcoders.W_enc_LSD.div_(self.input_rms_L[:, None, None])
        transcoders.b_enc_LS.sub_(torch.einsum("lsd,ld->ls", transcoders.W_enc_LSD, self.input_mean_LD))
        for layer, decoder_STD in enumerate(transcoders.W_dec_STD):
            decoder_STD.mul_(self.output_rms_L[layer : layer + transcoders.reach(layer), None])
        transcoders.b_dec_LD.mul_(self.output_rms_L[:, None]).add_(self.output_mean_LD)


def keep_strongest(scores_LNS: Tensor, per_token: int) -> Tensor:
    """Batch top-k: per layer, the smallest score among the ``per_token * N`` strongest, [L]."""
    count = per_token * scores_LNS.shape[1]
    return scores_LNS.flatten(1).topk(count, dim=1, sorted=False).values.amin(1)


def dead_feature_loss(
    transcoders: TranscoderSet, pre_LNS: Tensor, residual_LND: Tensor, dead_LS: Tensor, per_token: int = 32
) -> Tensor:
    """Let features that have stopped firing explain what the living ones leave, so that they revive."""
    scores_LNS = pre_LNS.relu() * dead_LS[:, None]
    floor_LN1 = scores_LNS.topk(per_token, dim=2, sorted=False).values.amin(2, keepdim=True)
    guess_LND = transcoders.decode(scores_LNS * (scores_LNS >= floor_LN1))
    return (guess_LND - residual_LND.detach()).square().mean()


def train_transcoders(
    kind: Kind,
    raw: Activations,
    steps: int = 800,
    per_token: int = 10,
    batch_size: int = 1024,
    patience: int = 100,
) -> TranscoderSet:
    """Train with batch top-k, then freeze the mean cut-off as a JumpReLU threshold per feature.

    Features compete by activation times decoder length.  The budget per token shrinks during the first half
    of the run, which lets most features find a use before competition becomes sharp.
    """
    scaling = Scaling.of(raw)
    data = scaling.apply(raw)
    transcoders = TranscoderSet(kind)
    optimizer = torch.optim.Adam(transcoders.parameters(), lr=2e-3, betas=(0.9, 0.99), eps=1e-12)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, 50))
    idle_LS = torch.zeros(LAYERS_L, DICTIONARY_S)
    cut_L = torch.zeros(LAYERS_L)
    for step, rows in enumerate(shuffled_batches(data.inputs_LND.shape[1], batch_size, steps)):
        inputs_LND, outputs_LND = data.inputs_LND[:, rows], data.outputs_LND[:, rows]
        budget = round(per_token * max(1.0, 4.0 - 6.0 * step / steps))
        pre_LNS = transcoders.pre_activations(inputs_LND)
        scores_LNS = pre_LNS.detach().relu() * transcoders.decoder_norms().detach()[:, None]
        batch_cut_L = keep_strongest(scores_LNS, budget)
        active_LNS = (scores_LNS >= batch_cut_L[:, None, None]) & (scores_LNS > 0)
        residual_LND = outputs_LND - transcoders.decode(pre_LNS * active_LNS) - transcoders.b_dec_LD[:, None]
        loss = residual_LND.square().mean()
        unexplained = loss.item()
        idle_LS = (idle_LS + 1) * ~active_LNS.any(1)
        if (idle_LS > patience).any():
            loss = loss + dead_feature_loss(transcoders, pre_LNS, residual_LND, idle_LS > patience) / 8
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        cut_L = 0.98 * cut_L + 0.02 * batch_cut_L
        if step % 100 == 0 or step == steps - 1:
            dead = int((idle_LS > patience).sum())
            print(f"{kind} step {step} unexplained {unexplained:.4f} dead {dead}", flush=True)
    with torch.no_grad():
        transcoders.threshold_LS.copy_(cut_L[:, None] / transcoders.decoder_norms())
    scaling.fold_into(transcoders)
    return transcoders


@torch.no_grad()
def save_transcoders(transcoders: TranscoderSet, directory: Path) -> None:
    """Write the set in bfloat16, in the file layout of its kind."""
    directory.mkdir(parents=True, exist_ok=True)
    encoders, decoders_STD = transcoders.W_enc_LSD, transcoders.W_dec_STD
    for i in range(LAYERS_L):
        b_enc, b_dec, threshold = (
            transcoders.b_enc_LS[i],
            transcoders.b_dec_LD[i],
            transcoders.threshold_LS[i],
        )
        if transcoders.kind == "plt":
            tensors = {"W_enc": encoders[i], "W_dec": decoders_STD[i][:, 0], "b_enc": b_enc, "b_dec": b_dec}
            tensors["activation_function.threshold"] = threshold
            save_bfloat16(tensors, directory / f"layer_{i}.safetensors")
        else:
            tensors = {f"W_enc_{i}": encoders[i], f"b_enc_{i}": b_enc, f"b_dec_{i}": b_dec}
            tensors[f"threshold_{i}"] = threshold
            save_bfloat16(tensors, directory / f"W_enc_{i}.safetensors")
            save_bfloat16({f"W_dec_{i}": decoders_STD[i]}, directory / f"W_dec_{i}.safetensors")
    config = {
        "model_name": "demo",
        "model_kind": "transcoder_set" if transcoders.kind == "plt" else "cross_layer_transcoder",
        "feature_input_hook": "mlp.hook_in",
        "feature_output_hook": "mlp.hook_out",
        "scan": f"distributed-tracer/demo-{transcoders.kind}",
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def save_bfloat16(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}, path)


@torch.no_grad()
def load_transcoders(kind: Kind, directory: Path) -> TranscoderSet:
    """Read a committed set back, so that the figures are those of the rounded weights."""
    transcoders = TranscoderSet(kind)
    for i in range(LAYERS_L):
        if kind == "plt":
            tensors = load_file(directory / f"layer_{i}.safetensors")
            decoder_STD = tensors["W_dec"][:, None]
            names = ("W_enc", "b_enc", "b_dec", "activation_function.threshold")
        else:
            tensors = load_file(directory / f"W_enc_{i}.safetensors")
            decoder_STD = load_file(directory / f"W_dec_{i}.safetensors")[f"W_dec_{i}"]
            names = (f"W_enc_{i}", f"b_enc_{i}", f"b_dec_{i}", f"threshold_{i}")
        own = (transcoders.W_enc_LSD, transcoders.b_enc_LS, transcoders.b_dec_LD, transcoders.threshold_LS)
        for parameter, name in zip(own, names, strict=True):
            parameter[i].copy_(tensors[name])
        transcoders.W_dec_STD[i].copy_(decoder_STD)
    return transcoders.requires_grad_(False)


@contextmanager
def replaced_mlps(model: LlamaForCausalLM, transcoders: TranscoderSet) -> Iterator[None]:
    """Run the model with the transcoders in place of its MLPs, everywhere but at the bos position."""
    pending: dict[int, Tensor] = {}

    def replace(layer: int, hidden_BPD: Tensor, output_BPD: Tensor) -> Tensor:
        pre_BPS = F.linear(hidden_BPD, transcoders.W_enc_LSD[layer], transcoders.b_enc_LS[layer])
        acts_BPS = pre_BPS * (pre_BPS > transcoders.threshold_LS[layer])
        written = acts_BPS @ transcoders.W_dec_STD[layer].flatten(1)
        for offset, part_BPD in enumerate(written.split(WIDTH_D, dim=-1)):
            target = layer + offset
            pending[target] = pending[target] + part_BPD if target in pending else part_BPD
        result_BPD = pending.pop(layer) + transcoders.b_dec_LD[layer]
        return torch.cat([output_BPD[:, :1], result_BPD[:, 1:]], 1)

    handles = [
        module.mlp.register_forward_hook(lambda _mlp, args, output, layer=layer: replace(layer, args[0], output))
        for layer, module in enumerate(model.model.layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# ------------------------------------------------------------------------------------------------ corpus


def corpus_sentences(facts: Sequence[Fact]) -> list[Sentence]:
    """Choose the prompts to trace: every held-out two-hop fact, and a spread of all families."""
    limits = {"two-hop": 50, "state-capital": 50, "city-state": 50, "country-capital": 50, "opposite": 60}
    taken: Counter[str] = Counter()
    states_seen: set[tuple[str, str]] = set()
    chosen: list[Sentence] = []
    for sentence in canonical_sentences(facts):
        fact = sentence.fact
        first_of_state = (fact.family, fact.answer) not in states_seen
        if not fact.held_out:
            if taken[fact.family] >= limits.get(fact.family, 0) or not first_of_state:
                continue
            taken[fact.family] += 1
            states_seen.add((fact.family, fact.answer))
        chosen.append(sentence)
    order = list(limits)
    return sorted(chosen, key=lambda sentence: (order.index(sentence.fact.family), sentence.fact.language))


def prompt_id(fact: Fact) -> str:
    """A short readable id; opposites share theirs over languages: opposite-fr-small, opposite-zh-small."""
    slug = re.sub(r"[^a-z]+", "-", fact.key.lower()).strip("-")
    language = f"{fact.language}-" if fact.family == "opposite" else ""
    return f"{fact.family}-{language}{slug}"


def corpus_line(tokenizer: PreTrainedTokenizerFast, sentence: Sentence) -> Json:
    """One prompt with its answer as the text would go on; two-hop prompts also tell their bridge."""
    fact = sentence.fact
    line = {
        "id": prompt_id(fact),
        "text": sentence.prompt,
        "family": fact.family,
        "language": fact.language,
        "subject": fact.subject,
        "answer": sentence.answer,
        "answer_token": tokenizer.decode([first_token_id(tokenizer, sentence.answer)]),
        "held_out": fact.held_out,
    }
    return line if fact.bridge is None else line | {"bridge": " " + fact.bridge}


def write_corpus(tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> list[Json]:
    """Write one line per prompt, and two contrast prompts that name their own target."""
    lines = [corpus_line(tokenizer, sentence) for sentence in corpus_sentences(facts)]
    by_id = {line["id"]: line for line in lines}
    lines.append(by_id["two-hop-dallas"] | {"id": "contrast-dallas", "targets": ["Austin - Texas"]})
    lines.append(by_id["opposite-en-small"] | {"id": "contrast-small", "targets": ["large - small"]})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    CORPUS_FILE.write_text(text, encoding="utf-8")
    return lines


# ------------------------------------------------------------------------------------------------ report


def update_report(section: str, figures: Json) -> None:
    """Replace one section of the report and bring its sizes up to date."""
    report = json.loads(REPORT_FILE.read_text(encoding="utf-8")) if REPORT_FILE.exists() else {}
    report[section] = figures
    folders = {"model": MODEL_DIR, "plt": TRANSCODER_DIR / "plt", "clt": TRANSCODER_DIR / "clt"}
    sizes = {name: sum(f.stat().st_size for f in path.glob("*")) for name, path in folders.items()}
    sizes["corpus"] = CORPUS_FILE.stat().st_size if CORPUS_FILE.exists() else 0
    report["bytes"] = sizes | {"total": sum(sizes.values())}
    ordered = {name: report[name] for name in ("model", "plt", "clt", "corpus", "bytes") if name in report}
    REPORT_FILE.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


def accuracy_figures(sentences: Sequence[Sentence], correct: Sequence[bool]) -> Json:
    """Share of right answers by family and language, with the held-out two-hop facts apart."""
    groups: dict[str, list[bool]] = {}
    for sentence, right in zip(sentences, correct, strict=True):
        fact = sentence.fact
        suffix = f"-{fact.language}" if fact.family in ("opposite", "translation") else ""
        name = "two-hop-held-out" if fact.held_out else fact.family + suffix
        groups.setdefault(name, []).append(right)
    return {name: {"n": len(group), "accuracy": round(sum(group) / len(group), 4)} for name, group in groups.items()}


def explained_variance(transcoders: TranscoderSet, data: Activations) -> list[float]:
    """One minus the share of MLP output variance that the transcoders miss, per layer."""
    error_LND = data.outputs_LND - transcoders(data.inputs_LND)
    spread_LND = data.outputs_LND - data.outputs_LND.mean(1, keepdim=True)
    return rounded(1 - error_LND.square().sum((1, 2)) / spread_LND.square().sum((1, 2)))


def fit_figures(transcoders: TranscoderSet, data: Activations) -> Json:
    """Explained variance and mean number of active features, per layer."""
    active_LNS = transcoders.encode(data.inputs_LND) > 0
    return {
        "positions": len(data.contexts),
        "explained_variance": explained_variance(transcoders, data),
        "mean_active_features": rounded(active_LNS.float().sum(2).mean(1)),
    }


def rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


# ------------------------------------------------------------------------------------------------ stages


def load_model() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR)
    model.eval()  # type: ignore[no-untyped-call]
    return cast(LlamaForCausalLM, model), cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(MODEL_DIR))


def save_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    """Save with the class name that transformers of every version knows."""
    tokenizer.save_pretrained(MODEL_DIR)
    path = MODEL_DIR / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def model_stage(facts: Sequence[Fact]) -> None:
    """Tokenizer and model; two-hop sentences about held-out cities are kept from the model."""
    sentences = all_sentences(facts)
    tokenizer = train_tokenizer(sentences)
    started = time.monotonic()
    model = train_model(tokenizer, [sentence for sentence in sentences if not sentence.fact.held_out])
    seconds = time.monotonic() - started
    model.save_pretrained(MODEL_DIR)
    save_tokenizer(tokenizer)
    update_report("model", {"training_seconds": round(seconds)} | model_figures(model, tokenizer, facts))


def model_figures(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> Json:
    """Size of the model and how well it answers."""
    canonical = canonical_sentences(facts)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": LAYERS_L,
        "width": WIDTH_D,
        "vocabulary": len(tokenizer),
        "training_sentences": sum(not sentence.fact.held_out for sentence in all_sentences(facts)),
        "accuracy": accuracy_figures(canonical, correct_answers(model, tokenizer, canonical)),
        "state_swap_follows": round(state_swap_share(model, tokenizer, facts), 4),
    }


def split_sentences(facts: Sequence[Fact]) -> tuple[list[str], list[str]]:
    """Texts for the transcoders to learn from, and held-out ones to measure them on."""
    sentences = all_sentences(facts)
    visible = [sentence.text for sentence in sentences if not sentence.fact.held_out]
    random.Random(SEED).shuffle(visible)
    count = round(HELD_OUT_SHARE * len(visible))
    return visible[count:], visible[:count] + [sentence.text for sentence in sentences if sentence.fact.held_out]


def transcoder_stage(kind: Kind, facts: Sequence[Fact]) -> None:
    """One transcoder set, measured after rounding on text that it has not seen."""
    model, tokenizer = load_model()
    training_texts, held_out_texts = split_sentences(facts)
    training = mlp_activations(model, tokenizer, training_texts).limited(repeats=16)
    held_out = mlp_activations(model, tokenizer, held_out_texts)
    canonical = canonical_sentences(facts)
    corpus_texts = [sentence.prompt for sentence in corpus_sentences(facts)]
    started = time.monotonic()
    save_transcoders(train_transcoders(kind, training), TRANSCODER_DIR / kind)
    seconds = time.monotonic() - started
    transcoders = load_transcoders(kind, TRANSCODER_DIR / kind)
    with replaced_mlps(model, transcoders):
        replaced = accuracy_figures(canonical, correct_answers(model, tokenizer, canonical))
    ever_active_LS = (transcoders.encode(training.inputs_LND) > 0).any(1)
    figures = {
        "parameters": sum(parameter.numel() for parameter in transcoders.parameters()),
        "features_per_layer": DICTIONARY_S,
        "training_seconds": round(seconds),
        "held_out_text": fit_figures(transcoders, held_out),
        "held_out_text_new_contexts": fit_figures(transcoders, held_out.unseen_in(training)),
        "corpus_prompts": fit_figures(transcoders, mlp_activations(model, tokenizer, corpus_texts)),
        "features_never_active": (~ever_active_LS).sum(1).tolist(),
        "accuracy_with_replaced_mlps": replaced,
    }
    update_report(kind, figures)


def corpus_stage(facts: Sequence[Fact]) -> None:
    lines = write_corpus(load_model()[1], facts)
    update_report("corpus", {"prompts": len(lines), "families": dict(Counter(line["family"] for line in lines))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("model", "plt", "clt", "corpus"), help="run one stage")
    only = parser.parse_args().only
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    facts = read_facts()
    stages: dict[str, Callable[[], None]] = {
        "model": lambda: model_stage(facts),
        "plt": lambda: transcoder_stage("plt", facts),
        "clt": lambda: transcoder_stage("clt", facts),
        "corpus": lambda: corpus_stage(facts),
    }
    for name, stage in stages.items():
        if only in (None, name):
            torch.manual_seed(SEED)
            stage()


if __name__ == "__main__":
    main()
