"""What ARTE's teacher is asked, and what is read from its text.

What would break: a teacher sees validation questions or numbers that do not go on from the seeds,
malformed questions become rows, or a reasoning prompt that was meant to be erased stays.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montessori.arte.prompts import Prompts, parse_questions, tag_question
from montessori.arte.settings import ElicitParams
from montessori.arte.tasks import Item, Task
from montessori.errors import MontessoriError

ELICIT = ElicitParams(
    templates="",
    per_call=3,
    wave=1,
    max_new_tokens=1,
    temperature=1.0,
    top_p=1.0,
    rationale_max_new_tokens=1,
    rationale_temperature=0.0,
)
TASK = Task(
    "sums",
    "add numbers",
    seeds=(Item("1 + 1?", "2"), Item("2 + 2?", "4")),
    validation=(Item("held out?", "yes"),),
)
TEMPLATES = {
    "questions": "{{ description }}|{{ seeds | join(';') }}|{{ wanted }} from {{ first }}",
    "rationale": "{{ description }}|{{ question }}|{{ reasoning }}",
    "response": "{{ working }} => {{ answer }}",
}
REASONING = {"naive": "Step by step.", "special": ["In words.", "As a list."]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's own folder of templates."""
    for name, text in TEMPLATES.items():
        (tmp_path / f"{name}.jinja").write_text(text)
    (tmp_path / "reasoning.json").write_text(json.dumps(REASONING))
    return tmp_path


def test_questions_are_asked_with_all_seeds_and_the_next_number(folder):
    text = Prompts.read_folder(folder, ELICIT).question_prompt(TASK)
    seeds = (
        "<Question_1><input>1 + 1?</input><target>2</target></Question_1>;"
        "<Question_2><input>2 + 2?</input><target>4</target></Question_2>"
    )
    assert text == f"add numbers|{seeds}|3 from 3"
    assert "held out" not in text


def test_a_rationale_is_asked_with_its_reasoning_prompt(folder):
    prompts = Prompts.read_folder(folder, ELICIT)
    text = prompts.rationale_prompt(TASK, "7 + 8?", prompts.special[1])
    assert text == "add numbers|7 + 8?|As a list."


def test_reasoning_prompts_of_a_task_go_before_those_of_the_folder(folder):
    prompts = Prompts.read_folder(folder, ELICIT)
    own = Task("t", "t", (), (), reasoning=("Mine.", "Mine, too."))
    with_strategy = Task("t", "t", (), (), reasoning=("Mine.",), strategy="The one.")
    assert prompts.reasoning_of(TASK) == ("In words.", "As a list.")
    assert prompts.reasoning_of(own) == ("Mine.", "Mine, too.")
    assert prompts.strategy_of(TASK) == "In words."
    assert prompts.strategy_of(own) == "Mine."
    assert prompts.strategy_of(with_strategy) == "The one."


@pytest.mark.parametrize(
    ("rationale", "trained"),
    [
        (" 7 + 8 = 15, so <ans>15</ans> ", "7 + 8 = 15, so => 15"),
        ("<ans>15</ans>", "=> 15"),
        ("first <ans>14</ans>, no: <ans> 15 </ans>", "first , no: => 15"),
        ("no tag at all", "no tag at all =>"),
    ],
)
def test_a_student_is_trained_on_working_and_answer_without_tags(folder, rationale, trained):
    assert Prompts.read_folder(folder, ELICIT).render_response(rationale) == trained


@pytest.mark.parametrize("name", ["questions", "rationale", "response"])
def test_a_missing_template_is_named(folder, name):
    (folder / f"{name}.jinja").unlink()
    with pytest.raises(MontessoriError, match=rf"template {name}\.jinja is missing") as error:
        Prompts.read_folder(folder, ELICIT)
    assert error.value.where == str(folder)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"naive": "x"},
        {"naive": "", "special": ["x"]},
        {"naive": "x", "special": []},
        {"naive": ["x"], "special": ["x"]},
        {"naive": "x", "special": "x"},
    ],
)
def test_reasoning_prompts_that_cannot_be_read_are_an_error(folder, raw):
    (folder / "reasoning.json").write_text(json.dumps(raw))
    with pytest.raises(MontessoriError, match="reasoning prompts cannot be read") as error:
        Prompts.read_folder(folder, ELICIT)
    assert error.value.where == str(folder / "reasoning.json")
    assert "data/micro/prompts/elicit/reasoning.json" in error.value.next


@pytest.mark.parametrize("text", ["{{ answer", "{{ target }}", "{{ ''.__class__.mro() }}"])
def test_a_template_that_does_not_render_is_an_error_that_names_it(folder, text):
    """Open braces, a name that is not given, and a way out of the sandbox."""
    (folder / "response.jinja").write_text(text)
    prompts = Prompts.read_folder(folder, ELICIT)
    with pytest.raises(MontessoriError, match=r"template response\.jinja does not render"):
        prompts.render_response("<ans>1</ans>")


# ------------------------------------------------------------------------------ what is read
PART = st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]), min_size=1)
ITEMS = st.lists(st.builds(Item, PART, PART), min_size=1, max_size=5)


@given(ITEMS, st.integers(1, 9))
def test_questions_that_are_written_as_shown_are_read_whole(items, first):
    text = "\n".join(tag_question(first + n, item) for n, item in enumerate(items))
    found = parse_questions(text, first, most=len(items))
    whole = [item for item in items if item.input.strip() and item.target.strip()]
    assert [(each.input, each.target) for each in found] == [
        (item.input.strip(), item.target.strip()) for item in whole
    ]
    for each in found:
        assert each.raw.startswith(f"<Question_{first}><input>")
        assert each.raw.endswith(f"</target></Question_{first}>")


@given(ITEMS, st.integers(2, 9), st.integers(0, 3))
def test_copies_of_examples_and_questions_too_many_are_not_read(items, first, most):
    """Numbers below the first asked for are the teacher's copies of what it was shown."""
    copies = "".join(tag_question(n, Item("copy", "x")) for n in range(1, first))
    new = "".join(tag_question(first, Item(f"new {n}", "y")) for n in range(len(items)))
    found = parse_questions(copies + new, first, most)
    assert [each.input for each in found] == [f"new {n}" for n in range(len(items))][:most]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<Question_3><input>a</input></Question_3>", "no target"),
        ("<Question_3><target>1</target><input>a</input></Question_3>", "parts turned around"),
        ("<Question_3><input>a</input><target>1</target>", "no end"),
        ("<Question_x><input>a</input><target>1</target></Question_x>", "no number"),
        (
            "<Question_3><input>a<Question_4></input><target>1</target></Question_3>",
            "another question begins inside",
        ),
        ("<Question_3><input>a</input> and <target>1</target></Question_3>", "text between"),
        ("", "nothing"),
    ],
)
def test_a_malformed_question_is_none(text, reason):
    assert parse_questions(text, 3, 5) == [], reason


def test_a_question_over_several_lines_is_read():
    text = "<Question_3>\n<input>a\nb</input>\n  <target>1\n2</target>\n</Question_3>"
    (found,) = parse_questions(text, 3, 5)
    assert (found.input, found.target) == ("a\nb", "1\n2")
