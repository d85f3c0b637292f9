"""Chat templates: each way in which one cannot carry a dialogue is named before a model is used.

What would break: a model is trained with a template that hides the answer, never ends a turn or
drops earlier turns, and only its bad scores show it; or training refuses, after hours, a template
that the stage `models` took.
"""

import time
from functools import partial
from pathlib import Path

import pytest

from montessori.artifacts.bounded import limit_rendering
from montessori.errors import MontessoriError
from montessori.models import template_check
from montessori.models.template_check import TriedTokens, check_template

ROOT = Path(__file__).parents[2]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
GOOD = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def check(template: str, endings: tuple[str, ...] = ("</s>",)) -> list[str]:
    """Check a template of a model that stops at `endings`."""
    return check_template(template, TriedTokens(TOKENS, endings), "folder/chat_template.jinja")


def test_a_plain_template_passes():
    check(GOOD)


@pytest.mark.parametrize("file", ["data/micro/prompts/chat_template.jinja"])
def test_the_shipped_templates_pass(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    check_template(text, TriedTokens({}, ("<|end|>",)), file)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% for m in messages %}", "it does not render"),
        ("{{ raise_exception('no system role') }}", "no system role"),
        ("{{ messages[0]['content'] + 3 }}", "it does not render"),
        ("{{ unknown.attribute }}", "it does not render"),
        (GOOD + "{{ 1 / 0 }}", "it does not render (ZeroDivisionError"),
        (GOOD + "{% for i in range(10 ** 12) %}{% endfor %}", "it does not render (OverflowError"),
        ("{% if true %}" * 1000 + GOOD + "{% endif %}" * 1000, "it does not render"),
        (GOOD + "{{ 'x' * 20000000 }}", "characters of a short dialogue"),
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
        "{% if m['role'] == 'assistant' %}:{% generation %}{{ m['content'] + eos_token }}"
        "{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}{%- endfor -%}"
        "{% if add_generation_prompt %}:{% endif %}{% if tools %}tools{% endif %}"
    )


@pytest.mark.parametrize(
    ("end", "passes"),
    [(" [/INST]", True), (" [/INST] ", True), (" [/INST]\n[assistant]", False)],
    ids=["Mistral", "a blank", "a header that nobody writes"],
)
def test_the_end_of_the_question_may_be_the_prompt(end, passes):
    """The templates of Llama 2 and Mistral 7B heed no add_generation_prompt."""
    template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] + ' [/INST]' }}"
        f"{{% else %}}{{{{ {end.removeprefix(' [/INST]')!r} + m['content'] + eos_token }}}}"
        "{% endif %}{% endfor %}"
    )
    if passes:
        check(template)
    else:
        with pytest.raises(MontessoriError, match="no generation prompt"):
            check(template)


def test_a_template_that_opens_a_thought_only_in_the_prompt_is_refused_with_the_option_that_helps():
    """Nemotron 3: prompts end with <think>, rows of a model that did not think do not."""
    prompt = "{% if add_generation_prompt %}[assistant] "
    opened = "{{ '' if enable_thinking is defined and not enable_thinking else '<think>' }}"
    template = GOOD.replace(prompt, prompt + opened)
    with pytest.raises(MontessoriError, match="answered question does not begin") as error:
        check(template)
    assert "model.template_options: {enable_thinking: false}" in error.value.next
    check("{% set enable_thinking = false %}\n" + template)


def test_a_prompt_that_the_tokenizer_joins_with_the_answer_is_refused():
    """Llama 3's template ends the prompt in two new lines, which GPT-2's expression takes apart."""

    def encode(text: str) -> list[int]:
        return list(map(ord, text.replace("] It", "\0")))

    tried = TriedTokens(TOKENS, ("</s>",), (), encode)
    with pytest.raises(MontessoriError, match="are one token"):
        check_template(GOOD.replace("}] {{", "}] {{"), tried, "folder")


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("{% generation %}{{ m['content'] + eos_token }}{% endgeneration %}", None),
        ("{% generation %}{{ m['content'] }}{% endgeneration %}{{ eos_token }}", None),
        ("{% generation %}{{ m['content'] }}{% endgeneration %} .{{ eos_token }}", "the end of"),
        ("{{ m['content'] }}{% generation %}{{ eos_token }}{% endgeneration %}", "not hold the"),
    ],
)
def test_blocks_hold_what_is_learned(block, problem):
    template = GOOD.replace(
        "{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}",
        "{% if m['role'] == 'assistant' %}" + block + "{% else %}{{ m['content'] }}{% endif %}",
    )
    assert template != GOOD
    if problem is None:
        assert check(template) == []
    else:
        with pytest.raises(MontessoriError, match=problem):
            check(template)


def test_what_a_template_cannot_do_is_said():
    assert check(GOOD) == []
    two = GOOD.replace(
        "m['content'] }}", "m['content'] if loop.last or m['role'] == 'user' else '' }}"
    )
    with pytest.raises(MontessoriError, match="does not show all turns"):
        check(two)
    thoughts = GOOD.replace(
        "[{{ m['role'] }}] {{",
        "[{{ m['role'] }}] {{ '<think></think>' if loop.last and m['role'] == 'assistant' }}{{",
    )
    assert "by each answer's place" in " ".join(check(thoughts))
    no_system = GOOD.replace(
        "{% for m in messages %}",
        "{% for m in messages %}"
        "{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}",
    )
    assert "no system message" in " ".join(check(no_system))


LOOP = "{% for i in range(%d) %}{% for j in range(1000) %}{% endfor %}{% endfor %}"


def test_a_template_that_does_not_end_is_refused(monkeypatch):
    monkeypatch.setattr(template_check, "limit_rendering", partial(limit_rendering, seconds=0.2))
    with pytest.raises(MontessoriError, match="does not render .it does not end within"):
        check(LOOP.replace("%d", "100000") + GOOD)


def test_each_rendering_has_the_time_of_its_own(monkeypatch):
    """A slow template is rendered some dozen times in a check, which no limit may add up."""
    began = time.process_time()
    monkeypatch.setattr(template_check, "limit_rendering", partial(limit_rendering, seconds=0.8))
    check(LOOP.replace("%d", "2000") + GOOD)
    assert time.process_time() - began > 0.8
