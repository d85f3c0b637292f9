"""The stages answers, judge, eval and compare in a row, as their scripts run them.

What would break: a stage writes what the next one cannot read, although each works by itself.
"""

import json
from pathlib import Path

import pytest

from montessori.artifacts.files import read_json, write_json
from montessori.pipeline.stage import Job
from stages import answers, compare, judge, outputs
from stages import eval as eval_stage
from tests.evals.test_heldout import write_rows

ROOT = Path(__file__).parents[2]
JUDGE = ROOT / "data" / "micro" / "judge.json"
PROMPTS = ROOT / "montessori" / "templates" / "judge"
PARAMS = {
    "seed": 0,
    "runs": {
        "base": {"model": "models/a", "against": "self-instruct"},
        "self-instruct": {"model": "models/b", "against": "self-instruct"},
    },
    "benchmark": {"split": "test", "max_new_tokens": 5},
    "judge": {"model": "judge.json", "prompts": "prompts"},
    "harnesses": {},
    "exams": {},
    "eval": {"batch": 8},
    "compare": {"baseline": "self-instruct", "resamples": 100, "confidence": 0.9},
    "machine": {"device": "cpu", "threads": 1},
}


def job(stage: object, name: str, **paths: Path) -> None:
    kind = stage.__name__.rpartition(".")[2]
    stage.main(Job(name, kind, paths))


def evaluate(run: str, model: Path, evals: Path) -> None:
    data, metrics = Path("data"), Path("metrics")
    job(
        judge,
        run,
        model=JUDGE,
        prompts=PROMPTS,
        answers=data / "answers" / run,
        against=data / "answers" / "self-instruct",
        evals=evals,
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


def test_two_runs_from_models_to_the_report(
    evals: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.tiny_models import tiny_llama

    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TQDM_DISABLE"):
        monkeypatch.setenv(name, "1")
    Path("params.yaml").write_text(json.dumps(PARAMS))
    write_rows(evals)
    models = {"base": tiny_llama(tmp_path / "other", seed=8), "self-instruct": model_folder}
    for run, model in models.items():
        job(answers, run, model=model, evals=evals, out=Path("data/answers") / run)
    for run, model in models.items():
        evaluate(run, model, evals)
    data, metrics = Path("data"), Path("metrics")
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
    compared = {
        "metrics": metrics / "compare.json",
        "plot": metrics / "plots" / "compare.csv",
        "report": Path("report/index.html"),
    }
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
        **compared,
    )
    comparison = read_json(compared["metrics"])
    assert comparison["over"] == "items"
    assert set(comparison["runs"]) == {"base", "self-instruct"}
    baseline = comparison["runs"]["self-instruct"]
    assert baseline["micro_alpaca_eval"]["value"] == pytest.approx(50.0)
    assert all(entry["delta"] == 0 for entry in baseline.values())
    metrics = read_json(Path("metrics/eval/base.json"))
    entry = comparison["runs"]["base"]["mean"]
    assert entry["value"] == pytest.approx(metrics["mean"], abs=0.01)
    loss = comparison["runs"]["base"]["heldout"]
    assert loss["value"] == pytest.approx(metrics["heldout"], abs=1e-4)
    assert loss["low"] <= loss["delta"] <= loss["high"]
    assert "heldout: sums" in comparison["runs"]["base"]
    assert comparison["decontamination"]["items"] == {"test": 9}
    page = compared["report"].read_text()
    assert '<a href="outputs/base.html">' in page
    assert "heldout (nats, less is better)" in page
    assert "base beside self-instruct" in Path("report/outputs/base.html").read_text()
