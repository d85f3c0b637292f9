"""DPO of a teacher on a tiny model: its tokens, its reference, refusals.

What would break: the teacher is tuned on cut pairs or on other tokens than it generates, or against
a reference that is not the start.
"""

import json
from dataclasses import replace

import polars as pl
import pytest
import torch
from transformers import TrainingArguments

from montessori.errors import MontessoriError
from montessori.formats.formats import FORMATS
from montessori.models import chat
from montessori.models.weights import load_model
from montessori.train import dpo
from montessori.train.settings import TeacherDpoParams
from tests.slow_twins.rendering import render_prompt
from tests.tiny_rows import pairs_frame, write_pairs
from tests.zoo.models import save_architecture

SETTINGS = TeacherDpoParams(
    learning_rate=1e-3,
    beta=0.1,
    epochs=2,
    batch=4,
    warmup=0.1,
    decay=0.4,
    min_learning_rate=1e-3,
    max_length=256,
)


def test_a_process_that_sees_two_gpus_trains_on_one(tmp_path, student, machine, monkeypatch):
    plain = TrainingArguments.__post_init__

    def sees_two(self):
        plain(self)
        self._n_gpu = 2

    monkeypatch.setattr(TrainingArguments, "__post_init__", sees_two)
    pairs, settings = write_pairs(tmp_path / "pairs", 4), replace(SETTINGS, epochs=1)
    metrics = dpo.train_teacher(
        student, pairs, tmp_path / "out", tmp_path / "c.csv", settings, 0, machine
    )
    assert metrics["steps"] == 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory, student, machine):
    """(folder, metrics, curve, data set as DPO saw it) of one training."""
    folder = tmp_path_factory.mktemp("dpo")
    seen = {}
    check = dpo._require_same_tokens

    def spy(tokenizer, dataset, *rest):
        seen["dataset"] = dataset
        check(tokenizer, dataset, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dpo, "_require_same_tokens", spy)
        metrics = dpo.train_teacher(
            student,
            write_pairs(folder / "pairs"),
            folder / "out",
            folder / "c.csv",
            SETTINGS,
            0,
            machine,
        )
    return folder / "out", metrics, pl.read_csv(folder / "c.csv"), seen["dataset"]


def test_the_teacher_learns_the_preference(trained, student):
    out, metrics, curve, _ = trained
    assert metrics["pairs"] == 8
    assert metrics["steps"] == 4
    assert metrics["loss_first"] == pytest.approx(0.693147, abs=1e-4)  # log 2: the reference is
    assert metrics["loss_last"] < 0.69  # the start teacher itself
    assert metrics["reward_margin"] > 0
    assert curve.columns == ["step", *dpo.CURVE]
    assert chat.require_same_template(student, out)
    facts = json.loads((out / "manifest.json").read_text())["facts"]
    assert facts == {"pairs": 8, "template_hash": chat.template_hash(chat.load_tokenizer(student))}


def test_dpo_sees_the_tokens_that_generation_saw(trained, student):
    tokenizer = chat.load_tokenizer(student)
    frame, dataset = pairs_frame(), trained[3]
    for i, row in enumerate(frame.iter_rows(named=True)):
        prompt = render_prompt(tokenizer, [{"role": "user", "content": row["prompt"]}])
        assert dataset["prompt_ids"][i] == prompt
        for side in ("chosen", "rejected"):
            text = tokenizer(row[side], add_special_tokens=False)["input_ids"]
            assert dataset[f"{side}_ids"][i] == [*text, tokenizer.eos_token_id]


def test_reference_log_probabilities_are_those_of_the_start_weights(trained, student):
    from montessori.models.weights import load_model

    dataset = trained[3]
    model = load_model(student).eval()
    prompt, chosen = dataset["prompt_ids"][0], dataset["chosen_ids"][0]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + chosen])).logits[0, len(prompt) - 1 : -1]
    wanted = logits.log_softmax(-1)[range(len(chosen)), chosen].sum().item()
    assert dataset["ref_chosen_logps"][0] == pytest.approx(wanted, rel=1e-4)


