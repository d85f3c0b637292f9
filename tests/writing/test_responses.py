"""Probing data of responses; response optimisation differs only in what the pairs hold.

What would break: the comparison of instruction and response optimisation differs in more than the
pairs.
"""

from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import PAIRS, PROBE, SCORES
from montessori.errors import MontessoriError
from montessori.generate.settings import GenerationParams
from montessori.pairs.within_prompt import PrefsParams, write_pairs
from montessori.train import dpo
from montessori.train.unseen import read_unseen_rows
from montessori.writing.order import Order
from montessori.writing.responses import write_responses
from montessori.writing.settings import ResponseProbeParams
from tests.signals.conftest import TellingEngine, warm  # noqa: F401 - a fixture
from tests.train.test_dpo import SETTINGS

PARAMS = ResponseProbeParams(
    instructions=0,
    samples=4,
    max_new_tokens=16,
    temperature=1.0,
    top_p=1.0,
    instructions_per_part=10,
)
ANSWERS = ("yes", "no", "yes ", "cut off...")  # one repeats another, one has no end


def order_of(inputs, work, engine):
    return Order(
        name="test",
        inputs=inputs,
        work=work,
        seed=0,
        generation=GenerationParams("transformers"),
        open_engine=lambda ledger: engine,
    )


@pytest.fixture
def answered(tmp_path, warm, probe, student):  # noqa: F811
    """A function that lets an engine answer and gives (rows, metrics)."""

    def run(engine, out="out"):
        inputs = {"probe": probe, "warmup": warm, "teacher": student}
        order = order_of(inputs, tmp_path / "work", engine)
        metrics = write_responses(order, PARAMS, tmp_path / out)
        return read_table(tmp_path / out / "rows.parquet", PROBE), metrics

    return run


def test_an_instruction_is_a_prompt_and_its_responses_are_the_samples(answered, warm, probe):  # noqa: F811
    engine = TellingEngine(lambda asked, k: ANSWERS[k])
    rows, metrics = answered(engine)
    asked = read_unseen_rows(warm, probe)["instruction"].to_list()
    assert engine.asked == asked
    assert rows["prompt"].to_list() == [text for text in asked for _ in range(4)]
    assert rows["prompt_id"].n_unique() == len(asked)
    assert rows["raw"][:4].to_list() == ["yes", "no", "yes", "cut off..."]
    assert rows["dropped"][:4].to_list() == [None, None, "duplicate", "endless"]
    assert rows["row_id"].n_unique() == rows.height
    first = rows.row(0, named=True)
    assert first["messages"] == [
        {"role": "user", "content": asked[0]},
        {"role": "assistant", "content": "yes"},
    ]
    assert metrics["dropped"] == {"duplicate": len(asked), "endless": len(asked)}
    assert metrics["rows"] == 2 * len(asked)
    assert metrics["instructions_with_several"] == len(asked)
    assert metrics["tokens"] == len(asked) * (3 + 2 + 4 + 10)


def test_a_stopped_stage_continues_to_the_same_rows(answered):
    whole, _ = answered(TellingEngine(lambda asked, k: f"{asked} {k}"), "whole")

    class Torn(TellingEngine):
        def generate(self, *arguments):
            if self.calls == 1:
                raise KeyboardInterrupt
            return super().generate(*arguments)

    with pytest.raises(KeyboardInterrupt):
        answered(Torn(lambda asked, k: f"{asked} {k}"))
    engine = TellingEngine(lambda asked, k: f"{asked} {k}")
    assert answered(engine)[0].equals(whole)
    assert len(engine.asked) == whole["prompt_id"].n_unique() - 10


def test_an_engine_with_weights_answers_as_it_answers_a_data_set(answered, student, machine):
    """The prompt that a pair of responses is trained on is the one that synth generates from."""
    from montessori.generate.transformers_engine import TransformersEngine

    engine = TransformersEngine.open(student, machine)
    seen = []
    real = engine.generate
    engine.generate = lambda requests, sampling: seen.extend(requests) or real(requests, sampling)
    rows, _ = answered(engine)
    dialogues = [[{"role": "user", "content": text}] for text in rows["prompt"][::4]]
    assert [request.prompt for request in seen] == engine.render_prompts(dialogues)


def test_nothing_left_is_an_error(answered, probe, warm, tmp_path, student):  # noqa: F811
    frame = read_table(probe / "rows.parquet", PROBE)
    turns = frame["messages"].to_list()
    two = frame.with_columns(
        pl.Series("messages", [messages * 2 for messages in turns], dtype=PROBE["messages"])
    )
    with new_folder(tmp_path / "dialogues", {}) as folder:
        write_table(two, folder / "rows.parquet", PROBE)
    inputs = {"probe": tmp_path / "dialogues", "warmup": warm, "teacher": student}
    order = order_of(inputs, tmp_path / "work", engine=None)
    with pytest.raises(MontessoriError, match="no instruction with a single turn"):
        write_responses(order, PARAMS, tmp_path / "out")


