"""The generated reference of params.yaml: every key, its type, unit and meaning.

What would break: a key that the reference lacks, or explains wrongly, is explained nowhere.
"""

from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal

import pytest
from params_reference import (
    Comment,
    describe_params,
    describe_type,
    read_comment,
    read_params,
    settings_classes,
)

from montessori.graph.limits import AtLeast, Count, Distinct, EmptyOr, Filled, Holding, Share
from montessori.graph.load import read_section
from montessori.graph.rows import ROWS

PARAMS = read_params()
CLASSES = settings_classes()


def test_every_section_is_described_once_in_the_order_of_the_file():
    text = describe_params()
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [name for name in PARAMS if name != "seed"]
    assert set(headings) == {*ROWS, *CLASSES}


@pytest.mark.parametrize("name", CLASSES)
def test_every_key_of_settings_has_a_comment(name: str):
    silent = [key for key in PARAMS[name] if not read_comment(PARAMS[name], key).meaning]
    assert silent == [], f"params.yaml, {name}: say what they mean, behind the value"


@pytest.mark.parametrize("name", CLASSES)
def test_a_default_of_a_class_is_the_value_that_ships(name: str):
    """A key that a person leaves out must mean what params.yaml shows."""
    made, problems = read_section(PARAMS, name, CLASSES[name])
    assert problems == []
    for field in fields(CLASSES[name]):
        if field.default is not MISSING:
            assert getattr(made, field.name) == field.default, field.name


def test_a_comment_is_a_meaning_and_a_source():
    values = PARAMS["instruction"]
    assert read_comment(values, "samples") == Comment("instructions sampled for a prompt", "MI: 4")
    assert read_comment(values, "wave").source == ""
    assert read_comment(PARAMS["judge"], "top_logprobs").source == "AlpacaEval 2: 5"
    assert read_comment(values, "nothing") == Comment("", "")


@pytest.mark.parametrize(
    ("hint", "words", "unit"),
    [
        (int, "whole number", ""),
        (bool, "true or false", ""),
        (Annotated[Count, "rows"], "whole number >= 1", "rows"),
        (Annotated[Annotated[int, AtLeast(0), "rows"], "rows per step"], "whole number >= 0",
         "rows per step"),
        (Share, "number in [0, 1]", ""),
        (Literal["a", "b", "c"], "`a`, `b` or `c`", ""),
        (Annotated[tuple[Count, ...], Filled(), Distinct()],
         "list of whole number >= 1 not empty, each once", ""),
        (tuple[Annotated[str, Holding("{x}")], ...], "list of text with {x}", ""),
        (Annotated[str, EmptyOr(Filled())], "text empty or not empty", ""),
        (dict[str, float], "mapping to number", ""),
        (int | None, "whole number or null", ""),
    ],
)  # fmt: skip
def test_a_type_is_said_in_words(hint: Any, words: str, unit: str):
    assert describe_type(hint) == (words, unit)


def test_rows_say_what_they_name_and_which_settings_they_replace():
    text = describe_params()
    rounds = text.partition("## rounds\n")[2].partition("\n## ")[0]
    assert "Each row is run by `prefs` and `teacher-dpo`." in rounds
    assert "| `start` | `models/NAME` or `teachers/NAME` |" in rounds
    assert "| `prefs` | optional: keys of section [`prefs`](#prefs) for this row |" in rounds
    prefs = text.partition("## prefs\n")[2].partition("\n## ")[0]
    assert "Read by `prefs`. A row of `rounds` may replace keys for itself." in prefs
