"""Signals of a real pre-trained Llama on real instructions.

What would break: loss, uncertainty and mistakes are sensible on tiny random models only.
"""

import json
import random
from pathlib import Path

import pytest

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import PROBE, SCORES
from montessori.bench.world import FALLBACK
from montessori.datasets.mistakes import MistakesParams, write_mistakes
from montessori.errors import MontessoriError
from montessori.filters.settings import DecontaminationParams
from montessori.generate.settings import GenerationParams
from montessori.generate.transformers_engine import TransformersEngine
from montessori.models.prepare import prepare_model
from montessori.signals.judge import score_by_judge
from montessori.signals.scoring import ScoringJob
from montessori.signals.settings import JudgeSignalParams, StudentSignalParams
from montessori.signals.student import score_by_student
from montessori.sources.own_rows import probe_file
from montessori.train.settings import WarmupParams
from montessori.train.warmup import warm_up
from montessori.writing.order import Order
from tests.test_own_data import ALPACA, MODEL, write_rows

ROOT = Path(__file__).parents[2]
WARMUP = WarmupParams(
    rows=32, epochs=1, batch=8, learning_rate=5e-4, warmup=0.1, max_grad_norm=1.0, max_length=256
)

pytestmark = pytest.mark.skipif(
    not MODEL.exists(), reason="the shared folder with a real model and real rows is absent"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory, machine) -> Path:
    """A folder with the model, a probe of 96 Alpaca rows, and the model warmed up on 32 of them."""
    folder = tmp_path_factory.mktemp("real")
    prepare_model(MODEL, FALLBACK, folder / "model")
    short = [r for r in json.loads(ALPACA.read_text("utf-8")) if 20 < len(r["output"]) < 200]
    write_rows(folder / "rows.jsonl", random.Random(0).sample(short, 96))
    (folder / "evals").mkdir()
    (folder / "evals" / "exam.jsonl").write_text('{"turns": ["Which item is none of these?"]}')
    anything = DecontaminationParams(ngram=0, limit=1.0)
    probe_file(folder / "rows.jsonl", folder / "evals", folder / "probe", anything)
    warm_up(folder / "model", folder / "probe", folder / "warm", WARMUP, 0, machine)
    return folder


def test_loss_and_uncertainty_of_real_rows(world, machine, tmp_path):
    found = {}
    for name, settings in (
        ("loss", StudentSignalParams("high", 256, 40)),
        ("uncertainty", StudentSignalParams("high", 256, 40)),
    ):
        job = ScoringJob(
            inputs={"warmup": world / "warm", "probe": world / "probe"},
            out=tmp_path / name,
            work=tmp_path,
            machine=machine,
        )
        score_by_student(job, name, settings)
        found[name] = read_table(tmp_path / name / "scores.parquet", SCORES)["score"]
    assert found["loss"].len() == 64
    assert found["loss"].is_finite().all()
    # A model that knows what it does not know: its entropy is near its loss, on average.
    assert 0.5 < found["uncertainty"].mean() / found["loss"].mean() < 1.5
    assert found["loss"].n_unique() > 60


def test_the_rows_it_finds_hardest_are_its_mistakes(world, machine, tmp_path):
    settings = MistakesParams("loss", 0, 0.25, 8, 256, 16)
    metrics = write_mistakes(world / "model", world / "probe", tmp_path / "out", settings, machine)
    assert metrics["rows"] == 24
    by_grader = MistakesParams("grader", 8, 0.25, 8, 256, 1)
    with pytest.raises(MontessoriError, match="0 mistakes are too few: of 8 rows 0 could"):
        write_mistakes(world / "model", world / "probe", tmp_path / "no", by_grader, machine)


def test_judges_that_cannot_judge_such_rows_say_so(world, machine, tmp_path):
    settings = JudgeSignalParams("", 1, 12, 0.0, 1.0, 0.2, 128)
    rows = read_table(world / "probe" / "rows.parquet", PROBE).height

    def judge(path: Path) -> None:
        order = Order(
            name="real",
            inputs={
                "probe": world / "probe",
                "judge": path,
                "template": ROOT / "data/micro/prompts/judge_row.jinja",
            },
            work=tmp_path,
            seed=0,
            generation=GenerationParams("transformers"),
            open_engine=lambda ledger: TransformersEngine.open(path, machine),
        )
        score_by_judge(order, settings, tmp_path / "out")

    with pytest.raises(MontessoriError, match=f"{rows} of {rows} verdicts have no mark"):
        judge(world / "model")  # a model of 260,000 parameters that tells stories
    with pytest.raises(MontessoriError, match="ties everything"):
        judge(ROOT / "data/micro/judge.json")  # the lab's checker knows none of these tasks
