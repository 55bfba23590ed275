"""Small tokenizers of the kinds that models have besides byte-level BPE without a leading token."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

CHAT = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_PIECES = [
    *("<pad>", "<bos>", "<eos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
    *(f"<0x{byte:02X}>" for byte in range(256)),
    *("▁", "T", "e", "x", "a", "s", "o", "f", "u", "r", "m", "d", "l", "\n", "Te", "xa", "Texa", "Texas", "▁Texas"),
    *("▁▁", "of", "▁of", "国"),
]
_MERGES = ["T e", "x a", "Te xa", "Texa s", "▁ Texas", "o f", "▁ of", "▁ ▁"]


def sentencepiece(space_first: bool = False, adds_bos: bool = True) -> PreTrainedTokenizerFast:
    """Return a tokenizer like Gemma's, or, with `space_first`, like Llama 2's, which puts a space before every text.

    `<bos>` is 1; `Texas` and `▁Texas` are tokens.
    """
    vocabulary = {piece: number for number, piece in enumerate(_PIECES)}
    merges = [tuple(merge.split(" ")) for merge in _MERGES]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    marked = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), marked]) if space_first else marked
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if space_first else steps)
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    named = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")}
    turns = ["<start_of_turn>", "<end_of_turn>"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, additional_special_tokens=turns, **named)
