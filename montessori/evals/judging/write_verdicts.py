"""The stage judge: verdicts on a run's answers, kept raw so that metrics can be computed anew.

micro_alpaca_eval, alpaca_eval: each answer is compared with another run's answer to the same item,
in alpaca_eval_public with the public reference. micro_mt_bench, mt_bench: each turn is graded from
1 to 10, and on demand compared with the other run's.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.artifacts.atomic import atomic_path
from montessori.artifacts.files import (
    MANIFEST,
    folder_digest,
    new_folder,
    read_json,
    write_json,
    write_table,
)
from montessori.artifacts.schemas import VERDICTS
from montessori.errors import MontessoriError
from montessori.evals.answers import THINKING
from montessori.evals.judging.checker import Checker
from montessori.evals.judging.judge_prompts import read_prompts
from montessori.evals.judging.questions import plan_questions
from montessori.evals.judging.verdicts import (
    ANSWERS_THINKING,
    FACTS,
    TABLE,
    Judge,
    verdict_table,
)
from montessori.evals.settings import BenchmarkParams, JudgeParams
from montessori.generate.ledger import answer_key
from montessori.pipeline.machine import Machine

if TYPE_CHECKING:
    from montessori.evals.judging.model_judge import ModelJudge

FINISHED = ".finished"  # suffix of a note: what work was finished, and where its ledger went
PAID = "paid"  # folder of the ledgers of finished stages, from which other runs take verdicts


@dataclass(frozen=True)
class JudgeInputs:
    """Paths that the stage judge reads: answers of two runs, items, the judge and its prompts."""

    answers: Path
    against: Path
    evals: Path
    model: Path
    prompts: Path


@dataclass(frozen=True)
class JudgeResources:
    """What a judge model runs on: the machine, a reader of secret keys, the file of its ledger."""

    machine: Machine
    secret: Callable[[str], str | None]
    ledger: Path


def write_verdicts(
    inputs: JudgeInputs,
    out: Path,
    judge: JudgeParams,
    bench: BenchmarkParams,
    resources: JudgeResources,
) -> None:
    """Judge the answers of a run, by themselves and against those of another run, into `out`.

    Writes verdicts.parquet (schema VERDICTS, in the order of the items) and judge.json. Each
    verdict of a model is saved in a ledger as soon as it is given, so that no run pays for it
    twice. Raises MontessoriError when an answer is missing, the judge cannot be used, or the
    budget ends.
    """
    questions = plan_questions(inputs.answers, inputs.against, inputs.evals, bench.split, judge)
    folders = {
        "answers": inputs.answers,
        "against": inputs.against,
        "evals": Path(inputs.evals) / bench.split,
        "judge": inputs.model,
        "prompts": inputs.prompts,
    }
    facts = {"judge": "", "split": bench.split}
    work = _Work(folders, judge, bench)
    _take_back_ledger(resources.ledger, work)
    with new_folder(out, folders, facts, ()) as folder:
        opened = open_judge(inputs, judge, resources)
        facts["judge"] = opened.name
        table = verdict_table(opened.name, questions, opened.give_verdicts(questions))
        write_table(table, folder / TABLE, VERDICTS)
        write_json(folder / FACTS, opened.describe_judge() | _count_thoughts(inputs.answers))
    if resources.ledger.is_file():
        _keep_ledger(resources.ledger, work)


def _count_thoughts(answers: Path) -> dict[str, object]:
    """Answers of the run that came behind a thought, if there are any."""
    manifest = answers / MANIFEST
    facts = read_json(manifest).get("facts", {}) if manifest.is_file() else {}
    return {ANSWERS_THINKING: facts[THINKING]} if THINKING in facts else {}


@dataclass(frozen=True)
class _Work:
    """All that a run's verdicts depend on."""

    folders: Mapping[str, Path]
    judge: JudgeParams
    bench: BenchmarkParams

    def key(self) -> str:
        """A digest of it: of contents, not of paths."""
        digests = {name: folder_digest(Path(path)) for name, path in self.folders.items()}
        return answer_key(digests, asdict(self.judge), self.bench.split)


def _keep_ledger(ledger: Path, work: _Work) -> None:
    """Move the ledger of a finished stage to where the stages of other runs look for verdicts."""
    paid = ledger.parent / PAID
    paid.mkdir(exist_ok=True)
    # Named by content, so that two runs with equal verdicts leave one copy.
    name = f"{folder_digest(ledger)[:16]}.jsonl"
    write_json(ledger.with_suffix(FINISHED), {"work": work.key(), "ledger": name})
    ledger.replace(paid / name)


def _take_back_ledger(ledger: Path, work: _Work) -> None:
    """Begin with the ledger of the same work, if that was finished before.

    A kill after the end of a stage, before DVC has recorded it, lets the stage start again: it has
    paid then what it had paid before, not nothing.
    """
    note = ledger.with_suffix(FINISHED)
    if ledger.exists() or not note.is_file():
        return
    found = read_json(note)
    paid = ledger.parent / PAID / found["ledger"]
    if paid.is_file() and found["work"] == work.key():
        with atomic_path(ledger) as temporary:
            shutil.copyfile(paid, temporary)


def open_judge(inputs: JudgeInputs, params: JudgeParams, resources: JudgeResources) -> Judge:
    """Open the judge that a path names: a .json file of the lab's checker, or a model folder.

    Raises MontessoriError when it is neither, or its engine cannot be used.
    """
    if inputs.model.is_dir():
        return _open_model(inputs, params, resources)
    described = read_json(inputs.model) if inputs.model.suffix == ".json" else None
    if described == {"kind": "grader"}:
        return Checker()
    raise MontessoriError(
        "not a judge",
        where=f"{inputs.model} (judge.model in params.yaml)",
        expected='a .json file {"kind": "grader"}, or a folder of the stage models',
        next="add the judge to `models` and name data/models/NAME (docs/how-to/judges.md)",
    )


def _open_model(
    inputs: JudgeInputs, params: JudgeParams, resources: JudgeResources
) -> "ModelJudge":
    # An engine imports a library that takes seconds, which the lab's checker does not need.
    from montessori.evals.judging.model_judge import ModelJudge, shows_system
    from montessori.generate.engines import open_with_ledger, teacher_facts
    from montessori.generate.settings import GenerationParams
    from montessori.models.hosted import read_hosted

    prompts = read_prompts(inputs.prompts)
    generation = GenerationParams(params.engine)
    hosted = read_hosted(inputs.model)
    name = hosted.model if hosted else inputs.model.name
    engine = open_with_ledger(
        inputs.model, generation, resources.machine, resources.secret, resources.ledger
    )
    for paid in sorted((resources.ledger.parent / PAID).glob("*.jsonl")):
        engine.ledger.take_answers(paid)
    about = {"engine": params.engine, **teacher_facts(inputs.model, generation)}
    takes_system = hosted is not None or shows_system(inputs.model)
    return ModelJudge(name, engine, prompts, params, about, takes_system)
