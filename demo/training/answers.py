"""Whether the model answers right, and by the steps that it should take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .facts import Fact, Sentence, canonical_sentences
from .language_model import BRIDGE_LAYER
from .report import Json
from .tokenizer import first_token_id, padded

EVAL_BATCH = 256


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


def accuracy_results(model: nn.Module, tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sentence]) -> Json:
    """Share of right answers by family and language, with the held-out two-hop facts apart."""
    groups: dict[str, list[bool]] = {}
    for sentence, right in zip(sentences, correct_answers(model, tokenizer, sentences), strict=True):
        fact = sentence.fact
        suffix = f"-{fact.language}" if fact.family in ("opposite", "translation") else ""
        name = "two-hop-held-out" if fact.held_out else fact.family + suffix
        groups.setdefault(name, []).append(right)
    return {name: {"n": len(group), "accuracy": round(sum(group) / len(group), 4)} for name, group in groups.items()}


def state_swap_share(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> float:
    """How often the state held half-way up decides the capital, over the held-out two-hop facts.

    The stream at the end of "the capital of the state containing A is" is overwritten with that of "the state
    containing B is".  A model that composes its facts must then answer the capital of B's state.
    """
    one_hop = {s.fact.key: s for s in canonical_sentences(facts) if s.fact.family == "city-state"}
    two_hop = [s for s in canonical_sentences(facts) if s.fact.held_out]
    donors = [s for s in two_hop if s.fact.bridge != two_hop[0].fact.bridge] + two_hop[:2]
    swaps = [(s, one_hop[donor.fact.key], donor) for s, donor in zip(two_hop, donors, strict=True)]
    return _swap_share(model, tokenizer, swaps)


def country_swap_share(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> float:
    """How often a country held half-way up in a state's place decides the capital, over the held-out two-hop facts."""
    sentences = canonical_sentences(facts)
    two_hop = [s for s in sentences if s.fact.held_out]
    abroad = [s for s in sentences if s.fact.family == "two-hop-abroad"]
    of = {s.fact.key: s for s in sentences if s.fact.family == "city-country"}
    return _swap_share(model, tokenizer, [(s, of[a.fact.key], a) for s, a in zip(two_hop, abroad, strict=False)])


def meaning_swap_share(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> float:
    """How often what is held half-way up in English decides the opposite that is said in French or Chinese.

    The stream at the end of a question about A in French is overwritten with that of the question about B in English.
    A model that finds the meaning first and its word after that must then answer the opposite of B, in French.
    """
    asked = {lang: [s for s in canonical_sentences(facts) if s.fact.language == lang] for lang in ("en", "fr", "zh")}
    english, *others = ([s for s in sentences if s.fact.family == "opposite"] for sentences in asked.values())
    swaps = []
    for sentences in others:
        of = dict(zip([s.fact.key for s in sentences], sentences, strict=True))
        for sentence, donor in zip(sentences, english[2:] + english[:2], strict=True):
            swaps.append((sentence, donor, of[donor.fact.key]))
    return _swap_share(model, tokenizer, swaps)


@torch.no_grad()
def _swap_share(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    swaps: Sequence[tuple[Sentence, Sentence, Sentence]],
) -> float:
    """Of (asked, donor of the stream half-way up at its end, whose answer is expected): how often it is given."""
    hits = 0
    for asked, donor, expected in swaps:
        donor_ids = tokenizer(donor.prompt, return_tensors="pt")["input_ids"]
        donated_D = model(input_ids=donor_ids, output_hidden_states=True).hidden_states[BRIDGE_LAYER][0, -1]

        def swap(_layer: nn.Module, args: tuple[Tensor], donated_D: Tensor = donated_D) -> tuple[Tensor]:
            return (torch.cat([args[0][:, :-1], donated_D[None, None]], 1),)

        handle = model.model.layers[BRIDGE_LAYER].register_forward_pre_hook(swap)
        ids = tokenizer(asked.prompt, return_tensors="pt")["input_ids"]
        hits += int(model(input_ids=ids).logits[0, -1].argmax()) == first_token_id(tokenizer, expected.answer)
        handle.remove()
    return hits / len(swaps)
