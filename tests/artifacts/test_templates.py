"""Template texts of users and models are rendered in a sandbox.

What would break: a prompt template that came with a model could run code on this machine, a
misspelt name would render as an empty text and a teacher would be asked nonsense, or a template
that never ends would hold a stage for hours.
"""

import pytest

from montessori.artifacts.bounded import limit_rendering
from montessori.artifacts.templates import (
    TemplateKind,
    read_template,
    render_template,
    sandboxed_environment,
)
from montessori.errors import MontessoriError

KIND = TemplateKind("the text", "section.key", "example.jinja")


def test_names_are_filled_in():
    text = "{% for turn in turns %}{{ turn }}!{% endfor %}"
    assert render_template(text, KIND, turns=["a", "b"]) == "a!b!"


@pytest.mark.parametrize(
    "text",
    [
        "{{ misspelt }}",
        "{% if %}",
        "{{ name.__class__.__mro__ }}",
        "{{ names.append(1) }}",
        "{{ 1 / 0 }}",
        "{{ 1 + name }}",
        "{{ names[7].x }}",
        "{% include 'other' %}",
        "{% for i in range(10 ** 12) %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% if true %}" * 1000 + "{% endif %}" * 1000,
    ],
)
def test_what_cannot_or_may_not_render_is_an_error_that_names_key_and_example(text: str):
    with pytest.raises(MontessoriError, match="the text does not render") as error:
        render_template(text, KIND, name="x", names=[])
    assert "section.key" in error.value.where
    assert "`name`, `names`" in error.value.expected
    assert "example.jinja" in error.value.next


def test_options_are_those_of_jinja():
    environment = sandboxed_environment(trim_blocks=True)
    assert environment.from_string("{% if true %}\na{% endif %}").render() == "a"


def test_a_template_that_does_not_end_is_stopped():
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    endless = sandboxed_environment().from_string(loops)
    with pytest.raises(TimeoutError), limit_rendering(seconds=0.1):
        endless.render()


def test_a_text_that_fills_the_memory_is_refused_and_memory_is_free_again():
    with pytest.raises(MemoryError), limit_rendering(memory=1 << 26):
        sandboxed_environment().from_string("{{ 'x' * 10 ** 9 }}").render()
    assert len("x" * 10**8) == 10**8


def test_a_template_that_is_no_text_is_named(tmp_path):
    (tmp_path / "x.jinja").write_bytes(b"a\xff")
    with pytest.raises(MontessoriError, match="not UTF-8 text") as error:
        read_template(tmp_path / "x.jinja", KIND)
    assert "x.jinja" in error.value.where
    assert "section.key" in error.value.next
