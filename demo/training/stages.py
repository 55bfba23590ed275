"""The stages of making the demo, each from files to files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .activations import mlp_activations
from .answers import accuracy_results, country_swap_share, meaning_swap_share, state_swap_share
from .corpus import corpus_sentences, write_corpus
from .facts import Fact, all_sentences, canonical_sentences, split_sentences
from .fit import fit_results, replaced_mlps
from .language_model import LAYERS_L, WIDTH_D, load_model, train_model
from .paths import MODEL_DIR
from .report import Json, update_report
from .tokenizer import save_tokenizer, train_tokenizer
from .transcoder_files import load_transcoders, save_transcoders
from .transcoders import DICTIONARY_S, Kind, train_transcoders


def make_model(facts: Sequence[Fact]) -> None:
    """Tokenizer and model; two-hop sentences about held-out cities are kept from the model."""
    sentences = all_sentences(facts)
    tokenizer = train_tokenizer(sentences)
    started = time.monotonic()
    model = train_model(tokenizer, [sentence for sentence in sentences if not sentence.fact.held_out])
    seconds = time.monotonic() - started
    model.save_pretrained(MODEL_DIR)
    save_tokenizer(tokenizer)
    update_report("model", {"training_seconds": round(seconds)} | model_results(model, tokenizer, facts))


def model_results(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, facts: Sequence[Fact]) -> Json:
    """Size of the model and how well it answers."""
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": LAYERS_L,
        "width": WIDTH_D,
        "vocabulary": len(tokenizer),
        "training_sentences": sum(not sentence.fact.held_out for sentence in all_sentences(facts)),
        "accuracy": accuracy_results(model, tokenizer, canonical_sentences(facts)),
        "state_swap_follows": round(state_swap_share(model, tokenizer, facts), 4),
        "country_swap_follows": round(country_swap_share(model, tokenizer, facts), 4),
        "meaning_swap_follows": round(meaning_swap_share(model, tokenizer, facts), 4),
    }


def make_transcoders(kind: Kind, facts: Sequence[Fact], name: str) -> None:
    """One transcoder set, in the folder of this name, measured after rounding on text that it has not seen."""
    model, tokenizer = load_model()
    training_texts, held_out_texts = split_sentences(facts)
    training = mlp_activations(model, tokenizer, training_texts).limited(repeats=16)
    held_out = mlp_activations(model, tokenizer, held_out_texts)
    corpus = mlp_activations(model, tokenizer, [sentence.prompt for sentence in corpus_sentences(facts)])
    started = time.monotonic()
    save_transcoders(train_transcoders(kind, training), name)
    seconds = time.monotonic() - started
    transcoders = load_transcoders(kind, name)
    with replaced_mlps(model, transcoders):
        replaced = accuracy_results(model, tokenizer, canonical_sentences(facts))
    ever_active_LS = (transcoders.encode(training.inputs_LID) > 0).any(1)
    results = {
        "parameters": sum(parameter.numel() for parameter in transcoders.parameters()),
        "features_per_layer": DICTIONARY_S,
        "training_seconds": round(seconds),
        "held_out_text": fit_results(transcoders, held_out),
        "held_out_text_new_contexts": fit_results(transcoders, held_out.unseen_in(training)),
        "corpus_prompts": fit_results(transcoders, corpus),
        "features_never_active": (~ever_active_LS).sum(1).tolist(),
        "accuracy_with_replaced_mlps": replaced,
    }
    update_report(name, results)


def make_corpus(facts: Sequence[Fact]) -> None:
    _model, tokenizer = load_model()
    lines = write_corpus(tokenizer, facts)
    update_report("corpus", {"prompts": len(lines), "families": dict(Counter(line["family"] for line in lines))})


STAGES: dict[str, Callable[[Sequence[Fact]], None]] = {
    "model": make_model,
    "plt": lambda facts: make_transcoders("plt", facts, "plt"),
    "clt": lambda facts: make_transcoders("clt", facts, "clt"),
    "plt-seed1": lambda facts: make_transcoders("plt", facts, "plt-seed1"),
    "corpus": make_corpus,
}
"""The stages by name, in order."""

SEEDS = {"plt-seed1": 1}
"""The seed of a stage, where it is not 0: this one differs from the stage `plt` in nothing else."""
