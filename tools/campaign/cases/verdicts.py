"""Files of verdicts in the public formats: AlpacaEval's annotations, MT-Bench's judgments."""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.campaign.case import (
    ACCEPT,
    EITHER,
    NO_FILES,
    REFUSE,
    Case,
    all_of,
    in_place_of,
    nothing,
    put,
)
from tools.campaign.mutations import mutate_bytes, mutate_json

KIND = "verdicts"
ALPACA, BENCH = "v.json", "v.jsonl"
ROW = {
    "instruction": "a",
    "generator_1": "gpt4_1106_preview",
    "generator_2": "me",
    "preference": 1.7,
    "output_1": "x",
    "output_2": "y",
}
RATING = {
    "question_id": 81,
    "model": "me",
    "turn": 1,
    "score": 7,
    "judgment": "Rating: [[7]]",
    "judge": ["gpt-4", "single-v1"],
    "tstamp": 1.0,
}
MATCH = {
    "question_id": 81,
    "model_1": "a",
    "model_2": "b",
    "g1_winner": "model_1",
    "g2_winner": "model_1",
    "turn": 1,
}
PLACE = "v.json|preference|verdict"
#: Preferences of which no row has a right one.
NO_PREFERENCES = {
    "null": None,
    "text": "2",
    "3": 3,
    "-1": -1,
    "list": [1],
    "true": True,
    "0.5": 0.5,
}
NUMBERS = {"1e999": "1e999", "NaN": "NaN", "huge": "1" + "0" * 400, "-Infinity": "-Infinity"}
#: Options of `score alpaca-eval` with a file that is wrong, and the file's content.
OPTIONS: tuple[tuple[str, str | bytes], ...] = (
    ("--weights", b"\xff\xfe\0\1"),
    ("--weights", "a,b\n1,2\n"),
    ("--weights", ""),
    ("--difficulty", ",instruction_difficulty\n0,abc\n"),
    ("--difficulty", ",instruction_difficulty\n0,nan\n"),
    ("--gamed", "a\n1\n"),
    ("--gamed", ""),
    ("--model-outputs", "{}"),
    ("--model-outputs", '["a"]'),
    ("--model-outputs", "["),
    ("--reference-outputs", "null"),
)


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each wrong verdict, option and file, and random faults."""
    yield from _alpaca_cases()
    yield from _option_cases()
    yield from _bench_cases()
    yield from _pair_cases()
    yield from _place_cases()
    yield from _random_cases(rng)


def _alpaca(
    name: str,
    content: str | bytes,
    want: str = REFUSE,
    where: str = ALPACA,
    more: tuple[str, ...] = (),
) -> Case:
    call = (
        "montessori",
        "score",
        "alpaca-eval",
        "--annotations",
        ALPACA,
        "--json",
        "m.json",
        *more,
    )
    write = put(ALPACA, content)
    return Case(KIND, f"alpaca-eval: {name}", write, (call,), where, want, ("m.json",))


def _bench(name: str, content: str, want: str = REFUSE, where: str = BENCH, *more: str) -> Case:
    call = ("montessori", "score", "mt-bench", "--judgments", BENCH, "--json", "m.json", *more)
    return Case(KIND, f"mt-bench: {name}", put(BENCH, content), (call,), where, want, ("m.json",))


def _without(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {other: entry for other, entry in value.items() if other != key}


def _alpaca_cases() -> Iterator[Case]:
    yield _alpaca("right", json.dumps([ROW, {**ROW, "instruction": "b"}]), ACCEPT)
    texts: dict[str, str | bytes] = {
        "empty": "",
        "empty list": "[]",
        "object": "{}",
        "number": "3",
        "null": "null",
        "not JSON": "[{]",
        "rows of numbers": "[1, 2]",
        "row null": "[null]",
        "depth": "[" * 100_000,
        "Latin-1": json.dumps([ROW]).replace("me", "m\\u00e9").encode("latin-1") + b"\xe9",
    }
    for name, text in texts.items():
        yield _alpaca(name, text)
    for key in ("instruction", "generator_1", "generator_2", "preference"):
        yield _alpaca(f"no {key}", json.dumps([_without(ROW, key)]), where="row 1|line 1|v.json")
    for name, value in NO_PREFERENCES.items():
        yield _alpaca(f"preference {name}", json.dumps([{**ROW, "preference": value}]), where=PLACE)
    for name, number in NUMBERS.items():
        text = json.dumps([ROW]).replace("1.7", number)
        yield _alpaca(f"preference {name}", text, where=PLACE)
    three = [ROW, {**ROW, "generator_2": "b"}, {**ROW, "generator_2": "c"}]
    yield _alpaca("three generators", json.dumps(three))
    yield _alpaca("against itself", json.dumps([{**ROW, "generator_1": "me"}]), EITHER)
    odd = {"generator_2": (None, "\x1b[31mred\x1b[0m\n", "\ud800"), "instruction": (5, "\ud800")}
    for key, values in {**odd, "output_2": (5, "\ud800", None)}.items():
        for value in values:
            yield _alpaca(f"{key} {value!r}", json.dumps([{**ROW, key: value}]), EITHER)
    yield _alpaca("BOM", b"\xef\xbb\xbf" + json.dumps([ROW]).encode(), EITHER)
    yield _alpaca("JSON Lines", json.dumps(ROW) + "\n" + json.dumps(ROW) + "\n", EITHER)
    yield _alpaca("UTF-16", json.dumps([ROW]).encode("utf-16"), EITHER)


def _option_cases() -> Iterator[Case]:
    text = json.dumps([ROW])
    yield _alpaca("--model not there", text, where="nobody", more=("--model", "nobody"))
    for option in ("--weights", "--difficulty", "--gamed", "--model-outputs"):
        yield _alpaca(f"{option} missing", text, where="nowhere", more=(option, "nowhere.csv"))
    for number, (option, content) in enumerate(OPTIONS):
        call = ("montessori", "score", "alpaca-eval", "--annotations", ALPACA, "--json", "m.json")
        write = all_of(put(ALPACA, text), put("w.csv", content))
        name = f"alpaca-eval: {option} {number}"
        yield Case(KIND, name, write, ((*call, option, "w.csv"),), "w.csv", outputs=("m.json",))
    call = ("montessori", "score", "alpaca-eval", "--annotations", ALPACA, "--json", "f/m.json")
    write = all_of(put(ALPACA, text), put("f", "x"))
    yield Case(KIND, "alpaca-eval: --json below a file", write, (call,), "f", outputs=())


def _bench_cases() -> Iterator[Case]:
    yield _bench("right", json.dumps(RATING) + "\n", ACCEPT)
    for name, text in {"empty": "", "blank lines": "\n\n"}.items():
        yield _bench(name, text)
    for name, text in {"not JSON": "{\n", "a list": "[1]\n", "null": "null\n", "5": "5\n"}.items():
        yield _bench(name, text, where="line 1|v.jsonl")
    for key in ("question_id", "model", "turn"):
        yield _bench(f"no {key}", json.dumps(_without(RATING, key)) + "\n", where="line 1")
    wrong: dict[str, tuple[Any, ...]] = {
        "question_id": ("81", 81.5, None, True),
        "turn": (True, "1", None, 1.5),
        "model": (5, ["a"]),
    }
    for key, values in wrong.items():
        for value in values:
            text = json.dumps({**RATING, key: value}) + "\n"
            yield _bench(f"{key} {value!r}", text, where="line 1")
    odd: dict[str, tuple[Any, ...]] = {
        "score": ("7", 11, -1, None, 10**400, float("nan"), float("inf")),
        "turn": (0, 3, 10**30),
        "judgment": (5, None, "[[" + "9" * 10_000 + "]]", "\ud800"),
        "tstamp": ("x", float("nan"), 10**400),
        "judge": ({"a": 1}, None, 5),
        "model": (None, "\x1b]0;evil\x07", "\ud800"),
        "question_id": (10**500,),
    }
    for key, values in odd.items():
        for value in values:
            text = json.dumps({**RATING, key: value}) + "\n"
            yield _bench(f"odd {key} {str(value)[:12]!r}", text, EITHER, "line 1|v.jsonl")


def _pair_cases() -> Iterator[Case]:
    pair, rating = json.dumps(MATCH) + "\n", json.dumps(RATING) + "\n"
    yield _bench("pairs: right", pair, ACCEPT)
    yield _bench("ratings and pairs", rating + pair)
    yield _bench(
        "pairs: no winner", json.dumps(_without(MATCH, "g2_winner")) + "\n", where="line 1"
    )
    yield _bench("pairs: model_3", json.dumps({**MATCH, "g1_winner": "model_3"}) + "\n", EITHER)
    yield _bench("pairs: baseline nobody", pair, REFUSE, "nobody", "--baseline", "nobody")
    yield _bench("questions missing", rating, REFUSE, "nowhere", "--questions", "nowhere")
    for name, question in {
        "id a text": '{"question_id": "x"}\n',
        "not JSON": "{\n",
        "empty": "",
        "another": '{"question_id": 5, "category": "a"}\n',
    }.items():
        call = ("montessori", "score", "mt-bench", "--judgments", BENCH, "--questions", "q.jsonl")
        write = all_of(put(BENCH, rating), put("q.jsonl", question))
        want = EITHER if name == "another" else REFUSE
        where = "81|q.jsonl"
        yield Case(KIND, f"mt-bench: questions {name}", write, (call,), where, want, ())


def _place_cases() -> Iterator[Case]:
    for file, call in (
        (ALPACA, ("montessori", "score", "alpaca-eval", "--annotations", ALPACA)),
        (BENCH, ("montessori", "score", "mt-bench", "--judgments", BENCH)),
    ):
        for name, place in NO_FILES.items():
            write = in_place_of(file, place)
            yield Case(KIND, f"{call[2]}: is {name}", write, (call,), "v.json", outputs=())
        closed = all_of(put(file, "[]"), _close)
        name = f"{call[2]}: no permission"
        yield Case(KIND, name, closed, (call,), "v.json", outputs=(), unprivileged=True)
    call = ("montessori", "score", "nothing")
    yield Case(KIND, "unknown benchmark", nothing, (call,), "nothing", outputs=())


def _close(root: Path) -> None:
    for path in root.glob("v.json*"):
        path.chmod(0)


def _random_cases(rng: random.Random) -> Iterator[Case]:
    for name, text in mutate_json([ROW, {**ROW, "instruction": "b"}], rng, 40):
        yield _alpaca(name, text, EITHER)
    for base in (RATING, MATCH):
        for name, text in mutate_json(base, rng, 30):
            yield _bench(f"{name}, of {len(base)} keys", text + "\n", EITHER)
    for name, data in mutate_bytes(json.dumps([ROW]).encode(), rng, 10):
        yield _alpaca(f"damage {name}", data, EITHER)
