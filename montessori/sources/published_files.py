"""Benchmark files as their authors published them, row by row, with every cell looked at."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.records.json_values import parse_json
from montessori.errors import MontessoriError
from montessori.sources.benchmark_cells import (
    LETTERS,
    CellFault,
    placed,
    read_choice,
    read_object,
    read_text,
    read_texts,
    require_gsm8k_answer,
    require_place,
)
from montessori.sources.local_files import LocalFiles

Rows = list[dict[str, Any]]
Splits = Mapping[str, Rows]
_COLUMNS = "six columns: question, four choices, answer"


def _load_mmlu(data: LocalFiles, subject: str) -> Splits:
    """CSV files of 57 subjects, with or without a header: question, four choices, answer."""
    splits: dict[str, Rows] = {}
    for split in ("dev", "test"):
        path = data.folder / "mmlu" / split / f"{subject}_{split}.csv"
        splits[split] = []
        for line, cells in data.table(path):
            if (cells[0], cells[-1]) != ("question", "answer"):
                with placed(path, f"line {line}"):
                    splits[split].append(_read_mmlu(cells, subject))
    return splits


def _read_mmlu(cells: list[str], subject: str) -> dict[str, Any]:
    if len(cells) != len(("question", *"ABCD", "answer")):
        raise CellFault(f"the row has {len(cells)} columns", _COLUMNS)
    question, *choices, answer = cells
    row = {"question": question, "choices": choices}
    read_text(row, "question")
    read_texts(row, "choices")
    gold = require_place(read_choice(answer), choices)
    return {"question": question, "subject": subject, "choices": choices, "answer": gold}


def _load_gsm8k(data: LocalFiles, name: str) -> Splits:
    splits: dict[str, Rows] = {}
    for split in ("train", "test"):
        path = data.folder / "gsm8k" / f"{split}.jsonl"
        splits[split] = []
        for line in data.lines(path):
            with placed(path, f"line {line.number}"):
                row = read_object(line.value)
                read_text(row, "question")
                require_gsm8k_answer(row)
                splits[split].append(row)
    return splits


def _load_arc(data: LocalFiles, name: str) -> Splits:
    """llm-foundry's form of ARC-Challenge: query, choices, place of the right one; tests only."""
    if name != "ARC-Challenge":
        return {}
    path = data.folder / "arc" / "llmfoundry_arc_challenge.jsonl"
    rows = []
    for line in data.lines(path):
        with placed(path, f"line {line.number}"):
            rows.append(_read_arc(read_object(line.value)))
    return {"train": [], "test": rows}


def _read_arc(row: Mapping[str, Any]) -> dict[str, Any]:
    choices = read_texts(row, "choices", least=2)
    if len(choices) > len(LETTERS):
        raise CellFault(f"{len(choices)} choices", f"at most {len(LETTERS)}")
    return {
        "question": read_text(row, "query").removeprefix("Question: "),
        "choices": {"text": choices, "label": list(LETTERS[: len(choices)])},
        "answerKey": LETTERS[require_place(row.get("gold"), choices)],
    }


def _load_bbh(data: LocalFiles, name: str) -> Splits:
    path = data.folder / "bbh" / "data" / f"{name}.json"
    text = data.text(path)
    if not text:
        return {"test": []}
    rows = []
    for number, value in enumerate(_read_examples(text, path), 1):
        with placed(path, f"example {number}"):
            row = read_object(value)
            rows.append({"input": read_text(row, "input"), "target": read_text(row, "target")})
    return {"test": rows}


def _read_examples(text: str, path: Path) -> list[Any]:
    value = parse_json(text.encode())
    if isinstance(value, Exception):
        raise _no_examples(path, f"not valid JSON: {value}") from value
    examples = value.get("examples") if isinstance(value, Mapping) else None
    if not isinstance(examples, list):
        raise _no_examples(path, "examples is no list")
    return examples


def _no_examples(path: Path, why: str) -> MontessoriError:
    return MontessoriError(
        f"the file has no examples ({why})",
        where=str(path),
        expected='{"examples": [{"input": ..., "target": ...}]}',
        next="fetch the file again",
    )


#: Readers of the files that authors published, by hub name.
PUBLISHED: Mapping[str, Callable[[LocalFiles, str], Splits]] = {
    "cais/mmlu": _load_mmlu,
    "openai/gsm8k": _load_gsm8k,
    "allenai/ai2_arc": _load_arc,
    "SaylorTwift/bbh": _load_bbh,
}
