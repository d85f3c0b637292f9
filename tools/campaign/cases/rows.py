"""Files of rows of one's own, as training data and as probing data."""

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from tools.campaign.case import (
    ACCEPT,
    EITHER,
    NO_FILES,
    REFUSE,
    ROW,
    ROWS,
    Case,
    all_of,
    call_stage,
    in_place_of,
    nothing,
    put,
)
from tools.campaign.mutations import mutate_bytes, mutate_json

KIND = "rows"
FILE = "rows.jsonl"
OUTPUTS = {"out": "out", "metrics": "m.json"}
EVAL_ITEMS = "data/seed/evals"
#: The place of a row; a file of one broken line has no other place than itself.
LINE = r"line \d|row \d|rows\.json"


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each malformed row, each file that holds no rows, and random faults."""
    for name, text in {**_malformed_rows(), **_malformed_messages()}.items():
        yield _make_case(name, text, where=LINE)
    for name, (file, content) in _files_without_rows().items():
        yield _make_case(name, content, file, re.escape(file))
    for name, (file, content) in _files_with_rows().items():
        yield _make_case(name, content, file, want=ACCEPT)
    for name, content in _may_be_read().items():
        yield _make_case(name, content, want=EITHER)
    yield from _places()
    yield from _probes()
    yield from _random_cases(rng)


def _make_case(
    name: str, content: str | bytes, file: str = FILE, where: str = "", want: str = REFUSE
) -> Case:
    command = call_stage("dataset_file", evals=EVAL_ITEMS, rows=file, **OUTPUTS)
    return Case(KIND, name, put(file, content), (command,), where, want)


def _turns(*turns: tuple[object, object]) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"messages": messages}) + "\n"


def _pair(**fields: object) -> str:
    return json.dumps({"instruction": "a", "response": "b", **fields}) + "\n"


def _malformed_rows() -> dict[str, str]:
    """One row that is none, first in its file."""
    typed = {
        f"{key} is {word}": _pair(**{key: value})
        for key in ("instruction", "response", "input")
        for word, value in {"a list": ["a", 1], "an object": {"b": 1}}.items()
    }
    return typed | {
        "raw NUL": '{"instruction": "a\0b", "response": "c"}\n',
        "10 MB malformed": '{"instruction": "' + "x" * 10_000_000 + "\n",
        "100,000 malformed": "{\n" * 100_000,
        "depth": "[" * 100_000 + "]" * 100_000 + "\n",
        "depth in an object": '{"instruction": ' + '{"a":' * 50_000 + "1" + "}" * 50_001 + "\n",
        "a number": "5\n",
        "null": "null\n",
        "a text": '"abc"\n',
        "a list": "[1, 2]\n",
        "no instruction": '{"response": "x"}\n',
        "no response": '{"instruction": "x"}\n',
        "both null": '{"instruction": null, "response": null}\n',
        "blank instruction": _pair(instruction="  "),
        "blank response": _pair(response="\n"),
        "response is true": _pair(response=True),
        "skill is a list": _pair(skill=["a"]),
        "trailing comma": '{"instruction": "a", "response": "b",}\n',
        "single quotes": "{'instruction': 'a', 'response': 'b'}\n",
        "comment": "# rows\n" + ROWS,
        "huge integer": '{"instruction": ' + "9" * 10_000 + ', "response": "b"}\n',
        "half a string escape": '{"instruction": "\\u12", "response": "b"}\n',
    }


def _malformed_messages() -> dict[str, str]:
    """Dialogues that are none."""
    return {
        "messages: empty": '{"messages": []}\n',
        "messages: text": '{"messages": "hello"}\n',
        "messages: null": '{"messages": null}\n',
        "messages: object": '{"messages": {"role": "user", "content": "a"}}\n',
        "messages: texts": '{"messages": ["a", "b"]}\n',
        "messages: tool": _turns(("user", "a"), ("tool", "b")),
        "messages: only assistant": _turns(("assistant", "b")),
        "messages: two assistants": _turns(("assistant", "b"), ("assistant", "c")),
        "messages: only user": _turns(("user", "b")),
        "messages: null content": _turns(("user", "b"), ("assistant", None)),
        "messages: role a number": _turns((1, "b"), (2, "c")),
        "messages: unknown role": _turns(("wizard", "b"), ("assistant", "c")),
        "messages: blank turn": _turns(("user", " "), ("assistant", "c")),
        "messages: turn without role": '{"messages": [{"content": "a"}, {"content": "b"}]}\n',
    }


def _files_without_rows() -> dict[str, tuple[str, str | bytes]]:
    """Files that hold no rows, by what they are: the file's name and content."""
    blank = "\n\n  \n"
    return {
        "empty file": (FILE, ""),
        "blank lines": (FILE, blank),
        "only a BOM": (FILE, b"\xef\xbb\xbf"),
        "Latin-1": (FILE, ROW.replace("river", "rivi\u00e8re").encode("latin-1")),
        "overlong UTF-8": (FILE, b'{"instruction": "a\xc0\xafb", "response": "c"}\n'),
        "bad row in the middle": (FILE, ROWS + '{"instruction": "x"}\n' + ROW),
        "zip": (FILE, b"PK\x03\x04" + bytes(range(200))),
        "damaged Parquet": (FILE, b"PAR1" + bytes(range(256)) * 4 + b"PAR1"),
        "gzip of nothing": ("rows.jsonl.gz", gzip.compress(b"")),
        "cut gzip": ("rows.jsonl.gz", gzip.compress(ROWS.encode())[:40]),
        "Arrow that is none": ("rows.arrow", b"ARROW1\0\0" + bytes(100)),
        "empty .json": ("rows.json", ""),
        "empty list": ("rows.json", "[]"),
        "object of no rows": ("rows.json", '{"data": []}'),
        "text": ("rows.json", '"abc"'),
        "cut .json": ("rows.json", '[{"instruction": "a", '),
        "CSV header only": ("rows.csv", "instruction,response\n"),
        "CSV without a column": ("rows.csv", "question,unheard_of\na,b\n"),
        "CSV, ragged": ("rows.csv", "instruction,response\na,b,c,d\n"),
        "CSV, open quote": ("rows.csv", 'instruction,response\n"a,b\n'),
        "CSV, column twice": ("rows.csv", "instruction,instruction,response\na,b,c\n"),
        "CSV, blank cells": ("rows.csv", "instruction,response\n,\n"),
        "unknown ending": ("rows.docx", b"PK\x03\x04" + bytes(30)),
    }


