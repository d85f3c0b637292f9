"""The page of answers: no text leaves its place, and what its script shows.

What would break: text that a model wrote runs as a script in the reader's browser, or a filter
shows other items than it says.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from montessori.report.answers import page
from montessori.report.answers.page import answers_page, embed_json

SCRIPT = Path(page.__file__).with_name("page.js")

ATTACKS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "--><img src=x onerror=alert(1)>",
    "</SCRIPT\n><svg/onload=alert(1)>",
    "&lt;b&gt; &amp;#60;script&amp;#62; &#x3c;",
    "\u2028alert(1)\u2029",
    "\u202egnp.exe",
    "]]><iframe srcdoc='<script>'>",
    '"}]};alert(1);//',
    "\\u003c/script\\u003e \\",
    "javascript:alert(1) {{7*7}} ${alert(1)}",
]


def item(name: str, **more: Any) -> dict[str, Any]:
    def side(text: str) -> dict[str, Any]:
        return {"text": text, "note": "", "score": None}

    text = more.pop("text", f"answer of {name}")
    turn = {
        "prompt": f"prompt {name}",
        "gold": None,
        "said": text,
        "ours": side(text),
        "theirs": side("other"),
    }
    return {
        "id": name,
        "benchmark": "b",
        "family": "f",
        "turns": [turn],
        "preference": 0.5,
        "outcome": "tied",
        "lead": 0.0,
        "disagreement": 0.0,
    } | more


def data(*items: dict[str, Any]) -> dict[str, Any]:
    return {"run": "m", "against": "s", "items": list(items)}


class Parsed(HTMLParser):
    """The elements of a page, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data


def attacked() -> dict[str, Any]:
    """Attacks in every text of the page, the names of the runs included."""
    found = [item(text, text=text, family=text, benchmark=text, outcome=text) for text in ATTACKS]
    return {"run": ATTACKS[0], "against": ATTACKS[1], "items": found}


def test_no_text_leaves_its_element() -> None:
    plain, hostile = Parsed(answers_page(data(item("a")))), Parsed(answers_page(attacked()))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert len(hostile.inside["script"]) == 2
    assert json.loads(hostile.inside["script"][0]) == attacked()
    assert hostile.inside["script"][1] == plain.inside["script"][1]


@pytest.mark.parametrize("text", ATTACKS)
def test_embedded_data_have_no_character_that_ends_a_script(text: str) -> None:
    made = embed_json(data(item(text, text=text)))
    assert not re.search("[<>&\u2028\u2029]", made)
    assert json.loads(made) == data(item(text, text=text))


def test_the_policy_allows_this_script_and_style_and_nothing_else() -> None:
    parsed = Parsed(answers_page(attacked()))
    (policy,) = [
        attrs["content"]
        for tag, attrs in parsed.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]

    def allowed(text: str) -> str:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return f"'sha256-{digest}'"

    assert policy == (
        f"default-src 'none'; script-src {allowed(parsed.inside['script'][1])}; "
        f"style-src {allowed(parsed.inside['style'][0])}; base-uri 'none'; form-action 'none'"
    )
    loading = {"src", "href", "srcset", "action", "style", "onload", "onclick"}
    found = [(tag, attrs) for tag, attrs in parsed.tags if loading & set(attrs)]
    assert found == [("a", {"href": "../index.html"})]
    assert "http" not in answers_page(data()).replace("http-equiv", "")


def test_the_script_has_no_way_to_make_markup_of_a_text() -> None:
    script = SCRIPT.read_text()
    ways = (
        "innerHTML outerHTML insertAdjacentHTML document.write DOMParser createContextualFragment"
    )
    ways += " setHTML srcdoc eval( Function( fetch( XMLHttpRequest import( location"
    assert [way for way in ways.split() if way in script] == []
    assert "</" not in script
    assert "<!--" not in script


# --------------------------------------------------------------------------- what the script does
def run(tmp_path: Path, given: dict[str, Any], *steps: list[str]) -> list[Any]:
    """Results of steps on the page's script, in node on a stand-in for the document (dom.js)."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the page's script cannot be run here")
    (tmp_path / "data.json").write_text(json.dumps(given))
    command = [node, str(Path(__file__).with_name("dom.js")), str(SCRIPT)]
    command += [str(tmp_path / "data.json"), json.dumps(steps)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FOUR = data(
    item("a", disagreement=0.2, lead=0.2, outcome="won", benchmark="x"),
    item("b", disagreement=0.9, lead=-0.9, outcome="lost", benchmark="x", family="g"),
    item("c", benchmark="y", text="The RIGHT words"),
    item("d", disagreement=0.5, lead=0.5, outcome="won", benchmark="y"),
)


def ids(result: dict[str, Any]) -> str:
    return "".join(result["ids"])


def test_sorted_by_disagreement_then_as_asked(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        FOUR,
        ["state"],
        ["choose", "sort", "won"],
        ["choose", "sort", "lost"],
        ["choose", "sort", "order"],
    )
    assert [ids(one) for one in found] == ["bdac", "dacb", "bcad", "abcd"]
    assert found[0]["status"] == "4 of 4 items: 1 lost, 1 tied, 2 won"


def test_filters_and_search_work_together(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        FOUR,
        ["choose", "benchmark", "x"],
        ["options", "family"],
        ["choose", "family", "g"],
        ["choose", "family", ""],
        ["choose", "outcome", "won"],
        ["choose", "benchmark", ""],
        ["choose", "outcome", ""],
        ["search", "right WORDS "],
        ["search", "prompt d"],
        ["search", "nowhere"],
    )
    assert ids(found[0]) == "ba"
    assert found[1] == ["all", "f (1)", "g (1)"]
    assert [ids(one) for one in found[2:]] == ["b", "ba", "a", "da", "bdac", "c", "d", ""]
    assert found[-1]["status"] == "0 of 4 items"


def test_pages_are_turned_by_keys(tmp_path: Path) -> None:
    many = data(*(item(f"i{n:04d}", text="long " * 40) for n in range(1500)))
    found = run(
        tmp_path,
        many,
        ["state"],
        ["press", "ArrowRight"],
        ["press", "ArrowLeft"],
        ["press", "ArrowLeft"],
        ["press", "/"],
        ["focused"],
    )
    assert [len(one["ids"]) for one in found[:4]] == [20] * 4
    assert [one["ids"][0] for one in found[:4]] == ["i0000", "i0020", "i0000", "i0000"]
    assert found[5] == "search"


def test_notes_are_a_filter(tmp_path: Path) -> None:
    cut = item("a")
    cut["turns"][0]["theirs"] = {"text": None, "note": "no answer", "score": None}
    found = run(
        tmp_path,
        data(cut, item("b")),
        ["options", "note"],
        ["choose", "note", "no answer"],
        ["texts"],
    )
    assert found[0] == ["all", "no answer (1)"]
    assert ids(found[1]) == "a"
    assert found[2] == ["prompt a", "answer of a", "no answer here", "answer of a"]


def test_attacks_are_shown_as_texts(tmp_path: Path) -> None:
    found = run(tmp_path, attacked(), ["choose", "sort", "order"], ["texts"])
    controls = {"form", "label", "select", "option", "input", "button"}
    layout = {"section", "div", "span", "article", "header", "p", "b", "details", "summary"}
    assert set(found[0]["tags"]) <= controls | layout
    assert found[0]["ids"] == ATTACKS
    assert set(ATTACKS) <= set(found[1])