@pytest.mark.parametrize(
    ("tell", "cause", "step"),
    [
        (lambda asked, k: "cut off...", "length", "raise response_probe.max_new_tokens"),
        (lambda asked, k: "", "end token", "eos_token_id in generation_config.json"),
    ],
)
def test_a_teacher_of_whose_responses_none_is_kept_is_an_error(
    answered, tmp_path, tell, cause, step
):
    with pytest.raises(MontessoriError, match=f"no response .* likely cause: {cause}") as error:
        answered(TellingEngine(tell))
    assert error.value.where.count(repr(tell("", 0))) == 3
    assert step in error.value.next
    assert not (tmp_path / "out").exists()


# ------------------------------------------- response against instruction optimisation
PREFS = PrefsParams(
    rule="cross", neutral="scores", skills={}, margin=0.0, max_per_prompt=0, min_pairs=1
)


def scores_of(folder: Path, frame: pl.DataFrame) -> Path:
    """The first kept row of a prompt has 1, every other one -1."""
    kept = frame.filter(pl.col("dropped").is_null())
    first = pl.int_range(pl.len()).over("prompt_id") == 0
    table = kept.select(
        "row_id",
        "prompt_id",
        pl.lit("all").alias("reference"),
        pl.when(first).then(1.0).otherwise(-1.0).alias("score"),
        pl.lit(0.0).alias("neutral"),
    )
    with new_folder(folder, {}) as temporary:
        write_table(table, temporary / "scores.parquet", SCORES)
    return folder


def test_both_kinds_of_optimisation_differ_only_in_what_the_pairs_hold(
    answered, probe, student, machine, tmp_path, monkeypatch
):
    answered(TellingEngine(lambda asked, k: f"answer {k}"), "responses")
    seen, metrics, arguments = {}, {}, {}
    for kind, folder in (("instruction", probe), ("response", tmp_path / "responses")):
        frame = read_table(folder / "rows.parquet", PROBE)
        scores = scores_of(tmp_path / f"{kind} scores", frame)
        write_pairs(scores, folder, tmp_path / f"{kind} pairs", PREFS)
        seen[kind] = read_table(tmp_path / f"{kind} pairs" / "pairs.parquet", PAIRS)
        by_id = {row["row_id"]: row for row in frame.iter_rows(named=True)}
        for pair in seen[kind].iter_rows(named=True):
            chosen, rejected = by_id[pair["chosen_row"]], by_id[pair["rejected_row"]]
            assert chosen["prompt_id"] == rejected["prompt_id"] == pair["prompt_id"]
            held = (pair["prompt"], pair["chosen"], pair["rejected"])
            assert held == (chosen["prompt"], chosen["raw"], rejected["raw"])
            if kind == "instruction":  # the prompt asks for an instruction, the texts are such
                assert pair["prompt"].startswith("Write one new instruction.")
                assert f"<instruction>{chosen['instruction']}</instruction>" in pair["chosen"]
            else:  # the prompt is the instruction, the texts are responses to it
                assert pair["prompt"] == chosen["instruction"] == rejected["instruction"]
                assert (pair["chosen"], pair["rejected"]) == (
                    chosen["response"],
                    rejected["response"],
                )
        metrics[kind] = train(kind, tmp_path, student, machine, monkeypatch, arguments)
    assert arguments["instruction"] == arguments["response"]
    assert seen["instruction"].schema == seen["response"].schema
    assert metrics["instruction"].keys() == metrics["response"].keys()
    assert all(m["loss_first"] == pytest.approx(0.693147, abs=1e-4) for m in metrics.values())


def train(kind, folder, student, machine, monkeypatch, arguments):
    """DPO on eight pairs; what trl was told besides the pairs is kept in `arguments`."""
    pairs = folder / f"{kind} pairs" / "pairs.parquet"
    pl.read_parquet(pairs).head(8).write_parquet(pairs)
    real = dpo.make_trainer

    def spy(model, tokenizer, frame, settled, beta, recorder):
        told = {k: v for k, v in settled.items() if k != "output_dir"}
        arguments[kind] = (told, beta, model.state_dict()["lm_head.weight"].sum().item())
        assert dpo.as_conversations(frame)["prompt"][0] == [
            {"role": "user", "content": frame["prompt"][0]}
        ]
        return real(model, tokenizer, frame, settled, beta, recorder)

    monkeypatch.setattr(dpo, "make_trainer", spy)
    return dpo.train_teacher(
        student, folder / f"{kind} pairs", folder / kind, folder / "c.csv", SETTINGS, 0, machine
    )