def _files_with_rows() -> dict[str, tuple[str, str | bytes]]:
    """Files in an odd form that hold rows."""
    return {
        "BOM and CRLF": (FILE, b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode()),
        "no line end": (FILE, ROWS.rstrip()),
        "name with blank and umlaut": ("my rows größe.jsonl", ROWS),
        "markup": (
            FILE,
            _pair(instruction="<script>alert(1)</script>", response="</td><img src=x>"),
        ),
        "gzip": ("rows.jsonl.gz", gzip.compress(ROWS.encode())),
        "CSV": ("rows.csv", "instruction,response\na,b\n"),
    }


def _may_be_read() -> dict[str, str | bytes]:
    """Content that may be rows; numbers and half characters are taken as texts, and counted."""
    odd = {"a number": 5, "half a character": "a \ud83d b", "a low half": "\ude00", "NUL": "a\0b"}
    fields = {
        f"{key} is {word}": _pair(**{key: value})
        for key in ("instruction", "response", "input", "skill")
        for word, value in odd.items()
    }
    turns = [(("user", "assistant")[i % 2], f"t{i}") for i in range(10_000)]
    shared = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    return fields | {
        "messages: half a character": _turns(("user", "\ud800"), ("assistant", "x")),
        "CR as line end": ROWS.replace("\n", "\r"),
        "UTF-16": ROWS.encode("utf-16"),
        "escaped NUL": _pair(instruction="a\0b") + ROWS,
        "10 MB row": _pair(instruction="x " * 5_000_000),
        "zero width": _pair(instruction="\u200b\u200b") + ROWS,
        "duplicate keys": '{"instruction": "a", "instruction": "b", "response": "x"}\n' + ROWS,
        "NaN beside": '{"instruction": "a", "response": "x", "score": NaN}\n' + ROWS,
        "keys in capitals": '{"Instruction": "a", "Response": "x"}\n',
        "a list of rows on a line": "[" + ROW.strip() + "]\n",
        "a recipe": '{"kind": "lab", "bucket": "train", "rows": 5, "weights": {"metres": 1}}',
        "prompt and completion": '{"prompt": "a", "completion": "x"}\n',
        "chosen and rejected": '{"prompt": "a", "chosen": "x", "rejected": "y"}\n',
        "ShareGPT": json.dumps({"conversations": shared}) + "\n",
        "messages: ShareGPT": json.dumps({"messages": shared}) + "\n",
        "messages: system": _turns(("system", "s"), ("user", "a"), ("assistant", "b")),
        "messages: system, even": _turns(("system", "s"), ("user", "a")),
        "messages: two users": _turns(("user", "b"), ("user", "c"), ("assistant", "d")),
        "messages: roles in capitals": _turns(("User", "b"), ("Assistant", "c")),
        "messages: parts": _turns(("user", [{"type": "text", "text": "b"}]), ("assistant", "c")),
        "messages: 10,000 turns": _turns(*turns),
        "10,000 equal rows": ROW * 10_000,
        "right-to-left marks": _pair(instruction="abc \u202e def"),
        "prompt a number": _pair(prompt=4),
    }


