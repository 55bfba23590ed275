"""The messages of a chat -> the text that the model reads, by the tokenizer's own chat template.

A template is a program from the model's repository: it runs in the sandbox that transformers keeps for it, and nowhere
else. It is told one and the same day as today's: else the prompts of a run that goes on tomorrow would be others.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ..display import printable
from ..errors import PromptError
from ..prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LONGEST = 600
_TODAY = datetime(2024, 7, 26)
"""What templates that write today's date write; it is the one that Llama 3's have where they cannot ask."""
_DIRECTIVES = {"%-d": "26", "%-m": "7"} | {f"%{letter}": _TODAY.strftime(f"%{letter}") for letter in "aAbBdHIjmMpSyY"}
_REPLACED = "".join(f"|replace('{directive}','{value}')" for directive, value in _DIRECTIVES.items())
_CLOCK = f"{{% macro strftime_now(format) %}}{{{{ format{_REPLACED} }}}}{{% endmacro %}}"
"""Stands before a template, in whose sandbox functions of Python cannot be given."""


def chat_text(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> str:
    """The messages as text, up to where the model answers; a last message of the assistant is continued.

    Raises PromptError where the tokenizer has no chat template, and for what the template refuses.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise PromptError(
            f"prompt {prompt.id!r} has messages, but this model's tokenizer has no chat template: give text or tokens"
        )
    goes_on = prompt.messages[-1][0] == "assistant"
    try:
        text = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in prompt.messages],
            chat_template=_CLOCK + tokenizer.get_chat_template(),
            tokenize=False,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
        )
    except Exception as error:  # whatever a template does wrong
        reason = printable(str(error).strip().partition("\n")[0] or type(error).__name__)[:_LONGEST]
        raise PromptError(f"prompt {prompt.id!r}: the chat template refuses its messages: {reason}") from error
    return str(text)
