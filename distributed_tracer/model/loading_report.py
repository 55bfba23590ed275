"""Check the library's report on a loaded checkpoint: missing or unexpected tensors are errors, with few exceptions."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import ModelError
from ..text import and_more

_UNUSED = re.compile(
    r"(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|audio_tower|embed_vision|embed_audio|mtp)\."
)
"""Names of parts that no forward pass over text uses: encoders of images and sound, and heads that predict several
tokens at once."""
_BUFFERS = re.compile(r"\.(rotary_emb\.(inv_freq|(cos|sin)_cached)|(attn|attention)\.(bias|masked_bias)|position_ids)$")
"""Names of constants that old checkpoints store and the library computes: rotary tables, causal masks, positions."""
_PREFIXES = {
    "_orig_mod.": "they were saved from a compiled model: save the model inside it, `model._orig_mod`",
    "base_model.model.": "they were saved from peft's wrapper: `merge_and_unload()` it and save the result",
    "module.": "they were saved from a parallel wrapper: save the model inside it, `model.module`",
}
_NAMED = 3


def check_report(model: str, report: Mapping[str, Collection[Any]]) -> None:
    """Raise ModelError that names the tensors that are missing, unexpected or of another shape, if there are any.

    `report` is what `from_pretrained(..., output_loading_info=True)` returns besides the model.
    """
    missing = sorted(name for name in report["missing_keys"] if not _UNUSED.search(name))
    unexpected = sorted(
        name for name in report["unexpected_keys"] if not _UNUSED.search(name) and not _BUFFERS.search(f".{name}")
    )
    mismatched = sorted(
        f"{name} ({list(stored)} in the file, {list(wanted)} by config.json)"
        for name, stored, wanted in report["mismatched_keys"]
    )
    problems = [
        f"{len(names)} {what} ({_some(names)})"
        for names, what in (
            (missing, "missing, which would be random numbers"),
            (unexpected, "not of this architecture, which would be ignored"),
            (mismatched, "of another shape"),
        )
        if names
    ]
    if not problems and not report["error_msgs"]:
        return
    problems += [str(message) for message in report["error_msgs"]]
    hints = [why for prefix, why in _PREFIXES.items() if unexpected and all(n.startswith(prefix) for n in unexpected)]
    remedy = hints[0] if hints else "copy or download the checkpoint again, or give the config.json that it came with"
    raise ModelError(
        f"the tensors of model {model!r} are not those that its config.json asks for: {'; '.join(problems)}. "
        f"{remedy[0].upper()}{remedy[1:]}."
    )


def check_codes(model: str, integers: Collection[str]) -> None:
    """Raise ModelError for weights that are stored as integers although no quantisation config says what they mean.

    The library would use the integers themselves as weights.
    """
    codes = [name for name in integers if not _UNUSED.search(name) and not _BUFFERS.search(f".{name}")]
    if codes:
        raise ModelError(
            f"model {model!r} stores {len(codes)} tensors as whole numbers ({_some(codes)}), and its config.json has "
            "no quantization_config that says what they stand for: give the checkpoint that this one was made from"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence two messages of the library inside the block.

    They are its report, a coloured table (`check_report` reports what matters), and its warning that quantised weights
    are converted.
    """
    logger, kept = logging.getLogger("transformers.modeling_utils"), _NoReport()
    logger.addFilter(kept)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You passed `quantization_config`")
            yield
    finally:
        logger.removeFilter(kept)


class _NoReport(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()


def _some(names: Collection[str]) -> str:
    return ", ".join(list(names)[:_NAMED]) + and_more(len(names) - _NAMED)
