"""The demo's language model: its size, and how it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .facts import Sentence
from .paths import MODEL_DIR
from .schedule import shuffled_batches, warm_up_then_cosine
from .tokenizer import PAD_ID, first_token_id, padded

WIDTH_D = 160
LAYERS_L = 4
BRIDGE_LAYER = LAYERS_L // 2
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """Token ids, next-token targets and their loss weights, padded on the right.

    For facts with a bridge also its first token (else IGNORE), and where the prompt ends.
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
        rows.append(([*full_ids, tokenizer.eos_token_id], len(prompt_ids) - 1))
    return Batch(
        ids_BP=padded([ids for ids, _ in rows]),
        targets_BP=padded([[*ids[1:], IGNORE] for ids, _ in rows], IGNORE),
        weights_BP=padded([[0.1] * last + [1.0] * (len(ids) - 1 - last) + [0.0] for ids, last in rows]),
        bridge_B=torch.tensor([bridge_token_id(tokenizer, sentence) for sentence in sentences]),
        last_B=torch.tensor([last for _, last in rows]),
    )


def bridge_token_id(tokenizer: PreTrainedTokenizerFast, sentence: Sentence) -> int:
    """The first token of the unspoken middle of a sentence; quoted words have no space before them."""
    bridge = sentence.fact.bridge
    if bridge is None:
        return IGNORE
    return first_token_id(tokenizer, bridge if sentence.prompt.endswith('"') else " " + bridge)


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


def train_model(
    tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sentence], steps: int = 850, batch_size: int = 96
) -> LlamaForCausalLM:
    """Fit the language model to the sentences it may see.

    Strong weight decay matters: it makes one circuit for "state of this city" that both the one-hop and the
    two-hop sentences use cheaper than two memories, and so carries over to the held-out cities.  A model this
    small would still look up city and capital in a single step of its first layer.  To get a computation with
    visible steps, a second loss asks sentences with a bridge to have it half-way up the residual stream: two-hop
    ones the state or country, opposites and translations the English word, so that French and Chinese are applied in
    what follows.
    """
    data = encode_sentences(tokenizer, sentences)
    model = new_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.3)
    schedule = warm_up_then_cosine(optimizer, steps, warmup=100)
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


def load_model() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR)
    model.eval()  # type: ignore[no-untyped-call]
    return cast(LlamaForCausalLM, model), cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(MODEL_DIR))
