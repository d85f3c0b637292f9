"""Public benchmarks beside the lab's, from answers through a hosted judge to the table.

What would break: the stages fit together on the lab's benchmarks only.
"""

import json
import shutil
from pathlib import Path

import pytest

from montessori.artifacts.files import read_json, write_json
from stages import answers, compare, judge, outputs
from stages import eval as eval_stage
from tests.evals.judge_case import MODEL, PROMPTS, choice_of, hosted, public_evals
from tests.evals.test_stages import PARAMS, job
from tests.generate.fake_server import FakeServer
from tests.tiny_models import tiny_llama

SETTINGS = {
    "model": "judge",
    "prompts": "prompts",
    "orders": "both",
    "repeats": 2,
    "pairwise": True,
    "choice_tokens": 4,
    "temperature": 0.7,
}


def reply(turns, seed):
    """One verdict on AlpacaEval cannot be read, and one on MT-Bench."""
    text = turns[-1]
    if choice_of(turns):
        return ("neither" if "Say 3 words" in text else "m"), True
    if "[[A]]" in turns[0]:
        return "I prefer [[B]]", True
    return ("no grade" if "Question 4?" in text and "then" not in text else "[[6]]"), True


@pytest.fixture
def project(evals: Path, model_folder: Path, tmp_path: Path, monkeypatch):
    """Items of the lab's four benchmarks and of the public ones, two models, params.yaml."""
    public = public_evals(tmp_path / "public")
    for path in (public / "dev").iterdir():
        shutil.copy(path, evals / "test" / path.name)
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TQDM_DISABLE"):
        monkeypatch.setenv(name, "1")
    Path("params.yaml").write_text(json.dumps({**PARAMS, "judge": SETTINGS}))
    models = {"base": tiny_llama(tmp_path / "other", seed=8), "self-instruct": model_folder}
    return evals, models


def test_a_hosted_judge_on_public_and_lab_benchmarks(project, tmp_path):
    evals, models = project
    data, metrics = Path("data"), Path("metrics")
    for run, model in models.items():
        job(answers, run, model=model, evals=evals, out=data / "answers" / run)
    with FakeServer(reply, models=[MODEL]) as server:
        folder = hosted(tmp_path, server.url)
        for run, model in models.items():
            job(
                judge,
                run,
                model=folder,
                prompts=PROMPTS,
                evals=evals,
                answers=data / "answers" / run,
                against=data / "answers" / "self-instruct",
                out=data / "verdicts" / run,
            )
            job(
                eval_stage,
                run,
                model=model,
                verdicts=data / "verdicts" / run,
                evals=evals,
                metrics=metrics / "eval" / f"{run}.json",
                outcomes=metrics / "outcomes" / f"{run}.csv",
            )
    found = read_json(metrics / "eval" / "base.json")
    assert found["items"]["alpaca_eval"] == found["items"]["mt_bench"] == 6
    assert found["alpaca_eval_public_win_rate"] == 50.0  # always the first, in both orders
    assert found["judging"]["alpaca_eval_public"]["problems"] == {"unparsed": 2}
    assert found["mt_bench"] == 6.0
    assert found["mt_bench_graded"] == 22  # of 6 items x 2 turns x 2 runs
    assert found["judge"]["logprobs"] is False
    assert found["micro_mmlu"] >= 0.0

    job(
        outputs,
        "base",
        answers=data / "answers" / "base",
        verdicts=data / "verdicts" / "base",
        against=data / "answers" / "self-instruct",
        evals=evals,
        against_verdicts=data / "verdicts" / "self-instruct",
        out=Path("report/outputs/base.html"),
    )
    assert "alpaca_eval" in Path("report/outputs/base.html").read_text()
    write_json(
        metrics / "seed" / "seed.json",
        {"evals": {"test": {"micro_mmlu": 9}}, "overlaps": 0, "seeds": {"rows": 5}},
    )
    job(
        compare,
        "compare",
        evals=metrics / "eval",
        outcomes=metrics / "outcomes",
        seed=metrics / "seed" / "seed.json",
        synth=metrics / "synth",
        leaks=metrics / "leaks",
        metrics=metrics / "compare.json",
        plot=metrics / "plots" / "compare.csv",
        report=Path("report/index.html"),
    )
    table = read_json(metrics / "compare.json")["runs"]["base"]
    assert {"alpaca_eval", "alpaca_eval_public", "mt_bench", "micro_alpaca_eval"} <= set(table)
    assert table["mt_bench"]["value"] == pytest.approx(100 * 5 / 9)
