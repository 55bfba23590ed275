"""Readers of what a model's folder holds beside weights: its configurations, its tokenizer and its chat template.

transformers and tokenizers read them first, so that what passes through those is asked for here too.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from distributed_tracer.model.load import load_model, load_tokenizer, model_shape
from distributed_tracer.model.tokenize import chat_text, single_token, token_strings, tokenize
from distributed_tracer.plain_values import messages
from distributed_tracer.prompt import Prompt
from distributed_tracer.shapes import ModelShape

MODEL = Path(__file__).parents[1] / "cases" / "llama_relu_plt" / "model"
_SHAPE = ModelShape("llama", 4, 48, 4, 2, 12, 320, 128, 100_000)
_CHAT = messages([{"role": "system", "content": "é"}, {"role": "user", "content": "Texas?"}], ValueError)


def beside(folder: Path, name: str, data: bytes) -> str:
    """The folder with one file of the model as given, the others as they are."""
    for path in MODEL.iterdir():
        if path.name != name and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    (folder / name).write_bytes(data)
    return str(folder)


def read_model_config(data: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(data)
    model_shape(str(folder))


def read_whole_model(name: str, data: bytes, folder: Path) -> None:
    """With its weights, as these are compared with it, and it decides what is computed."""
    load_model(beside(folder, name, data), device_map="cpu")


def read_tokenizer(name: str, data: bytes, folder: Path) -> None:
    """A tokenizer that can be loaded gives tokens and names, or says which prompt it has none for."""
    tokenizer = load_tokenizer(beside(folder, name, data))
    token_strings(range(330), tokenizer)
    tokenize(Prompt("t", text="Fact: the capital of é"), tokenizer, _SHAPE)
    tokenize(Prompt("i", tokens=(5, 6)), tokenizer, _SHAPE)
    if tokenizer.chat_template:
        tokenize(Prompt("c", messages=_CHAT), tokenizer, _SHAPE)
    single_token("a", tokenizer)


def read_chat_template(data: bytes, folder: Path) -> None:
    tokenizer = _tokenizer()
    tokenizer.chat_template = data.decode("utf-8", "replace")
    chat_text(Prompt("c", messages=_CHAT), tokenizer)


@cache
def _tokenizer() -> Any:
    return load_tokenizer(str(MODEL))


def _config(**changed: Any) -> bytes:
    return json.dumps(json.loads((MODEL / "config.json").read_bytes()) | changed).encode()


_SCALED = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 9,
}
_INSIDE = {"model_type": "gemma3_text", "num_hidden_layers": 2, "hidden_size": 16, "head_dim": 4, "vocab_size": 99}
_SEES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONFIGS = (
    _config(rope_scaling=_SCALED | {"original_max_position_embeddings": 64}),
    _config(model_type="gemma2", architectures=["Gemma2ForCausalLM"], sliding_window=8, final_logit_softcapping=30.0),
    _config(model_type="qwen2_moe", mlp_only_layers=[1], **_EXPERTS),
    _config(model_type="gpt_neox", use_parallel_residual=True, rotary_pct=0.25),
    json.dumps({"model_type": "gemma3", "text_config": _INSIDE, "vision_config": _SEES}).encode(),
    _config(quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]}),
)
WHOLE_CONFIGS = (_config(),)
GENERATION = (
    (MODEL / "generation_config.json").read_bytes(),
    b'{"do_sample": true, "top_k": 64, "top_p": 0.95, "eos_token_id": [1, 106], "cache_implementation": "hybrid"}',
)
TOKENIZERS = ((MODEL / "tokenizer.json").read_bytes(),)
TOKENIZER_CONFIG = (MODEL / "tokenizer_config.json").read_bytes()
TEMPLATE = b"""{%- for message in messages -%}
{%- if message['role'] not in ('system', 'user', 'assistant') -%}{{ raise_exception('no such role') }}{%- endif -%}
{{ '<' + message.role + '>' + message.content | trim + '\\n' * 2 }}
{%- endfor -%}{{ strftime_now('%d %b %Y') }}
{%- set ns = namespace(n=1) -%}{%- for i in range(3) -%}{%- set ns.n = ns.n * (10 + i) -%}{%- endfor -%}{{ ns.n }}
{%- macro m(x, y=[1, {'a': 2}]) -%}{{ x | tojson(indent=2) }}{{ y[1].a }}{{ "%5d" % 7 }}{%- endmacro -%}
{{ m('a'.upper()) }}
{%- if add_generation_prompt -%}<assistant>{%- endif -%}
"""
TOKENIZER_CONFIGS = (
    TOKENIZER_CONFIG,
    json.dumps(json.loads(TOKENIZER_CONFIG) | {"chat_template": TEMPLATE.decode()}).encode(),
)
