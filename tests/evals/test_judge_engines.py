"""Local models as judges: the lab's teacher by transformers and by a real vLLM.

What would break: verdicts of a local judge are lost, counted wrongly or read from the wrong text.
(The verdicts themselves are nonsense: the judge is tiny.)
"""

import json
import shutil
from pathlib import Path

import pytest

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.evals.evaluate import evaluate_run
from montessori.evals.judging.model_judge import shows_system, without_system
from montessori.evals.metrics import compute_metrics
from montessori.evals.outcomes import read_outcomes
from montessori.evals.settings import EvalParams
from montessori.pipeline.machine import Machine
from tests.evals.judge_case import BENCH, ROOT, answered, judged, public_evals, rows_of

TEACHER = ROOT / "data" / "micro" / "teacher"
LOCAL = {"device": "cpu", "threads": 1}
#: Short prompts: the published form, for a context of few hundred tokens.
CHOICE = """<|im_start|>user
{instruction} m: {output_1} M: {output_2} Which is better, m or M?
<|im_end|>"""
SETTINGS = {"max_new_tokens": 8, "top_logprobs": 700, "machine": LOCAL}


@pytest.fixture
def prompts(tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "alpaca_eval_clf.txt").write_text(CHOICE)
    rows = [
        {"name": f"single{math}-v1{turns}", "system_prompt": "Grade.", "prompt_template": text}
        for math in ("", "-math")
        for turns, text in (
            ("", "{question} {answer} [[1]]?"),
            ("-multi-turn", "{question_1} {answer_1} {question_2} {answer_2}"),
        )
    ]
    (folder / "judge_prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def case(tmp_path):
    evals = public_evals(tmp_path / "evals")
    ours = answered(evals, tmp_path / "ours", lambda item, turn: f"{turn} cat {item}")
    theirs = answered(evals, tmp_path / "theirs", lambda item, turn: f"{turn} dog {item}")
    return evals, TEACHER, ours, theirs


def honest(tmp_path, table, name):
    """What must hold of any local judge's verdicts."""
    pairs = rows_of(table, "alpaca_eval")
    assert set(pairs["method"]) == {"logprobs"}
    assert pairs["preference"].is_between(0, 1, closed="none").all()
    turns = rows_of(table, "mt_bench")
    assert ((turns["problem"] == "") == turns["score"].is_not_null()).all()
    metrics = compute_metrics(table, None, read_json(tmp_path / "verdicts" / name / "judge.json"))
    assert metrics["judging"]["mt_bench"]["verdicts"] == 12
    assert (
        metrics["mt_bench_graded"] + sum(metrics["judging"]["mt_bench"]["problems"].values()) == 12
    )
    spent = metrics["judge"]["spent"]
    assert spent["requests"] == 24
    assert spent["usd"] == 0.0
    assert spent["prompt_tokens"] > 24 * 10
    return pairs


def test_the_labs_teacher_as_a_judge(tmp_path, prompts):
    arguments = case(tmp_path)
    table = judged(tmp_path, *arguments, name="one", prompts=prompts, **SETTINGS)
    honest(tmp_path, table, "one")
    again = judged(tmp_path, *arguments, name="two", prompts=prompts, **SETTINGS)
    assert again.equals(table)
    facts = read_json(tmp_path / "verdicts" / "two" / "judge.json")
    assert facts["spent"]["requests"] == 0  # the first stage's ledger had them all


def test_a_prompt_beyond_the_judges_context_is_counted(tmp_path, prompts):
    evals, model, _, theirs = case(tmp_path)
    long = answered(
        evals,
        tmp_path / "long",
        lambda item, turn: "cat " * 600 if item == "alpaca_eval-0002" else f"cat {item}",
    )
    table = judged(tmp_path, evals, model, long, theirs, prompts=prompts, **SETTINGS)
    rows = rows_of(table, "alpaca_eval").to_dicts()
    assert [row["problem"] for row in rows] == ["", "", "context", "", "", ""]
    assert rows[2]["preference"] is None


def test_public_verdicts_become_metrics_and_outcomes_without_lm_eval(tmp_path, prompts):
    """Of a split with open benchmarks alone; the model that is evaluated is not even loaded."""
    evals, model, ours, theirs = case(tmp_path)
    (evals / "dev" / "mt_bench.jsonl").unlink()
    judged(tmp_path, evals, model, ours, theirs, prompts=prompts, **SETTINGS)
    metrics = evaluate_run(
        tmp_path / "no model",
        tmp_path / "verdicts" / "run",
        evals,
        tmp_path / "outcomes.csv",
        BENCH,
        EvalParams(5),
        Machine(),
    )
    found = read_outcomes(tmp_path / "outcomes.csv", "eval@run")
    assert list(found) == ["alpaca_eval", "alpaca_eval_public"] == list(metrics["items"])
    rate = found["alpaca_eval"].value.mean()
    assert metrics["alpaca_eval_win_rate"] == pytest.approx(rate, abs=1e-3)
    expected = (metrics["alpaca_eval"] + metrics["alpaca_eval_public"]) / 2
    assert metrics["mean"] == pytest.approx(expected)


def test_verdicts_that_are_all_unusable_are_no_metric(tmp_path, prompts):
    evals, model, ours, theirs = case(tmp_path)
    settings = SETTINGS | {"top_logprobs": 0}
    judged(tmp_path, evals, model, ours, theirs, prompts=prompts, **settings)
    with pytest.raises(MontessoriError, match="alpaca_eval: none of 6 verdicts can be used, the f"):
        evaluate_run(
            tmp_path / "no model",
            tmp_path / "verdicts" / "run",
            evals,
            tmp_path / "outcomes.csv",
            BENCH,
            EvalParams(5),
            Machine(),
        )
    assert not (tmp_path / "outcomes.csv").exists()


def test_a_template_without_system_messages_gets_them_in_the_users_turn(tmp_path):
    assert shows_system(TEACHER)
    refusing = shutil.copytree(TEACHER, tmp_path / "refusing")
    template = (refusing / "chat_template.jinja").read_text()
    refusal = "{%- if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif -%}"
    (refusing / "chat_template.jinja").write_text(refusal + template)
    assert not shows_system(refusing)
    dialogue = [{"role": "system", "content": "Be fair."}, {"role": "user", "content": "Which?"}]
    assert without_system(dialogue) == [{"role": "user", "content": "Be fair.\n\nWhich?"}]


@pytest.mark.xdist_group("vllm")
def test_a_real_vllm_judges_as_transformers_does(tmp_path: Path, prompts):
    pytest.importorskip("vllm", reason="vLLM is not installed for this machine")
    arguments = case(tmp_path)
    table = judged(tmp_path, *arguments, name="vllm", prompts=prompts, engine="vllm", **SETTINGS)
    pairs = honest(tmp_path, table, "vllm")
    facts = read_json(tmp_path / "verdicts" / "vllm" / "judge.json")
    assert facts["engine"].startswith("vllm ")
    other = judged(tmp_path, *arguments, name="other", prompts=prompts, **SETTINGS)
    expected = rows_of(other, "alpaca_eval")["preference"].to_list()
    assert pairs["preference"].to_list() == pytest.approx(expected, abs=1e-3)
