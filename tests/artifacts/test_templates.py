"""Template texts of users and models are rendered in a sandbox.

What would break: a prompt template that came with a model could run code on this machine, or a
misspelt name in a template would render as an empty text and a teacher would be asked nonsense.
"""

import pytest

from montessori.artifacts.templates import TemplateKind, render_template, sandboxed_environment
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
