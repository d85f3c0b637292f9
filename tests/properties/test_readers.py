"""Every text and every JSON value through the parsers and readers of other people's texts.

What would break: one odd answer of a teacher, a judge or a server, or one odd line of a file, ends
hours of work in a traceback, or is read as something that nobody wrote.
"""

import json
import math
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from montessori.arte.tasks import read_tasks_file, write_tasks
from montessori.errors import MontessoriError
from montessori.evals.judging.read_choice import choice_by_text
from montessori.evals.published.judgments import parse_rating, parse_winner, read_judgments
from montessori.formats.formats import NumberedList, Prefill, Tags, Turn
from montessori.formats.tags import cut_after_tags, is_well_formed, parse_instruction, tag_turns
from montessori.generate.shapes import read_end, read_first, read_message, read_usage
from montessori.signals.icl.answers import answer_of
from montessori.sources.rows.read import read_rows

#: Signs that mean something to one of the parsers, and any others.
PARTS = (
    *("<instruction>", "</instruction>", "<follow-up>", "</follow-up>", "<answer>", "</answer>"),
    *("#### ", "[[", "]]", "1. ", "\n", " ", "7", "10", "-", ".", "Answer: ", "tie", "A", "B"),
)
RAW = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=12).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
#: A text as a person writes one: not empty, without tags.
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="<"), min_size=1).filter(str.strip)
quick = settings(max_examples=60, deadline=None)


@quick
@given(RAW)
@pytest.mark.parametrize("form", [Tags(), Prefill(), NumberedList(), Turn()], ids=repr)
def test_an_instruction_is_read_or_its_problem_named(form: Any, raw: str) -> None:
    written = form.read_instruction(raw)
    assert bool(written.turns) != bool(written.problem)
    assert all(turn.strip() == turn != "" for turn in written.turns)
    assert isinstance(form.is_well_formed(raw), bool)
    assert isinstance(form.has_begun(raw), bool)


@quick
@given(st.lists(PLAIN, min_size=1, max_size=2), RAW)
def test_what_is_tagged_is_read_back(turns: list[str], before: str) -> None:
    tagged = tag_turns(turns)
    assert parse_instruction(tagged).turns == tuple(turn.strip() for turn in turns)
    assert is_well_formed(tagged)
    assert cut_after_tags(tagged) == tagged
    assert parse_instruction(f"{before}\n{tagged}").turns[0] == turns[0].strip()


@quick
@given(RAW)
@example("[[" + "9" * 10_000 + "]]")
@example("[[\u0661]]")
def test_a_rating_is_a_number_or_none(text: str) -> None:
    rating = parse_rating(text)
    assert rating is None or math.isfinite(rating)
    assert choice_by_text(text) in (None, 0.0, 0.5, 1.0)
    assert isinstance(parse_winner(text), str)


@quick
@given(st.integers(1, 10), RAW)
def test_a_rating_is_read_wherever_it_stands(rating: int, before: str) -> None:
    plain = before.replace("[", "").replace("]", "")
    assert parse_rating(f"{plain}\nRating: [[{rating}]]") == rating


@quick
@given(RAW, st.integers(0, 10**9))
def test_the_answer_behind_the_marks_is_read(text: str, number: int) -> None:
    assert isinstance(answer_of(text), str)
    plain = text.replace("<", "").replace("#", "")
    assert answer_of(f"{plain}\n#### {number}") == str(number)


@quick
@given(st.dictionaries(st.sampled_from(["message", "text", "finish_reason", "logprobs"]), JSON))
def test_a_choice_of_a_server_is_read_or_refused_as_malformed(choice: dict[str, Any]) -> None:
    for read in (read_message, read_end, read_first):
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # it is asked again
            read(choice)


@quick
@given(JSON, st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), JSON))
def test_counts_of_tokens_are_never_below_zero(answer: Any, usage: dict[str, Any]) -> None:
    for value in ({"usage": answer}, {"usage": usage}):
        for count in read_usage(value, "a text"):
            assert count is None or (isinstance(count, int) and count >= 0)


FIELDS = ("instruction", "response", "input", "messages", "prompt", "role", "content", "from")
ROW = st.dictionaries(st.sampled_from(FIELDS), JSON | st.lists(JSON, max_size=2), max_size=4)


@quick
@given(st.lists(ROW | JSON, min_size=1, max_size=3), st.booleans())
def test_rows_are_read_or_refused_with_their_place(rows: list[Any], lines: bool) -> None:
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    for found in _read(read_rows, "rows.jsonl" if lines else "rows.json", text):
        assert found.rows
        assert all(turn.strip() for row in found.rows for turn in row.turns)


@quick
@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_refused(data: bytes) -> None:
    for name in ("rows.jsonl", "rows.csv", "rows.jsonl.gz", "rows.parquet"):
        list(_read(read_rows, name, data))


ITEM = st.dictionaries(st.sampled_from(["input", "target", "response"]), JSON, max_size=3)
TASK = st.dictionaries(
    st.sampled_from(["name", "description", "seeds", "validation", "closed", "reasoning"]),
    JSON | st.lists(ITEM, max_size=2),
    max_size=6,
)


@quick
@given(st.lists(TASK, max_size=2) | JSON)
def test_tasks_are_read_and_written_or_refused(value: Any) -> None:
    for tasks in _read(read_tasks_file, "tasks.json", json.dumps(value)):
        with tempfile.TemporaryDirectory() as folder, suppress(MontessoriError):
            write_tasks(tasks, Path(folder), Path(folder, "out"))


VERDICT = st.dictionaries(
    st.sampled_from(["question_id", "model", "turn", "score", "judgment", "judge", "tstamp"]),
    JSON,
    max_size=7,
)


@quick
@given(st.lists(VERDICT, min_size=1, max_size=3))
def test_verdicts_are_read_or_refused(rows: list[Any]) -> None:
    list(_read(read_judgments, "v.jsonl", "\n".join(map(json.dumps, rows))))


def _read(read: Any, name: str, content: str | bytes) -> list[Any]:
    """What a reader makes of a file, in a list; [] where it refuses it, with a next step."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        refusal = None
        try:
            return [read(path)]
        except MontessoriError as error:
            refusal = error
    assert refusal.next
    assert name in str(refusal)
    return []
