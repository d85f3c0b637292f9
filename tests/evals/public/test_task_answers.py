"""Items of a copy that have no right answer are errors with task and item.

What would break: lm-eval counts an item whose answer is null or none of its choices as one that the
model got wrong, and nobody sees it.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.task import ConfigurableTask

from montessori.errors import MontessoriError
from montessori.evals.public.lm_eval_tasks import load_task
from montessori.evals.public.task_answers import require_answers
from montessori.sources.local_data import LocalData

GOOD = {"q": "Q?", "choices": ["x", "y"], "gold": 1, "word": "y"}


def toy(folder: Path, *rows: dict[str, Any], **config: Any) -> ConfigurableTask:
    copy = folder / "own" / "toy"
    copy.mkdir(parents=True)
    (copy / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {
        "task": "toy",
        "dataset_path": "own/toy",
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}}",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
    }
    with LocalData(folder).serving():
        return ConfigurableTask(config=settings | config)


GENERATE = {"output_type": "generate_until", "doc_to_target": "{{word}}", "doc_to_choice": None}


@pytest.mark.parametrize(
    ("change", "config", "problem"),
    [
        ({}, {}, None),
        ({}, {"doc_to_target": "{{choices.index(word)}}"}, None),
        ({}, {"doc_to_target": "word"}, None),
        ({}, GENERATE, None),
        ({"gold": -1}, {}, "has the answer -1, which is none of its 2 choices"),
        ({"gold": 2}, {}, "has the answer 2, which is none of its 2 choices"),
        ({"gold": None}, {}, "has no gold"),
        ({"word": "z"}, {"doc_to_target": "word"}, "has the answer 'z', which is none"),
        ({"word": "z"}, {"doc_to_target": "{{choices.index(word)}}"}, "has no right answer among"),
        ({"word": None}, GENERATE, "has no word"),
    ],
)
def test_an_item_without_a_right_answer_is_named(
    tmp_path: Path, change: dict[str, Any], config: dict[str, Any], problem: str | None
) -> None:
    tasks = {"toy": toy(tmp_path, GOOD, GOOD, GOOD | change, **config)}
    if problem is None:
        require_answers(tasks, LocalData(tmp_path))
        return
    with pytest.raises(MontessoriError) as caught:
        require_answers(tasks, LocalData(tmp_path))
    assert caught.value.what.startswith(f"toy: item 2 {problem}")
    assert caught.value.where == str(tmp_path / "own" / "toy")


def test_a_task_that_does_not_fit_the_data_is_named_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Index:
        all_tasks = ("toy",)

        def load(self, names: list[str]) -> dict[str, Any]:
            if (tmp_path / "own").exists():
                raise KeyError("question")
            return {"tasks": {"toy": toy(tmp_path, GOOD, GOOD | {"gold": 5})}}

    monkeypatch.setattr("montessori.evals.public.lm_eval_tasks.task_index", Index)
    with pytest.raises(MontessoriError, match="toy: item 1 has the answer 5"):
        load_task("toy", 0, LocalData(tmp_path))
    with pytest.raises(MontessoriError, match="cannot set up the task toy .*'question'"):
        load_task("toy", 0, LocalData(tmp_path))
