"""Changes of any params.yaml text, with comments, in blocks and in single lines.

What would break: `montessori add` or `profile` damages a file that a person wrote.

After a change the file must hold the change, all it held before, every comment, and the lines of
all other sections as they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from montessori.graph.edit import format_flow, merge_changes, show_difference

KEY = st.sampled_from(["a", "b", "c", "rows-1", "kind", "z9"])
TEXT = st.sampled_from(["x", "two words", "no", "5", "1e3", "a: b", "#", "a/b", "1:30"])
SCALAR = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-1e9, 1e9) | TEXT
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=5,
)
SECTION = SCALAR | st.dictionaries(KEY, VALUE, max_size=4)
#: Section names that no inner key has, so that a comment names one place.
SECTIONS = st.dictionaries(st.sampled_from(["first", "second", "third", "fourth"]), SECTION)


@dataclass(frozen=True)
class Document:
    """A YAML text, what it holds, and its comments."""

    text: str
    held: dict[str, Any]
    comments: list[str]


@st.composite
def documents(draw):
    """Sections in one line or several, with comments and empty lines between them."""
    held = draw(SECTIONS.filter(len))
    lines = ["# The head of the file.", ""]
    comments = ["# The head of the file."]

    def comment(text: str) -> str:
        spaces = draw(st.integers(-1, 6))
        if spaces < 1:
            return ""
        comments.append(text)
        return " " * spaces + text

    for name, value in held.items():
        if isinstance(value, dict) and value and draw(st.booleans()):
            lines.append(f"{name}:{comment(f'# about {name}')}")
            indent = " " * draw(st.sampled_from([2, 4]))
            for key, entry in value.items():
                lines.append(f"{indent}{key}: {format_flow(entry)}{comment(f'# {name} {key}')}")
        else:
            lines.append(f"{name}: {format_flow(value)}{comment(f'# about {name}')}")
        if draw(st.booleans()):
            lines += ["", f"# after {name}", ""]
            comments.append(f"# after {name}")
    end = draw(st.sampled_from(["", "\n"]))
    return Document("\n".join(lines) + end, held, comments)


def read(text: str) -> dict[str, Any]:
    """What a YAML text holds, by a reader that the editor does not use."""
    return dict(YAML(typ="safe").load(text))


def deep_merge(old: Any, new: Any) -> Any:
    """Mappings key by key, everything else replaced."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        both = {
            key: deep_merge(old[key], value) if key in old else value for key, value in new.items()
        }
        return {**old, **both}
    return new


@settings(max_examples=60)
@given(documents(), SECTIONS)
def test_the_file_holds_the_change_and_all_it_held_before(document, changes):
    assert read(document.text) == document.held
    assert read(merge_changes(document.text, changes)) == deep_merge(document.held, changes)


@settings(max_examples=40)
@given(documents(), SECTIONS)
def test_comments_and_other_sections_stay_as_they_are(document, changes):
    new = merge_changes(document.text, changes)
    for comment in document.comments:
        assert comment in new
    lines = document.text.splitlines()
    for name in document.held.keys() - changes.keys():
        (opening,) = [line for line in new.splitlines() if line.startswith(f"{name}:")]
        assert opening in lines


@settings(max_examples=40)
@given(documents(), SECTIONS)
def test_the_same_change_a_second_time_changes_nothing(document, changes):
    once = merge_changes(document.text, changes)
    assert merge_changes(once, changes) == once
    assert show_difference(once, once) == ""


@settings(max_examples=30)
@given(documents(), st.data())
def test_what_the_file_holds_already_changes_no_character(document, data):
    names = data.draw(st.sets(st.sampled_from(sorted(document.held))))
    changes = {name: document.held[name] for name in names}
    assert merge_changes(document.text, changes) == document.text


@settings(max_examples=50)
@given(VALUE)
def test_readers_of_yaml_1_1_and_1_2_agree_on_what_is_written(value):
    """DVC reads YAML 1.2; many editors and scripts read 1.1, where `no` and 1:30 are no texts."""
    yaml = pytest.importorskip("yaml")
    text = f"key: {format_flow(value)}\n"
    assert read(text) == {"key": value}
    assert yaml.safe_load(text) == {"key": value}