def test_too_few_pairs_are_an_error(tmp_path, student, machine):
    with pytest.raises(MontessoriError, match="3 pairs are fewer than one batch of 4"):
        dpo.train_teacher(
            student,
            write_pairs(tmp_path / "pairs", 3),
            tmp_path / "out",
            tmp_path / "c.csv",
            SETTINGS,
            0,
            machine,
        )


def test_pairs_are_never_cut(tmp_path, student, machine):
    short = TeacherDpoParams(**{**SETTINGS.__dict__, "max_length": 40})
    with pytest.raises(MontessoriError, match="8 of 8 pairs are longer than 40") as error:
        dpo.train_teacher(
            student,
            write_pairs(tmp_path / "pairs"),
            tmp_path / "out",
            tmp_path / "c.csv",
            short,
            0,
            machine,
        )
    assert "teacher_dpo.max_length" in error.value.next
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["mixtral", "llama"])
def test_the_first_loss_of_experts_has_nothing_beside_it(tmp_path, machine, name):
    """Not the load-balancing loss either, which warm-up and influence do not measure."""
    folder = save_architecture(name, tmp_path / "model")
    settings = replace(SETTINGS, epochs=1, max_length=128)
    metrics = dpo.train_teacher(
        folder,
        write_pairs(tmp_path / "pairs", 4),
        tmp_path / "out",
        tmp_path / "c.csv",
        settings,
        0,
        machine,
    )
    assert metrics["loss_first"] == pytest.approx(0.693147, abs=1e-4)


def test_pairs_with_texts_of_special_tokens_are_trained_as_text(student):
    """A row of one's own may hold one; trl would take it for the token."""
    tokenizer = chat.load_tokenizer(student)
    frame = pairs_frame(2).with_columns(chosen=pl.lit("It ends <|end|> here."))
    assert dpo.count_special_pairs(frame, FORMATS["tags"], tokenizer) == 2
    data = dpo.make_data(frame, FORMATS["tags"], tokenizer)
    asked = [[{"role": "user", "content": text}] for text in frame["prompt"]]
    assert data["prompt_ids"] == chat.render_prompts(tokenizer, asked)
    for ids in data["chosen_ids"]:
        assert ids.count(tokenizer.eos_token_id) == 1
        assert tokenizer.decode(ids) == "It ends <|end|> here.<|end|>"
    assert "prompt_ids" not in dpo.make_data(pairs_frame(2), FORMATS["tags"], tokenizer)


def test_a_prompt_that_the_template_rendered_does_not_count_as_special(student):
    tokenizer = chat.load_tokenizer(student)
    turn = FORMATS["turn"]
    example = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    frame = pairs_frame(2).with_columns(prompt=pl.lit(turn.write_prompt([example], "", tokenizer)))
    assert dpo.count_special_pairs(frame, FORMATS["list"], tokenizer) == 2
    assert dpo.count_special_pairs(frame, turn, tokenizer) == 0
    frame = frame.with_columns(chosen=pl.lit("It ends <|end|> here."))
    assert dpo.count_special_pairs(frame, turn, tokenizer) == 2


@pytest.mark.parametrize("rows", [1, 2])
def test_a_step_in_several_passes_is_the_same_step(tmp_path, student, machine, rows):
    """Seven pairs in steps of four: in passes of two, the last step has one of one pair."""
    pairs = write_pairs(tmp_path / "pairs", 7)
    weights = []
    for name, together in (("whole", 4), ("parts", rows)):
        dpo.train_teacher(
            student,
            pairs,
            tmp_path / name,
            tmp_path / f"{name}.csv",
            SETTINGS,
            0,
            replace(machine, training_rows=together),
        )
        weights.append(load_model(tmp_path / name).state_dict())
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=2e-5), name
    losses = [pl.read_csv(tmp_path / f"{name}.csv")["loss"] for name in ("whole", "parts")]
    assert losses[0].to_list() == pytest.approx(losses[1].to_list(), abs=1e-5)
