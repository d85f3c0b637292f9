"""The template of the prompts that ask for an instruction."""

from collections.abc import Sequence
from pathlib import Path

from montessori.artifacts.templates import TemplateKind, read_template, render_template
from montessori.errors import MontessoriError
from montessori.formats.tags import tag_turns

KIND = TemplateKind(
    label="the instruction template",
    key="instruction.template",
    example="data/micro/prompts/instruction.jinja",
)
#: The lab's instruction prompt; data/micro/prompts/instruction.jinja holds the same text.
LAB_INSTRUCTION = (
    "Write one new instruction.\n{% for example in examples %}{{ example }}\n{% endfor %}"
)


def render_instruction_prompt(examples: Sequence[str], template: str = LAB_INSTRUCTION) -> str:
    """What asks for a new instruction, from `examples` as the format shows them.

    `template` is jinja text that sees one name, `examples`. Raises MontessoriError when the
    template is malformed jinja or uses another name.
    """
    return render_template(template, KIND, examples=list(examples))


def load_template(path: Path, ends_with_examples: bool = False) -> str:
    """The text of an instruction template, checked to show two examples in their order.

    Raises MontessoriError when the file is missing or does not show every example; with
    `ends_with_examples` also when a text stands behind them, which a list cannot be continued over.
    """
    template = read_template(path, KIND)
    first, second = tag_turns(["first"]), tag_turns(["second"])
    text = render_instruction_prompt([first, second], template)
    if not -1 < text.find(first) < text.find(second):
        raise MontessoriError(
            "the instruction template does not show its examples",
            where=str(path),
            expected="every element of `examples`, as it is and in order",
            next=f"compare with {KIND.example}",
        )
    if ends_with_examples and not text.rstrip().endswith(second):
        raise MontessoriError(
            "the instruction template goes on behind its examples, so no list can be continued",
            where=str(path),
            expected="examples at the end, because instruction.format is list",
            next="set instruction.template: montessori/templates/list.jinja",
        )
    return template
