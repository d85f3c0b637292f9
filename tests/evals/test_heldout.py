"""The loss on held-out rows: the number itself, what is cut and left out, and rows without one.

What would break: the loss counts tokens of the prompt or of the padding, a row that is too long
ends the stage or counts as 0, or the mean of percentages gets a loss in nats.
"""

import json
import math
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.evals.heldout import heldout_metrics, measure_heldout
from montessori.evals.metrics import compute_metrics, compute_outcomes
from montessori.evals.outcomes import read_outcomes, write_outcomes
from montessori.pipeline.machine import Machine
from tests.evals.test_evaluate import HARNESS, table

CPU = Machine(threads=1, device="cpu")
DIALOGUES = [
    (["What is 17 plus 25?"], ["42"], "sums"),
    (["Tom has 12 apples. He buys 7 more. How many apples does he have?"], ["12 + 7 = 19"], "sums"),
    (["Spell the word house.", "Now the word cat."], ["h-o-u-s-e", "c-a-t"], "words"),
    (["Name a word."], ["house"], ""),
]


def write_rows(evals: Path, dialogues: list = DIALOGUES) -> Path:
    (evals / "heldout").mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (turns, responses, skill) in enumerate(dialogues, 1):
        item = {"item_id": f"heldout-{number:04d}", "family": skill or "heldout", "skill": skill}
        item |= {"turns": turns, "responses": responses, "answers": [""] * len(turns)}
        lines.append(json.dumps(item) + "\n")
    (evals / "heldout" / "heldout.jsonl").write_text("".join(lines))
    return evals


def losses_by_transformers(model_folder: Path, dialogues: list) -> list[float]:
    """Each dialogue by itself, by transformers alone: nats per token of its responses."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    found = []
    for turns, responses, _ in dialogues:
        ids, labels = [], []
        for turn, response in zip(turns, responses, strict=True):
            for text, kept in (
                (f"<|user|>{turn}<|end|><|assistant|>", 0),
                (f"{response}<|end|>", 1),
            ):
                part = tokenizer(text, add_special_tokens=False)["input_ids"]
                ids += part
                labels += part if kept else [-100] * len(part)
        inputs = {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels])}
        found.append(model(**inputs).loss.item())
    return found


def test_the_losses_are_those_of_transformers(model_folder: Path, tmp_path: Path) -> None:
    frame = measure_heldout(model_folder, write_rows(tmp_path), 256, CPU)
    assert frame is not None
    direct = losses_by_transformers(model_folder, DIALOGUES)
    assert frame["loss"].to_list() == pytest.approx(direct, rel=1e-5)
    metrics = heldout_metrics(frame)
    assert metrics["heldout"] == pytest.approx(sum(direct) / 4, rel=1e-5)
    assert metrics["heldout_skills"] == {
        "sums": pytest.approx(sum(direct[:2]) / 2, rel=1e-5),
        "words": pytest.approx(direct[2], rel=1e-5),
    }
    assert (metrics["heldout_cut"], metrics["heldout_left_out"]) == (0, 0)
    assert metrics["heldout_tokens"] == sum(frame["tokens"])


def test_long_rows_are_cut_as_in_training_and_counted(model_folder: Path, tmp_path: Path) -> None:
    frame = measure_heldout(model_folder, write_rows(tmp_path), 24, CPU)
    assert frame is not None
    assert frame["cut"].to_list() == [False, True, True, False]
    assert frame["loss"].is_null().to_list() == [False, True, False, False]
    metrics = heldout_metrics(frame)
    assert (metrics["heldout_cut"], metrics["heldout_left_out"]) == (2, 1)
    outcomes = compute_outcomes(table(2), None, frame)
    write_outcomes(tmp_path / "outcomes.csv", outcomes)
    order = [
        line.split(",")[1] for line in (tmp_path / "outcomes.csv").read_text().splitlines()[1:]
    ]
    tail = ["heldout"] * 4 + ["heldout: sums"] * 2 + ["heldout: words"]
    assert order == ["micro_alpaca_eval"] * 2 + ["micro_mt_bench"] * 2 + tail
    read = read_outcomes(tmp_path / "outcomes.csv", "eval@run")
    assert math.isnan(read["heldout"].value[1])


def test_rows_that_are_not_read_as_they_stand_are_counted(
    model_folder: Path, tmp_path: Path
) -> None:
    assert "heldout_special_text" not in heldout_metrics(
        measure_heldout(model_folder, write_rows(tmp_path), 256, CPU)
    )
    special = (["What does <|end|> mean?"], ["An end."], "")
    rows = write_rows(tmp_path, [*DIALOGUES, special])
    metrics = heldout_metrics(measure_heldout(model_folder, rows, 256, CPU))
    assert metrics["heldout_special_text"] == 1
    assert "heldout_system_joined" not in metrics


def test_rows_that_are_all_too_long_are_an_error(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        MontessoriError, match="none of 4 held-out rows .* eval.max_length"
    ) as error:
        measure_heldout(model_folder, write_rows(tmp_path), 3, CPU)
    assert "raise eval.max_length" in str(error.value)


def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    from montessori.models.weights import load_model
    from tests.tiny_models import tiny_llama

    folder = tiny_llama(tmp_path / "model")
    model = load_model(folder)
    # Weights that are finite, and whose products overflow.
    model.model.norm.weight.data.fill_(1e36)
    model.model.embed_tokens.weight.data.mul_(1e6)
    model.save_pretrained(folder)
    with pytest.raises(MontessoriError, match="loss of 4 of 4 held-out rows is not finite"):
        measure_heldout(folder, write_rows(tmp_path), 256, CPU)


def test_the_mean_has_no_part_in_nats(model_folder: Path, tmp_path: Path) -> None:
    assert measure_heldout(model_folder, tmp_path, 256, CPU) is None
    frame = measure_heldout(model_folder, write_rows(tmp_path), 256, CPU)
    plain, own = (
        compute_metrics(table(4), HARNESS),
        compute_metrics(table(4), HARNESS, heldout=frame),
    )
    assert own["mean"] == plain["mean"]
    assert own["items"] == {**plain["items"], "heldout": 4}
