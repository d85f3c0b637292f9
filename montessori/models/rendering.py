"""A dialogue as the text that a tokenizer's chat template makes of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from montessori.artifacts.bounded import TEMPLATE_FAULTS, describe_fault
from montessori.errors import MontessoriError
from montessori.models.turns import Message, Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def require_template(tokenizer: "PreTrainedTokenizerFast") -> str:
    """The tokenizer's chat template. Raises MontessoriError without one."""
    template = tokenizer.chat_template
    if not isinstance(template, str):
        raise no_template_error(str(tokenizer.name_or_path))
    return template


def no_template_error(where: str) -> MontessoriError:
    """The error of a model without a chat template."""
    return MontessoriError(
        "the model has no chat template",
        where=where,
        expected="chat_template.jinja beside tokenizer.json",
        next="set model.fallback_template in params.yaml, then run `dvc repro`",
    )


def render_dialogue(
    tokenizer: "PreTrainedTokenizerFast",
    messages: Sequence[Message],
    prompt: bool,
    spans: bool = False,
) -> tuple[str, list[Span]]:
    """The dialogue's text and, with `spans`, the character ranges of `{% generation %}` blocks.

    With `prompt` it ends where the assistant begins to write. Raises MontessoriError where the
    template refuses the dialogue.
    """
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        texts, ranges = render_jinja_template(
            conversations=[list(messages)],
            chat_template=require_template(tokenizer),
            add_generation_prompt=prompt,
            return_assistant_tokens_mask=spans,
            **tokenizer.special_tokens_map,
        )
    except (TemplateError, *TEMPLATE_FAULTS) as error:
        roles = ", ".join(message["role"] for message in messages)
        raise MontessoriError(
            f"the chat template refuses a dialogue: {describe_fault(error)}",
            where=f"{tokenizer.name_or_path}, roles {roles}",
            expected="a template that renders alternating user and assistant turns",
            next="put a simpler chat_template.jinja into the base model's folder",
        ) from error
    return texts[0], ranges[0] if spans else []
