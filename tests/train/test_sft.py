"""SFT of a student on a tiny model: mask, bytes, adapters, refusals.

What would break: students are trained on prompts or padding, or the same seed gives another
student.
"""

import json
from dataclasses import replace

import polars as pl
import pytest
import torch
from transformers import TrainingArguments

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import ROWS
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import AdapterParams
from montessori.models.weights import load_model
from montessori.train.curve import require_finite
from montessori.train.loss import IGNORED, row_losses, tokenize_rows
from montessori.train.settings import StudentSftParams
from montessori.train.sft import train_student

SETTINGS = StudentSftParams(
    learning_rate=3e-3,
    epochs=2,
    batch=5,
    warmup=0.1,
    decay=0.4,
    min_learning_rate=1e-3,
    max_length=128,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, student, reference, machine):
    """(folder, metrics, curve) of one training."""
    folder = tmp_path_factory.mktemp("sft")
    metrics = train_student(
        student, reference, folder / "out", folder / "c.csv", SETTINGS, 0, machine
    )
    return folder / "out", metrics, pl.read_csv(folder / "c.csv")


def test_training_lowers_the_loss_and_writes_a_model_folder(trained, student):
    out, metrics, curve = trained
    assert metrics["rows"] == 10
    assert metrics["steps"] == 4
    assert metrics["loss_last"] < metrics["loss_first"]
    assert curve.columns == ["step", "loss", "learning_rate"]
    assert curve.height == 4
    assert (out / "model.safetensors").is_file()
    assert not list(out.glob("*.bin"))
    assert chat.require_same_template(student, out)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["facts"]["template_hash"] == chat.template_hash(chat.load_tokenizer(student))


def test_equal_seeds_give_equal_bytes(trained, tmp_path, student, reference, machine):
    train_student(student, reference, tmp_path / "out", tmp_path / "c.csv", SETTINGS, 0, machine)
    again = (tmp_path / "out" / "model.safetensors").read_bytes()
    assert again == (trained[0] / "model.safetensors").read_bytes()


def test_the_first_loss_is_that_of_the_assistant_tokens_alone(
    tmp_path, student, reference, machine
):
    """One step over all rows: the trainer's loss is our token mean over chat.tokenize's mask."""
    whole = StudentSftParams(**{**SETTINGS.__dict__, "batch": 10, "epochs": 1})
    metrics = train_student(
        student, reference, tmp_path / "out", tmp_path / "c.csv", whole, 0, machine
    )
    tokenizer = chat.load_tokenizer(student)
    dialogues = read_table(reference / "rows.parquet", ROWS)["messages"].to_list()
    rows = tokenize_rows(tokenizer, dialogues, 128)
    with torch.no_grad():
        model = load_model(student)
        sums, counts = row_losses(model, rows, tokenizer.pad_token_id)
    assert metrics["loss_first"] == pytest.approx((sums.sum() / counts.sum()).item(), rel=1e-5)
    for row, messages in zip(rows, dialogues, strict=True):
        kept = tokenizer.decode([label for label in row.labels if label != IGNORED])
        assert kept == messages[1]["content"] + "<|end|>"


def test_row_losses_do_not_depend_on_padding(student):
    tokenizer = chat.load_tokenizer(student)
    rows = tokenize_rows(
        tokenizer,
        [
            [{"role": "user", "content": "a" * n}, {"role": "assistant", "content": "b" * n}]
            for n in (2, 9, 30)
        ],
        128,
    )
    model = load_model(student).eval()
    with torch.no_grad():
        together = row_losses(model, rows, 0)[0]
        alone = torch.cat([row_losses(model, [row], 0)[0] for row in rows])
    assert torch.allclose(together, alone, rtol=1e-5)


def test_rows_without_responses_are_an_error(tmp_path, student, machine, reference):
    frame = read_table(reference / "rows.parquet", ROWS)
    short = StudentSftParams(**{**SETTINGS.__dict__, "max_length": 4})
    with new_folder(tmp_path / "data", {}) as folder:
        write_table(frame, folder / "rows.parquet", ROWS)
    with pytest.raises(MontessoriError, match="none of the 10 rows has a response within 4"):
        train_student(
            student, tmp_path / "data", tmp_path / "out", tmp_path / "c.csv", short, 0, machine
        )
    assert not (tmp_path / "out").exists()


def test_answers_that_lose_their_end_are_counted(trained, tmp_path, student, machine, reference):
    assert "rows_cut" not in trained[1]
    tokenizer = chat.load_tokenizer(student)
    dialogues = read_table(reference / "rows.parquet", ROWS)["messages"].to_list()
    lengths = [len(row.ids) for row in tokenize_rows(tokenizer, dialogues, 128)]
    most = max(lengths)
    short = StudentSftParams(
        **{**SETTINGS.__dict__, "max_length": most - 1, "epochs": 1, "batch": 10}
    )
    metrics = train_student(
        student, reference, tmp_path / "out", tmp_path / "c.csv", short, 0, machine
    )
    assert metrics["rows_cut"] == lengths.count(most) > 0
    assert metrics["rows_without_response"] == 0


def test_a_process_that_sees_two_gpus_trains_on_one(
    trained, tmp_path, student, reference, machine, monkeypatch
):
    """transformers would split each batch by DataParallel, which trl refuses with a ValueError."""
    plain = TrainingArguments.__post_init__

    def sees_two(self):
        plain(self)
        self._n_gpu = 2

    monkeypatch.setattr(TrainingArguments, "__post_init__", sees_two)
    train_student(student, reference, tmp_path / "out", tmp_path / "c.csv", SETTINGS, 0, machine)
    again = (tmp_path / "out" / "model.safetensors").read_bytes()
    assert again == (trained[0] / "model.safetensors").read_bytes()


def test_a_broken_loss_names_the_rate():
    with pytest.raises(MontessoriError, match="nan at step 7") as error:
        require_finite(float("nan"), 7, "student_sft.learning_rate")
    assert "lower student_sft.learning_rate" in error.value.next


def test_adapters_end_up_in_the_weights(tmp_path, student, machine, reference):
    metrics = train_student(
        student,
        reference,
        tmp_path / "out",
        tmp_path / "c.csv",
        SETTINGS,
        0,
        machine,
        adapter=AdapterParams(rank=2, alpha=4.0),
    )
    assert metrics["loss_last"] < metrics["loss_first"]
    before, after = load_model(student).state_dict(), load_model(tmp_path / "out").state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj" in name}
    assert not (tmp_path / "out" / "adapter").exists()


def test_a_step_in_several_passes_is_the_same_step(trained, tmp_path, student, reference, machine):
    """Rows have answers of different lengths, and a step is on the mean of all their tokens."""
    parts = replace(machine, training_rows=1)
    out, curve = tmp_path / "out", tmp_path / "c.csv"
    train_student(student, reference, out, curve, SETTINGS, 0, parts)
    other = load_model(out).state_dict()
    for name, value in load_model(trained[0]).state_dict().items():
        assert torch.allclose(value, other[name], atol=2e-5), name
    losses = pl.read_csv(curve)["loss"].to_list()
    assert losses == pytest.approx(trained[2]["loss"].to_list(), abs=1e-5)
