"""Prompt texts and what is read from the answers.

What would break: teachers are shown other prompts than were recorded, or an instruction is read
from the wrong place of their text.
"""

from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.formats.prompts import LAB_INSTRUCTION, load_template, render_instruction_prompt
from montessori.formats.tags import Written, is_well_formed, parse_instruction, tag_turns

ROOT = Path(__file__).parents[2]
LAB_FILE = ROOT / "data" / "micro" / "prompts" / "instruction.jinja"
PAPER_FILE = ROOT / "montessori" / "templates" / "instruction.jinja"


def test_the_lab_prompt_is_exact_and_equal_to_its_file():
    examples = [tag_turns(["Add 1 and 2."]), tag_turns(["Sort 3, 1.", "Now reverse it."])]
    assert render_instruction_prompt(examples) == (
        "Write one new instruction.\n"
        "<instruction>Add 1 and 2.</instruction>\n"
        "<instruction>Sort 3, 1.</instruction>\n<follow-up>Now reverse it.</follow-up>\n"
    )
    from_file = render_instruction_prompt(examples, load_template(LAB_FILE))
    assert from_file == render_instruction_prompt(examples, LAB_INSTRUCTION)


def test_the_general_prompt_shows_all_examples_and_asks_for_tags():
    text = render_instruction_prompt(["<instruction>a</instruction>"], load_template(PAPER_FILE))
    assert "<instruction>a</instruction>" in text
    assert "inside <instruction> and </instruction>" in text


def test_examples_are_not_templates_themselves():
    assert "{{ 1 + 1 }}" in render_instruction_prompt([tag_turns(["{{ 1 + 1 }}"])])


@pytest.mark.parametrize("turns", [[], ["a", "b", "c"]])
def test_only_one_or_two_turns_have_tags(turns):
    with pytest.raises(ValueError, match="one or two"):
        tag_turns(turns)


@pytest.mark.parametrize(
    ("raw", "turns"),
    [
        ("Idea: add.\n<instruction>Add 1.</instruction>", ("Add 1.",)),
        ("<instruction>old</instruction> x <instruction>new</instruction>", ("new",)),
        (
            "i\n<instruction>A</instruction>\n<follow-up> B </follow-up> more",
            ("A", "B"),
        ),
        ("<instruction>A</instruction> so <follow-up>B</follow-up>", ("A",)),
        (
            "<instruction>o</instruction>\n<follow-up>p</follow-up><instruction>A</instruction>",
            ("A",),
        ),
        ("<instruction><instruction>A</instruction>", ("A",)),
        ("<instruction>A</instruction> <instruction>cut", ("A",)),
        ("<instruction>  def f():\n    return 1\n</instruction>", ("def f():\n    return 1",)),
    ],
)
def test_the_last_pair_counts_and_text_stays_as_written(raw, turns):
    assert parse_instruction(raw) == Written(turns)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("", "no tags"),
        ("Add 1.", "no tags"),
        ("<instruction>Add 1.", "no tags"),
        ("</instruction>Add<instruction>", "no tags"),
        ("<instruction> \n</instruction>", "empty"),
        ("<instruction>A</instruction>\n<follow-up></follow-up>", "empty"),
    ],
)
def test_what_cannot_be_read_says_why(raw, problem):
    assert parse_instruction(raw) == Written((), problem)


def test_is_well_formed():
    assert is_well_formed("Idea: x.\n<instruction>A</instruction>\n<follow-up>B</follow-up>\n")
    assert not is_well_formed("<instruction>A</instruction> and more")
    assert not is_well_formed("<instruction>A</instruction><instruction>B</instruction>")
    assert not is_well_formed("<instruction>A<instruction>B</instruction>")
    assert not is_well_formed("A")


def test_long_broken_text_is_read_in_no_time():
    assert parse_instruction("<instruction>" * 20000).problem == "no tags"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% for e in examples %}", "does not render"),
        ("{{ seeds }}", "does not render"),
        ("Write something.", "does not show"),
        ("{{ examples[0] }}", "does not show"),
    ],
)
def test_a_bad_template_is_an_error(tmp_path, text, message):
    path = tmp_path / "t.jinja"
    path.write_text(text)
    with pytest.raises(MontessoriError, match=message):
        load_template(path)


def test_a_missing_template_is_an_error(tmp_path):
    with pytest.raises(MontessoriError, match="missing") as error:
        load_template(tmp_path / "none.jinja")
    assert "instruction.template" in str(error.value)
