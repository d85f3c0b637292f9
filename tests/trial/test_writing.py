"""What a trial says of a teacher's writing.

What would break: a teacher that writes good instructions in another format is thrown away, or one
that a server has is asked in formats that no server can be asked in, and paid for it.
"""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from montessori.sources.rows.row import Row
from montessori.trial import preference, writing
from montessori.trial.candidate import Candidate, read_settings
from montessori.trial.folder import ask_folder
from montessori.trial.writing import Tried
from montessori.writing.waves import PART
from tests.generate.fake_server import FakeServer


def tried(name: str, *dropped: str | None) -> Tried:
    rows = [{"raw": f"text {i}", "dropped": reason} for i, reason in enumerate(dropped)]
    return Tried(name, pl.DataFrame(rows, schema=dict(PART)))


NONE = tried("tags", *["no tags"] * 8)


@pytest.mark.parametrize(
    ("others", "next"),
    [
        ([tried("prefill", *[None] * 8)], "set instruction.format: prefill"),
        (
            [tried("prefill", "empty", None), tried("turn", None, None)],
            "set instruction.format: turn",
        ),
        (
            [tried("list", None, "response endless")],
            "set instruction.format: list and instruction.template: montessori/templates/list",
        ),
        ([tried("prefill", *["endless"] * 8)], "take a larger model as teacher"),
    ],
    ids=["one works", "the better one", "a list", "none works"],
)
def test_a_format_that_works_better_is_named(others: list[Tried], next: str):
    finding = writing._judge_formats([NONE, *others], "tags")
    assert finding.verdict == "problem"
    assert finding.next.startswith(next)
    assert "0 of 8 samples are instructions (8 no tags)" in finding.text


@pytest.mark.parametrize(("is_base", "named"), [(False, "prefill"), (True, "list")])
def test_of_equally_good_formats_the_one_that_suits_the_model_is_named(
    candidate: Candidate, is_base: bool, named: str, monkeypatch: pytest.MonkeyPatch
):
    candidate.__dict__["is_base"] = is_base
    engine = SimpleNamespace(tokenizer=candidate.tokenizer)
    monkeypatch.setattr(writing, "open_writer", lambda tried: engine)
    works = [None] * 8
    monkeypatch.setattr(
        writing, "_try_format", lambda c, e, name: NONE if name == "tags" else tried(name, *works)
    )
    (found,) = writing.ask_writing(candidate)
    assert found.next.startswith(f"set instruction.format: {named}")
    assert len(found.lines) == 4


def test_a_list_has_a_template_that_ends_with_its_examples(candidate: Candidate):
    folder = writing.TEMPLATES
    raw = candidate.settings.raw
    listed = {**raw, "instruction": {**raw["instruction"], "format": "list"}}
    other = replace(candidate, settings=replace(candidate.settings, raw=listed))
    assert writing._template_for(candidate, "list") == (folder / "list.jinja").read_text()
    assert writing._template_for(other, "tags") == (folder / "instruction.jinja").read_text()


def test_a_format_that_works_stays_although_another_gives_more():
    good, better = tried("tags", *[None] * 5, *["no tags"] * 3), tried("turn", *[None] * 8)
    finding = writing._judge_formats([good, better], "tags")
    assert finding.verdict == "ok"
    assert len(finding.lines) == 2  # but both are shown


def test_instructions_that_the_filters_drop_are_no_success():
    finding = writing._judge_formats([tried("tags", *["too short"] * 8)], "tags")
    assert finding.verdict == "problem"
    assert "8 of 8 samples are instructions, 0 pass the filters" in finding.text


def test_answers_that_never_end_are_a_note():
    frame = tried("tags", *["response endless"] * 6, "no tags").frame
    (finding,) = writing._judge_responses(frame)
    assert (finding.verdict, "0 of 6 instructions have" in finding.text) == ("note", True)
    assert "response.max_new_tokens" in finding.next


def test_a_teacher_that_a_server_has_is_asked_in_tags_alone(project: Path, tmp_path: Path):
    def reply(turns, seed):
        asked = "Write one new instruction" in turns[-1]
        return (f"<instruction>Add {seed % 97}.</instruction>" if asked else "Done."), True

    with FakeServer(reply, models=("teacher",)) as server:
        path = project / "teacher.json"
        named = {"server": server.url, "model": "teacher", "key_env": ""}
        path.write_text(json.dumps(named), encoding="utf-8")
        candidate = Candidate(path, ("teacher",), read_settings(project), tmp_path / "work")
        candidate.work.mkdir()
        ask_folder(candidate)
        found, answers = writing.ask_writing(candidate)
        asked = len(server.asked)
    assert (found.verdict, answers.verdict) == ("ok", "ok")
    assert [line.split()[0] for line in found.lines] == ["tags"]
    assert asked <= 16  # eight instructions, and an answer to each


@pytest.mark.parametrize("name", ["tags", "prefill", "list", "turn"])
def test_a_pair_holds_what_a_teacher_writes_in_the_format(name):
    """A list and a user's turn have no tags, so a pair with some would train them."""
    raw = preference._raw_text(Row(("Name a river.",), ("The Rhine.",)), name)
    assert ("<" in raw) == (name in ("tags", "prefill"))
    assert "Name a river." in raw
