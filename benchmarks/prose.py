"""The text that benchmarks use as prompts: plain English of any length, the same everywhere."""

from __future__ import annotations

from itertools import islice
from pydoc_data.topics import topics
from typing import Any

PROSE = """The old lighthouse stood at the end of a narrow road, and every evening the keeper climbed the stairs to
light the lamp. He had come to the island as a young man, when the harbour was full of fishing boats and the
village had two schools and a market. Now most of the families had moved to the city, where the work was,
and only a few boats went out in the morning. Still, the ships that passed at night needed the light, so he
stayed. In winter the wind blew the sea over the wall, and on such nights he read old letters until the
storm was over."""


def prompt_tokens(tokenizer: Any, num_tokens: int) -> list[int]:
    """Return a leading special token and the first tokens of the text, `num_tokens` in all.

    After the prose follow the help topics of the Python that runs this.
    """
    special = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    leading = [next(token for token in special if token is not None)]
    texts = (PROSE.replace("\n", " "), *(topics[name] for name in sorted(topics)))
    tokens = (token for text in texts for token in tokenizer(text, add_special_tokens=False)["input_ids"])
    return [*leading, *islice(tokens, num_tokens - len(leading))]
