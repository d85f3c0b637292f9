"""Verdicts on answers to the open benchmarks, kept raw for everything computed later.

micro_alpaca_eval, alpaca_eval: each answer against another run's on the same item, and in
alpaca_eval_public against the public reference. micro_mt_bench, mt_bench: each turn from 1 to 10,
and on demand against the other run's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.artifacts.files import folder_digest, new_folder, read_json, write_json, write_table
from montessori.artifacts.schemas import VERDICTS
from montessori.errors import MontessoriError
from montessori.evals.judging.checker import Checker
from montessori.evals.judging.judge_prompts import read_prompts
from montessori.evals.judging.questions import plan_questions
from montessori.evals.judging.verdicts import FACTS, TABLE, Judge, verdict_table
from montessori.evals.settings import BenchmarkParams, JudgeParams

if TYPE_CHECKING:
    from montessori.evals.judging.model_judge import ModelJudge
    from montessori.pipeline.machine import Machine

PAID = "paid"  # folder of the ledgers of finished stages


@dataclass(frozen=True)
class JudgeInputs:
    """What the stage judge reads: answers of two runs, items, the judge and its prompts."""

    answers: Path
    against: Path
    evals: Path
    model: Path
    prompts: Path


@dataclass(frozen=True)
class JudgeResources:
    """What a model judge is run with: the machine, the values of keys, the file of its ledger."""

    machine: "Machine"
    secret: Callable[[str], str | None]
    ledger: Path


def write_verdicts(
    inputs: JudgeInputs,
    out: Path,
    judge: JudgeParams,
    bench: BenchmarkParams,
    means: JudgeResources,
) -> None:
    """Judge the answers of a run, and against those of another run, into `out`.

    Writes verdicts.parquet (schema VERDICTS, in the order of the items) and judge.json. A model's
    verdicts are kept as they come, also across runs, so that nothing is paid twice. Raises
    MontessoriError when an answer is missing, the judge cannot be used, or the budget ends.
    """
    questions = plan_questions(inputs.answers, inputs.against, inputs.evals, bench.split, judge)
    folders = {"answers": inputs.answers, "against": inputs.against,
               "evals": Path(inputs.evals) / bench.split, "judge": inputs.model,
               "prompts": inputs.prompts}  # fmt: skip
    facts = {"judge": "", "split": bench.split}
    with new_folder(out, folders, facts, ()) as folder:
        opened = open_judge(inputs, judge, means)
        facts["judge"] = opened.name
        table = verdict_table(opened.name, questions, opened.give_verdicts(questions))
        write_table(table, folder / TABLE, VERDICTS)
        write_json(folder / FACTS, opened.describe_judge())
    if means.ledger.is_file():
        _keep_ledger(means.ledger)


def _keep_ledger(ledger: Path) -> None:
    """Make the ledger of a finished stage one that other runs' stages learn from."""
    paid = ledger.parent / PAID
    paid.mkdir(exist_ok=True)
    ledger.replace(paid / f"{folder_digest(ledger)[:16]}.jsonl")


def open_judge(inputs: JudgeInputs, params: JudgeParams, means: JudgeResources) -> Judge:
    """The judge that a path names: a .json file of the lab's checker, or a model folder.

    Raises MontessoriError when it is neither, or its engine cannot be used.
    """
    if inputs.model.is_dir():
        return _open_model(inputs, params, means)
    described = read_json(inputs.model) if inputs.model.suffix == ".json" else None
    if described == {"kind": "grader"}:
        return Checker()
    raise MontessoriError(
        "no judge",
        where=f"{inputs.model} (judge.model in params.yaml)",
        expected='a .json file {"kind": "grader"}, or a folder of the stage models',
        next="add the judge to `models` and name data/models/NAME (docs/how-to/judges.md)",
    )


def _open_model(inputs: JudgeInputs, params: JudgeParams, means: JudgeResources) -> "ModelJudge":
    from montessori.evals.judging.model_judge import ModelJudge, shows_system
    from montessori.generate.engines import open_with_ledger, teacher_facts
    from montessori.generate.settings import GenerationParams
    from montessori.models.hosted import read_hosted

    prompts = read_prompts(inputs.prompts)
    generation = GenerationParams(params.engine)
    hosted = read_hosted(inputs.model)
    name = hosted.model if hosted else inputs.model.name
    engine = open_with_ledger(inputs.model, generation, means.machine, means.secret, means.ledger)
    for paid in sorted((means.ledger.parent / PAID).glob("*.jsonl")):
        engine.ledger.take_answers(paid)
    about = {"engine": params.engine, **teacher_facts(inputs.model, generation)}
    takes_system = hosted is not None or shows_system(inputs.model)
    return ModelJudge(name, engine, prompts, params, about, takes_system)