def _places() -> Iterator[Case]:
    """Paths that are no files, and outputs that cannot be written."""
    command = call_stage("dataset_file", evals=EVAL_ITEMS, rows=FILE, **OUTPUTS)
    for name, place in NO_FILES.items():
        yield Case(KIND, f"is {name}", in_place_of(FILE, place), (command,), FILE)
    right = put(FILE, ROWS)
    closed = all_of(right, lambda root: (root / FILE).chmod(0))
    yield Case(KIND, "no permission", closed, (command,), FILE, unprivileged=True)
    for name, path, where in (
        ("name too long", "x" * 300 + ".jsonl", "xxx"),
        ("a device", "/dev/null", "/dev/null"),
    ):
        other = call_stage("dataset_file", evals=EVAL_ITEMS, rows=path, **OUTPUTS)
        yield Case(KIND, name, nothing, (other,), where)
    no_evals = call_stage("dataset_file", evals="nowhere", rows=FILE, **OUTPUTS)
    yield Case(KIND, "no eval items", right, (no_evals,), "nowhere")
    below = call_stage("dataset_file", evals=EVAL_ITEMS, rows=FILE, out="f/out", metrics="m.json")
    yield Case(KIND, "output below a file", all_of(right, put("f", "x")), (below,), "f")
    mine = all_of(right, put("out", "a file of mine"))
    yield Case(KIND, "output is a file", mine, (command,), "out", EITHER, outputs=("m.json",))
    folder = all_of(right, lambda root: (root / "m.json").mkdir())
    yield Case(KIND, "metrics are a folder", folder, (command,), "m.json", outputs=())
    shut = all_of(right, _shut_folder)
    inside = call_stage("dataset_file", evals=EVAL_ITEMS, rows=FILE, out="s/out", metrics="m.json")
    yield Case(KIND, "output folder shut", shut, (inside,), "s", unprivileged=True)


def _shut_folder(root: Path) -> None:
    (root / "s").mkdir(mode=0o500)


def _probes() -> Iterator[Case]:
    """Rows as probing data, which may have the prompt that they were written for."""
    command = call_stage("probe_file", evals=EVAL_ITEMS, rows=FILE, **OUTPUTS)
    for name, text, want in (
        ("half a character in raw", _pair(raw="\ud800"), EITHER),
        ("half a character in prompt", _pair(prompt="\ud800"), EITHER),
        ("raw without tags", _pair(prompt="p", raw=""), EITHER),
        ("empty prompt", _pair(prompt=""), EITHER),
        ("no response", '{"instruction": "a"}\n', REFUSE),
        ("null", "null\n", REFUSE),
    ):
        yield Case(KIND, f"probe: {name}", put(FILE, text), (command,), LINE, want)


def _random_cases(rng: random.Random) -> Iterator[Case]:
    rows = [json.loads(line) for line in ROWS.splitlines()]
    talk = json.loads(_turns(("system", "s"), ("user", "a"), ("assistant", "b")))
    row = {**rows[0], "input": "c", "skill": "d", "prompt": "e", "system": "f"}
    for form, value, file in (
        ("row", row, FILE),
        ("dialogue", talk, FILE),
        ("list", rows[:3], "rows.json"),
    ):
        for name, text in mutate_json(value, rng, 20):
            yield _make_case(f"{form} {name}", text + "\n", file, want=EITHER)
    for name, data in mutate_bytes(ROWS.encode(), rng, 20):
        yield _make_case(f"damage {name}", data, want=EITHER)
    for name, data in mutate_bytes(gzip.compress(ROWS.encode()), rng, 10):
        yield _make_case(f"damaged gzip {name}", data, "rows.jsonl.gz", want=EITHER)
