"""A teacher without a model, for tests: it writes lab tasks and answers them.

What it writes depends on a sample's seed alone, as with a real engine.
"""

import json
import random
import re
import sys
import time
from pathlib import Path

import polars as pl

from montessori.artifacts.files import row_id, write_table
from montessori.artifacts.schemas import ROWS
from montessori.filters.settings import DecontaminationParams
from montessori.formats.tags import tag_turns
from montessori.generate import Generated
from montessori.generate.local import LocalModel
from montessori.generate.settings import GenerationParams
from montessori.lab.families import FAMILIES
from montessori.lab.grader import recognise_task
from montessori.lab.task import draw_task
from montessori.writing.order import Order
from montessori.writing.produce import WritingSettings
from montessori.writing.settings import (
    CollapseParams,
    FilterParams,
    InstructionParams,
    ResponseParams,
    SynthParams,
)
from tests.tiny_models import tiny_tokenizer

ROOT = Path(__file__).parents[2]
FAMILY_NAMES = sorted(FAMILIES)
_USER = re.compile(r"<\|user\|>(.*?)<\|end\|>", re.DOTALL)


class ScriptedEngine(LocalModel):
    """Writes tasks of `families`; a share of samples has no tags, no end or a wrong answer.

    `pause` seconds pass before each call, so that a test can stop the process in between.
    """

    def __init__(self, families=FAMILY_NAMES, untagged=0.1, endless=0.05, wrong=0.1, pause=0.0):
        self.tokenizer = tiny_tokenizer()
        self.families, self.pause = list(families), pause
        self.untagged, self.endless, self.wrong = untagged, endless, wrong
        self.calls = 0
        self.seen = []  # user turns of each request

    def generate(self, requests, sampling, on_done=None):
        self.calls += 1
        time.sleep(self.pause)
        results = []
        for i, request in enumerate(requests):
            turns = _USER.findall(self.tokenizer.decode(request.ids))
            self.seen.append(turns)
            for k, seed in enumerate(request.seeds):
                text, finished = self._text(turns, random.Random(seed))
                results.append(Generated(text, len(text) // 3, finished, i, k))
        return results

    def _text(self, turns, rng):
        finished = rng.random() >= self.endless
        if not turns[0].startswith("Write one new instruction."):
            task = recognise_task(turns) or recognise_task([*turns, "Now add 3 to that."])
            gold = task.turns[len(turns) - 1].response if task else "yes"
            return ("wrong" if rng.random() < self.wrong else gold), finished
        if rng.random() < self.untagged:
            return "Idea: nothing.", finished
        task = draw_task(FAMILIES[rng.choice(self.families)], "train", rng)
        return f"Idea: {task.family}.\n{tag_turns([t.instruction for t in task.turns])}", finished


def make_inputs(folder, seeds=40):
    """Teacher (template only), seeds, evals and template, as a stage finds them."""
    teacher = folder / "teacher"
    tiny_tokenizer().save_pretrained(teacher)
    rng = random.Random(1)
    tasks = [draw_task(FAMILIES[rng.choice(FAMILY_NAMES)], "train", rng) for _ in range(seeds)]
    rows = [_row(task) for task in tasks]
    write_table(pl.DataFrame(rows, schema=ROWS), folder / "seeds" / "rows.parquet", ROWS)
    evals = folder / "evals" / "test" / "micro_alpaca_eval.jsonl"
    evals.parent.mkdir(parents=True)
    items = [draw_task(FAMILIES["add"], "test", rng) for _ in range(3)]
    lines = [
        json.dumps({"item_id": str(i), "key": t.key, "turns": [x.instruction for x in t.turns]})
        for i, t in enumerate(items)
    ]
    evals.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {
        "teacher": teacher,
        "seeds": folder / "seeds",
        "evals": folder / "evals",
        "template": ROOT / "data" / "micro" / "prompts" / "instruction.jinja",
    }


def _row(task):
    messages = []
    for turn in task.turns:
        messages += [
            {"role": "user", "content": turn.instruction},
            {"role": "assistant", "content": turn.response},
        ]
    return {
        "row_id": row_id(task.key),
        "messages": messages,
        "instruction": "\n\n".join(turn.instruction for turn in task.turns),
        "response": "\n\n".join(turn.response for turn in task.turns),
        "skill": FAMILIES[task.family].subject,
    }


def make_order(folder, inputs, engine, **changes):
    """An order and its settings, as in the lab but with small waves; `changes` replace fields."""
    order = {
        "name": "test",
        "inputs": inputs,
        "work": folder / "work",
        "seed": 0,
        "generation": GenerationParams("transformers"),
        "open_engine": lambda ledger: engine,
    }
    settings = {
        "instruction": InstructionParams("", 3, 1, 4, 5, 96, 1.0, 0.95, 0.0),
        "response": ResponseParams(64, 0.0, 1.0, 0.0),
        "filter": FilterParams(6, 400, 0.95, (), True, 0.0, False),
        "collapse": CollapseParams(0.5, 0.7, 0.9),
        "decontamination": DecontaminationParams(ngram=0, limit=1.0),
    }
    for name, value in changes.items():
        (order if name in order else settings)[name] = value
    return Order(**order), WritingSettings(**settings)


def main(folder: Path, pause: float) -> None:
    """Write a dataset of 60 rows below `folder`; the resume test stops this process."""
    from montessori.writing.produce import write_dataset

    names = ("teacher", "seeds", "evals")
    inputs = {name: folder / name for name in names}
    inputs["template"] = ROOT / "data" / "micro" / "prompts" / "instruction.jinja"
    order, settings = make_order(folder, inputs, ScriptedEngine(pause=pause))
    write_dataset(order, settings, SynthParams(60, 3.0), folder / "out", folder / "skills.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
