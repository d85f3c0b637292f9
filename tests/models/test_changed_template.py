"""Templates that pass for generation alone become ones that rows can be trained on.

What would break: a thinking family is refused although its rows have a place in its template, or it
is trained on other prompts than it is asked with, or learns no end of its turn.
"""

import logging
from pathlib import Path

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from montessori.errors import MontessoriError
from montessori.models.changed_template import change_template
from montessori.models.prepare_template import FoundTemplate, settle_found
from montessori.models.template_check import TriedTokens, check_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
PROMPT = "{% if add_generation_prompt %}"
#: As DeepSeek-R1's: only the prompt opens a thought.
OPENED = (
    "{{ bos_token }}{% set ns = namespace(n=0) %}{% for m in messages %}[{{ m['role'] }}] "
    "{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    f"{PROMPT}[assistant] {{{{ '<think>\\n' }}}}{{% endif %}}\n"
)
#: As GLM-4's: a turn ends where the next one begins.
UNENDED = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    f"{PROMPT}<|assistant|>\n{{% endif %}}\n"
)
BLOCK = "{% generation %}{{ m['content'] }}{% endgeneration %}"
QUESTION = {"role": "user", "content": "Why?"}
DIALOGUE = [QUESTION, {"role": "assistant", "content": "So."}]


def tried(*endings: str) -> TriedTokens:
    return TriedTokens(TOKENS, {"</s>", *endings}, {"</s>", "<|user|>", "<|assistant|>"})


def render(template: str, messages: list, prompt: bool) -> str:
    """By transformers itself."""
    texts, _ = render_jinja_template(
        [messages], chat_template=template, add_generation_prompt=prompt, **TOKENS
    )
    return texts[0]


def test_a_thought_that_rows_do_not_have_is_not_opened_by_the_prompt():
    changed, change = change_template(OPENED, tried())
    assert "<think>" in change
    assert check_template(changed, tried(), "here") == []
    prompt = render(OPENED, [QUESTION], True)
    assert prompt.endswith("[assistant] <think>\n")
    assert render(changed, [QUESTION], True) == prompt.removesuffix("<think>\n")
    for messages in (DIALOGUE, [*DIALOGUE, QUESTION]):
        assert render(changed, messages, False) == render(OPENED, messages, False)


def test_a_turn_ends_with_the_token_that_begins_the_next():
    known = tried("<|user|>")
    changed, change = change_template(UNENDED, known)
    assert "<|user|>" in change
    assert check_template(changed, known, "here") == []
    assert render(changed, DIALOGUE, False) == render(UNENDED, DIALOGUE, False) + "<|user|>"
    for messages, prompt in (([*DIALOGUE, QUESTION], False), ([*DIALOGUE, QUESTION], True)):
        assert render(changed, messages, prompt) == render(UNENDED, messages, prompt)


def test_a_token_that_the_model_is_not_said_to_stop_at_ends_no_turn():
    assert change_template(UNENDED, tried()) == (UNENDED, "")
    with pytest.raises(MontessoriError, match="does not end with a token") as error:
        check_template(UNENDED, tried(), "here")
    assert "stops at <|user|>" in error.value.next
    assert "eos_token_id in generation_config.json" in error.value.next


@pytest.mark.parametrize(
    "template",
    [
        OPENED.replace("'<think>\\n'", "'<think>\\n' if thinking is not defined or thinking"),
        OPENED.replace(
            "{{ m['content'] }}", "{% generation %}{{ m['content'] }}{% endgeneration %}"
        ),
        OPENED.replace("{{ '<think>\\n' }}", ""),
        UNENDED.replace("{{ m['content'] }}", ""),
        "{{ raise_exception('never') }}",
    ],
    ids=["an option helps", "blocks", "good as it is", "no help known", "does not render"],
)
def test_other_templates_stay_as_they_are(template: str):
    assert template not in (OPENED, UNENDED)
    assert change_template(template, tried("<|user|>")) == (template, "")


def test_the_stage_models_writes_the_changed_template_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        text, facts = settle_found(FoundTemplate(OPENED, "R1", {}), tmp_path, {}, TOKENS, {"</s>"})
    assert not render(text, [QUESTION], True).endswith("<think>\n")
    assert facts["template_change"] in caplog.text
    assert "R1: changed" in caplog.text
