"""Folders of public benchmarks with files that are cut, odd, of another shape, or not theirs."""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.campaign.case import (
    ACCEPT,
    EITHER,
    REFUSE,
    ROW,
    SEED_OUTPUTS,
    Case,
    all_of,
    call_seed,
    nothing,
    put,
)
from tools.campaign.mutations import mutate_bytes, mutate_json

KIND = "benchmarks"
MMLU = "mmlu/test/anatomy_test.csv"
GSM8K = "gsm8k/test.jsonl"
ALPACA = "alpaca_eval/alpaca_eval_gpt4_baseline.json"
DIFFICULTY = "alpaca_eval/instruction_difficulty.csv"
MT_BENCH = "mt_bench/question.jsonl"
REFERENCE = "mt_bench/reference_answer/gpt-4.jsonl"
BBH = "bbh/data/dates.json"
ARC = "arc/llmfoundry_arc_challenge.jsonl"
#: Files of no benchmark: the folder is named.
FOREIGN = ("readme.txt", "cais/mmlu/mmlu.py", "cais/mmlu/.gitkeep")
#: One right item of each.
QUESTION = "What is 1+1?,1,2,3,4,B\n"
SUM = {"question": "What is 1+3?", "answer": "1+3 = 4\n#### 4"}
OUTPUT = {
    "instruction": "Name a river.",
    "output": "The Nile.",
    "dataset": "helpful_base",
    "generator": "gpt4_1106_preview",
}
TURNS = {"question_id": 81, "category": "writing", "turns": ["Write a poem.", "Shorter."]}
DATES = {"examples": [{"input": "Which day?", "target": "(A)"}]}
CHOICE = {"query": "Which is hot?", "choices": ["ice", "fire"], "gold": 1}


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each file that is wrong, folders that are none, and random faults."""
    for tables in (_mmlu(), _gsm8k(), _alpaca(), _mt_bench(), _others()):
        for name, (path, content) in tables.items():
            where = "bench" if path in FOREIGN else path.split("/")[0]
            yield _make_case(name, {path: content}, where)
    yield from _two_files()
    for name, (path, content) in _right().items():
        yield _make_case(name, {path: content}, want=ACCEPT)
    for name, (path, content) in _may_be_read().items():
        yield _make_case(name, {path: content}, want=EITHER)
    yield from _folders()
    yield from _random_cases(rng)


def _make_case(
    name: str, files: Mapping[str, str | bytes], where: str = "bench", want: str = REFUSE
) -> Case:
    writes = [put(f"bench/{path}", content) for path, content in files.items()]
    write = all_of(lambda root: (root / "bench").mkdir(), *writes)
    return Case(KIND, name, write, (call_seed(evals="bench"),), where, want, SEED_OUTPUTS)


def _line(value: object) -> str:
    return json.dumps(value) + "\n"


def _without(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {other: entry for other, entry in value.items() if other != key}


def _mmlu() -> dict[str, tuple[str, str | bytes]]:
    texts: dict[str, str | bytes] = {
        "cut row": QUESTION + "What is,1,2\n",
        "one column": "abc\n",
        "empty file": "",
        "seven columns": QUESTION.replace(",B", ",5,B"),
        "semicolons": QUESTION.replace(",", ";"),
        "open quote": '"What is 1+1?,1,2,3,4,B\n' + QUESTION,
        "Latin-1": QUESTION.replace("What", "caf\xe9").encode("latin-1"),
    }
    for answer in ("E", "", "AB", "7", "-1", "b c", "\u0412"):
        texts[f"answer {answer!r}"] = QUESTION.replace(",B", f",{answer}")
    return {f"MMLU: {name}": (MMLU, text) for name, text in texts.items()}


def _gsm8k() -> dict[str, tuple[str, str | bytes]]:
    texts: dict[str, str | bytes] = {
        "not JSON": "{\n",
        "empty": "",
        "numbers": "1\n2\n",
        "null": "null\n",
        "depth": "[" * 100_000 + "\n",
    }
    for word, value in {"null": None, "a number": 5, "a list": ["a"], "blank": " "}.items():
        texts[f"question {word}"] = _line({**SUM, "question": value})
    for key in ("question",):
        texts[f"no {key}"] = _line(_without(SUM, key))
    return {f"GSM8K: {name}": (GSM8K, text) for name, text in texts.items()}


def _alpaca() -> dict[str, tuple[str, str | bytes]]:
    values: dict[str, Any] = {
        "an object": {},
        "empty list": [],
        "list of texts": ["a"],
        "no dataset": [_without(OUTPUT, "dataset")],
        "no instruction": [_without(OUTPUT, "instruction")],
        "no output": [_without(OUTPUT, "output")],
        "output null": [{**OUTPUT, "output": None}],
        "output a number": [{**OUTPUT, "output": 5}],
        "instruction null": [{**OUTPUT, "instruction": None}],
        "instruction a number": [{**OUTPUT, "instruction": 5}],
    }
    cases: dict[str, tuple[str, str | bytes]] = {
        f"AlpacaEval: {name}": (ALPACA, json.dumps(value)) for name, value in values.items()
    }
    return {**cases, "AlpacaEval: not JSON": (ALPACA, "[")}


def _mt_bench() -> dict[str, tuple[str, str | bytes]]:
    turns = {"empty": [], "a text": "Write", "null": [None, "a"], "numbers": [1, 2], "blank": [" "]}
    lines = {f"turns {word}": _line({**TURNS, "turns": value}) for word, value in turns.items()}
    lines |= {f"no {key}": _line(_without(TURNS, key)) for key in TURNS}
    lines |= {
        "not JSON": "{\n",
        "id twice": _line(TURNS) * 2,
        "id a list": _line({**TURNS, "question_id": [1]}),
        "category a list": _line({**TURNS, "category": ["a"]}),
    }
    return {f"MT-Bench: {name}": (MT_BENCH, text) for name, text in lines.items()}


def _others() -> dict[str, tuple[str, str | bytes]]:
    """Own items, BBH and ARC."""
    return {
        "own items: empty": ("mine.jsonl", ""),
        "own items: bad line": ("mine.jsonl", '{"a": 1}\n'),
        "own items: a folder": ("mine.jsonl/x", ""),
        "BBH: no examples": (BBH, "{}"),
        "BBH: list": (BBH, "[]"),
        "BBH: examples null": (BBH, '{"examples": null}'),
        "BBH: no input": (BBH, '{"examples": [{"target": "a"}]}'),
        "BBH: input a number": (BBH, '{"examples": [{"input": 5, "target": "a"}]}'),
        "ARC: no choices": (ARC, _line(_without(CHOICE, "choices"))),
        "ARC: one choice": (ARC, _line({**CHOICE, "choices": ["x"], "gold": 0})),
        "ARC: gold too large": (ARC, _line({**CHOICE, "gold": 99})),
        "ARC: gold negative": (ARC, _line({**CHOICE, "gold": -1})),
        "ARC: gold a text": (ARC, _line({**CHOICE, "gold": "fire"})),
        "ARC: choices a text": (ARC, _line({**CHOICE, "choices": "ab"})),
        "unknown files": ("readme.txt", "x"),
        "bench copy: script": ("cais/mmlu/mmlu.py", "open('pwned', 'w')\n"),
        "bench copy: empty": ("cais/mmlu/.gitkeep", ""),
        "bench copy: damaged": ("cais/mmlu/all/test-00000-of-00001.parquet", b"PAR1xxxx"),
    }


def _two_files() -> Iterator[Case]:
    """Files that do not fit together."""
    rows = json.dumps([OUTPUT, {**OUTPUT, "instruction": "b"}])
    head = "index,instruction_difficulty\n"
    for name, table in {
        "too short": f"{head}0,0.5\n",
        "too long": f"{head}0,0.5\n1,0.5\n2,0.5\n",
        "text": f"{head}0,abc\n1,0.5\n",
        "NaN": f"{head}0,nan\n1,0.5\n",
        "infinite": f"{head}0,inf\n1,0.5\n",
        "other columns": "a,b\n0,1\n1,1\n",
        "empty": "",
    }.items():
        files = {ALPACA: rows, DIFFICULTY: table}
        yield _make_case(f"AlpacaEval: difficulty {name}", files, "difficult")
    for name, answer in {
        "no choices": {"question_id": 81},
        "choices empty": {"question_id": 81, "choices": []},
        "choices a text": {"question_id": 81, "choices": "abc"},
        "null": None,
    }.items():
        files = {MT_BENCH: _line(TURNS), REFERENCE: _line(answer)}
        yield _make_case(f"MT-Bench: reference {name}", files, "mt_bench")
    files = {"gsm8k.jsonl": ROW, GSM8K: _line(SUM)}
    yield _make_case("own items named as a public benchmark", files, "gsm8k")


def _right() -> dict[str, tuple[str, str | bytes]]:
    return {
        "MMLU: right": (MMLU, QUESTION),
        "AlpacaEval: right": (ALPACA, json.dumps([OUTPUT])),
        "MT-Bench: right": (MT_BENCH, _line(TURNS)),
        "own items: right": ("mine.jsonl", ROW),
    }


def _may_be_read() -> dict[str, tuple[str, str | bytes]]:
    return {
        "MMLU: blank line": (MMLU, QUESTION + "\n" + QUESTION.replace("1+1", "2+2")),
        "MMLU: UTF-16": (MMLU, QUESTION.encode("utf-16")),
        "GSM8K: UTF-16": (GSM8K, _line(SUM).encode("utf-16")),
        "AlpacaEval: object of rows": (ALPACA, json.dumps({"a": OUTPUT})),
        "MMLU: NUL": (MMLU, QUESTION.replace("What", "a\0b")),
        "MMLU: 200 kB field": (MMLU, QUESTION.replace("What", "x" * 200_000)),
        "GSM8K: half a character": (GSM8K, _line({**SUM, "question": "\ud83d"})),
        "GSM8K: no answer": (GSM8K, _line(_without(SUM, "answer"))),
        "AlpacaEval: half a character": (ALPACA, json.dumps([{**OUTPUT, "output": "\ud83d"}])),
        "MT-Bench: three turns": (MT_BENCH, _line({**TURNS, "turns": ["a", "b", "c"]})),
        "MT-Bench: half a character": (MT_BENCH, _line({**TURNS, "turns": ["\ud83d", "b"]})),
        "own items: half a character": ("mine.jsonl", '{"instruction": "\\ud83d"}\n'),
        "own items: name with a blank": ("my items.jsonl", ROW),
    }


def _folders() -> Iterator[Case]:
    """Paths that are no folders of benchmarks."""
    yield _make_case("empty folder", {})
    none = put("bench.txt", "x")
    call = (call_seed(evals="bench.txt"),)
    yield Case(KIND, "a file that is none", none, call, "bench.txt", outputs=SEED_OUTPUTS)
    call = (call_seed(evals="nowhere"),)
    yield Case(KIND, "no folder", nothing, call, "nowhere", outputs=SEED_OUTPUTS)
    call = (call_seed(evals="bench"),)
    closed = all_of(put("bench/mine.jsonl", ROW), _close)
    yield Case(KIND, "no permission", closed, call, "mine", outputs=SEED_OUTPUTS, unprivileged=True)


def _close(root: Path) -> None:
    (root / "bench" / "mine.jsonl").chmod(0)


def _random_cases(rng: random.Random) -> Iterator[Case]:
    for path, value in (
        (GSM8K, SUM),
        (ALPACA, [OUTPUT]),
        (MT_BENCH, TURNS),
        (BBH, DATES),
        (ARC, CHOICE),
    ):
        for name, text in mutate_json(value, rng, 12):
            yield _make_case(f"{path} {name}", {path: text + "\n"}, want=EITHER)
    for name, data in mutate_bytes((QUESTION * 3).encode(), rng, 15):
        yield _make_case(f"MMLU damage {name}", {MMLU: data}, want=EITHER)
