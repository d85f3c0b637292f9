"""Chat templates: each way in which one cannot carry a dialogue is named before a model is used.

What would break: a model is trained with a template that hides the answer, never ends a turn or
drops earlier turns, and only its bad scores show it.
"""

from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.models.template_check import check_template

ROOT = Path(__file__).parents[2]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
GOOD = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def check(template: str, endings: tuple[str, ...] = ("</s>",)) -> None:
    """Check a template of a model that stops at `endings`."""
    check_template(template, TOKENS, endings, "folder/chat_template.jinja")


def test_a_plain_template_passes():
    check(GOOD)


@pytest.mark.parametrize("file", ["data/micro/prompts/chat_template.jinja"])
def test_the_shipped_templates_pass(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    check_template(text, {}, ("<|end|>",), file)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% for m in messages %}", "it does not render"),
        ("{{ raise_exception('no system role') }}", "no system role"),
        ("{{ messages[0]['content'] + 3 }}", "it does not render"),
        ("{{ unknown.attribute }}", "it does not render"),
        ("{{ cycler.__init__.__globals__ }}", "it does not render"),
        ("[assistant] {{ eos_token }}", "it does not show what the user says"),
        (
            "{{ messages[0]['content'] }}{% if add_generation_prompt %}>{% endif %}",
            "it does not show what the assistant says",
        ),
        (
            GOOD.replace("{% if add_generation_prompt %}[assistant] {% endif %}", ""),
            "it has no generation prompt",
        ),
        (
            GOOD.replace("{{ eos_token }}", ""),
            "an assistant turn does not end with a token the model stops at (</s>)",
        ),
        (
            GOOD.replace("for m in messages", "for m in messages[:2]"),
            "it does not show all turns of a dialogue",
        ),
    ],
)
def test_a_template_that_cannot_carry_a_dialogue_is_refused(template, problem):
    with pytest.raises(MontessoriError) as error:
        check(template)
    assert problem in error.value.what
    assert error.value.where == "folder/chat_template.jinja"
    assert "model.fallback_template" in error.value.next


def test_any_of_the_tokens_that_a_model_stops_at_may_end_a_turn():
    template = GOOD.replace("{{ eos_token }}", "<|im_end|>")
    check(template, ("</s>", "<|im_end|>"))
    with pytest.raises(MontessoriError, match="does not end with a token"):
        check(template, ("</s>",))


def test_an_end_before_the_answer_is_no_end():
    """The token must follow the answer: a turn that begins with it never ends."""
    template = GOOD.replace("[{{ m['role'] }}]", "</s>[{{ m['role'] }}]").replace(
        "{{ eos_token }}", ""
    )
    with pytest.raises(MontessoriError, match="does not end with a token"):
        check(template)


def test_the_functions_that_published_templates_use_are_there():
    check(
        "{%- set day = strftime_now('%Y') -%}{{ {'a': 'é'} | tojson }}"
        "{%- for m in messages -%}{%- if m['role'] == 'system' -%}{%- continue -%}{%- endif -%}"
        "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + eos_token }}"
        "{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}{%- endfor -%}"
        "{% if add_generation_prompt %}:{% endif %}{% if tools %}tools{% endif %}"
    )
