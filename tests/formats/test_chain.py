"""A format through the whole chain with a tiny model: probe, pairs, DPO of the teacher.

What would break: pairs of another format than tags are trained as if a user had asked for tags.
"""

import polars as pl
import pytest

from montessori.artifacts.files import new_folder, read_json, read_table, write_table
from montessori.artifacts.schemas import PAIRS, PROBE, SCORES
from montessori.generate.transformers_engine import TransformersEngine
from montessori.pairs.within_prompt import PrefsParams, write_pairs
from montessori.train import dpo
from montessori.writing.produce import write_probe
from montessori.writing.settings import ProbeParams, ResponseParams
from tests.formats.test_formats import LIST, settings_of
from tests.tiny_models import tiny_llama
from tests.train.test_dpo import SETTINGS
from tests.writing.scripted import make_inputs, make_order

PREFS = PrefsParams("cross", "scores", {}, 0.0, 3, 1)


def ending_teacher(folder):
    """A tiny random model that ends about every second of its texts within twenty tokens."""
    from transformers import AutoModelForCausalLM

    tiny_llama(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.get_input_embeddings().weight.data[model.config.eos_token_id] *= 25
    model.save_pretrained(folder)


@pytest.fixture(params=["list", "turn"])
def written(request, tmp_path):
    """(format, prompts that the engine continued, folder with probe and inputs)."""
    inputs = make_inputs(tmp_path)
    ending_teacher(inputs["teacher"])
    if request.param == "list":
        inputs["template"] = LIST
    engine, asked = TransformersEngine(inputs["teacher"], device="cpu", threads=1), []

    class Spy:
        def __getattr__(self, name):
            return getattr(engine, name)

        def generate(self, requests, sampling):
            asked.append(requests)
            return engine.generate(requests, sampling)

    changes = settings_of(request.param, seeds=2, kept=0, samples=8)
    changes["response"] = ResponseParams(40, 1.0, 1.0, 0.0)
    order, settings = make_order(tmp_path, inputs, Spy(), **changes)
    write_probe(order, settings, ProbeParams(4), tmp_path / "probe")
    return request.param, asked[0], tmp_path


def test_a_teacher_is_tuned_on_the_tokens_it_wrote(written, machine, monkeypatch):
    name, requests, folder = written
    frame = read_table(folder / "probe" / "rows.parquet", PROBE)
    kept = frame.filter(pl.col("dropped").is_null())
    score = pl.col("raw").str.len_bytes().cast(pl.Float64)
    scores = kept.select(
        "row_id", "prompt_id", pl.lit("all").alias("reference"), score.alias("score")
    ).with_columns(pl.col("score").median().over("prompt_id").alias("neutral"))
    with new_folder(folder / "scores", {}) as temporary:
        write_table(scores, temporary / "scores.parquet", SCORES)
    write_pairs(folder / "scores", folder / "probe", folder / "pairs", PREFS)
    pairs = read_table(folder / "pairs" / "pairs.parquet", PAIRS)
    assert read_json(folder / "pairs" / "manifest.json")["facts"]["format"] == name
    seen = {}
    check = dpo._require_same_tokens

    def spy(tokenizer, dataset, *rest):
        seen["tokenizer"], seen["dataset"] = tokenizer, dataset
        check(tokenizer, dataset, *rest)

    monkeypatch.setattr(dpo, "_require_same_tokens", spy)
    metrics = dpo.train_teacher(
        folder / "teacher", folder / "pairs", folder / "out", folder / "c.csv", SETTINGS, 0, machine
    )
    assert metrics["loss_first"] == pytest.approx(0.693147, abs=1e-4)
    assert metrics["reward_margin"] > 0
    continued = {tuple(request.prompt) for request in requests}
    assert {tuple(ids) for ids in seen["dataset"]["prompt_ids"]} <= continued
    end = "\n" if name == "list" else "<|end|>"
    for row, ids in zip(pairs.iter_rows(named=True), seen["dataset"]["chosen_ids"], strict=True):
        text = seen["tokenizer"].decode(ids)
        assert text.endswith(end)
        assert text.removesuffix(end).strip() == row["chosen"].strip()
