"""Small files in the form of published verdicts, and the published files where they are there."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture
def annotations(tmp_path: Path) -> Callable[..., Path]:
    """Writes an annotations file of given preferences, the model named second."""

    def write(preferences: Sequence[Any], **changes: Any) -> Path:
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps([annotation(i, p) | changes for i, p in enumerate(preferences)]))
        return path

    return write


def annotation(number: int, preference: Any) -> dict[str, Any]:
    """A row whose two answers have 10 and 4 + number characters."""
    return {
        "instruction": f"question {number}",
        "generator_1": "reference",
        "generator_2": "model",
        "output_1": "r" * 10,
        "output_2": "m" * (4 + number),
        "preference": preference,
        "annotator": "judge",
    }


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as JSON Lines."""

    def write(rows: Sequence[dict[str, Any]], name: str = "judgments.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session")
def alpaca_files() -> Path:
    """AlpacaEval's published judgments, leaderboard and weights."""
    return _shared("alpaca_eval")


@pytest.fixture(scope="session")
def mt_bench_files() -> Path:
    """MT-Bench's questions and published verdicts."""
    return _shared("mt_bench")


def _shared(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the shared folder with the published files of {name} is absent")
    return SHARED / name
