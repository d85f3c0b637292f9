"""Loss and uncertainty of a student on a probe's rows, against one row at a time.

What would break: a row's signal depends on the rows beside it, or the sign that makes low loss good
is wrong.
"""

import math
from dataclasses import replace
from typing import get_args, get_type_hints

import polars as pl
import pytest
import torch

from montessori.artifacts.files import new_folder, read_json, read_table, write_table
from montessori.artifacts.schemas import PROBE, SCORES
from montessori.errors import MontessoriError
from montessori.graph.rows import StudentSignal
from montessori.models import chat
from montessori.models.adapters import load_merged
from montessori.signals import student as signals
from montessori.signals.scoring import ScoringJob
from montessori.signals.settings import StudentSignalParams
from montessori.signals.student import mean_entropy, score_by_student
from montessori.train.loss import Row
from montessori.train.unseen import read_unseen_rows
from tests.slow_twins.rendering import tokenize_dialogue

SETTINGS = StudentSignalParams(direction="high", max_length=128, rows_per_part=10)


@pytest.fixture
def scored(tmp_path, warm, probe, machine):
    """A function that scores and gives (scores, metrics)."""

    def run(measure, settings, out="out", **changes):
        job = ScoringJob(
            inputs={"warmup": warm, "probe": probe} | changes,
            out=tmp_path / out,
            work=tmp_path / "work",
            machine=machine,
        )
        metrics = score_by_student(job, measure, settings)
        return read_table(tmp_path / out / "scores.parquet", SCORES), metrics

    return run


def test_rows_may_ask_for_every_measure():
    measure = get_type_hints(StudentSignal)["measure"]
    assert set(get_args(measure)) == set(signals.MEASURES)


def by_hand(warm, probe):
    """Loss and entropy of each row left after warm-up, one forward pass each, plainly."""
    tokenizer, model = chat.load_tokenizer(warm), load_merged(warm).eval()
    losses, entropies = [], []
    for messages in read_unseen_rows(warm, probe)["messages"]:
        tokens = tokenize_dialogue(tokenizer, messages, 128)
        with torch.no_grad():
            logits = model(torch.tensor([tokens.ids])).logits[0]
        loss, entropy = [], []
        for place in range(1, len(tokens.ids)):
            if tokens.mask[place]:
                probabilities = logits[place - 1].double().softmax(-1)
                loss.append(-math.log(probabilities[tokens.ids[place]]))
                entropy.append(-(probabilities * probabilities.log()).sum().item())
        losses.append(sum(loss) / len(loss))
        entropies.append(sum(entropy) / len(entropy))
    return losses, entropies


def test_loss_and_entropy_are_those_of_one_row_at_a_time(scored, warm, probe):
    losses, entropies = by_hand(warm, probe)
    assert scored("loss", SETTINGS)[0]["score"].to_list() == pytest.approx(losses, rel=1e-4)
    found = scored("uncertainty", SETTINGS)[0]["score"].to_list()
    assert found == pytest.approx(entropies, rel=1e-4)
    assert max(entropies) < math.log(384)  # at most that of a uniform choice among all pieces


def test_low_turns_the_sign_and_nothing_else(scored):
    high, low = (scored("loss", replace(SETTINGS, direction=name))[0] for name in ("high", "low"))
    assert low["score"].to_list() == (-high["score"]).to_list()
    assert low.drop("score").equals(high.drop("score"))


def test_rows_are_those_that_warm_up_did_not_see_with_null_as_neutral(scored, warm, probe):
    scores, metrics = scored("loss", SETTINGS)
    seen = read_json(warm / "optimizer.json")["rows"]
    kept = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    assert scores["row_id"].to_list() == [i for i in kept["row_id"] if i not in seen]
    assert scores["neutral"].null_count() == scores.height == metrics["rows"]
    assert set(scores["reference"]) == {"all"}
    assert metrics["prompts_tied"] == 0
    assert set(metrics["skills"]) == {"strings", "sums"}
    assert metrics["parameters"] == load_merged(warm).num_parameters()
    tokenizer = chat.load_tokenizer(warm)
    rows = [tokenize_dialogue(tokenizer, m, 128) for m in read_unseen_rows(warm, probe)["messages"]]
    assert metrics["tokens_forward"] == sum(len(row.ids) for row in rows)


def test_a_stopped_signal_continues_to_the_same_scores(scored, monkeypatch):
    whole = scored("loss", SETTINGS)[0]
    real, calls = signals.measure_rows, []

    def torn(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(signals, "measure_rows", torn)
    with pytest.raises(KeyboardInterrupt):
        scored("loss", SETTINGS, "again")
    again = scored("loss", SETTINGS, "again")[0]
    assert again.equals(whole)
    assert len(calls) == 4  # one part was done, the torn one and the last were left


def test_entropy_of_a_uniform_and_of_a_certain_choice():
    class Fixed(torch.nn.Module):
        """Logits that say nothing at place 0 and are sure of piece 2 at place 1."""

        device = torch.device("cpu")

        def forward(self, input_ids, **_):
            logits = torch.zeros(*input_ids.shape, 4)
            logits[:, 1, 2] = 1e3
            return type("Output", (), {"logits": logits})

    rows = [Row([0, 1, 2], [-100, 1, 2]), Row([0, 1], [-100, 1])]
    assert mean_entropy(Fixed(), rows, 0).tolist() == pytest.approx([math.log(4) / 2, math.log(4)])


def test_a_student_that_ties_everything_is_an_error(scored, tmp_path, probe):
    frame = read_table(probe / "rows.parquet", PROBE)
    same = frame.filter(pl.col("dropped").is_null()).with_columns(
        pl.lit(frame["messages"][0].to_list(), dtype=PROBE["messages"]).alias("messages")
    )
    with new_folder(tmp_path / "same", {}) as folder:
        write_table(same, folder / "rows.parquet", PROBE)
    with pytest.raises(MontessoriError, match="ties everything: in all 9 prompts"):
        scored("loss", SETTINGS, "tied", probe=tmp_path / "same")
    assert not (tmp_path / "tied").exists()


def test_rows_without_response_get_no_score_and_are_counted(scored):
    whole, metrics = scored("loss", SETTINGS)
    short, counted = scored("loss", replace(SETTINGS, max_length=26), "short")
    assert "rows_without_response" not in metrics
    assert 0 < counted["rows_without_response"] == whole.height - short.height
    assert set(short["row_id"]) < set(whole["row_id"])


def test_a_probe_without_any_response_is_an_error(scored):
    with pytest.raises(MontessoriError, match="no response") as error:
        scored("loss", replace(SETTINGS, max_length=4))
    assert "student_signal.max_length" in error.value.next


def test_a_file_with_a_row_a_prompt_is_scored_for_selection(scored, tmp_path, probe):
    frame = read_table(probe / "rows.parquet", PROBE).with_columns(prompt_id=pl.col("row_id"))
    with new_folder(tmp_path / "own", {}) as folder:
        write_table(frame, folder / "rows.parquet", PROBE)
    scores, metrics = scored("loss", SETTINGS, probe=tmp_path / "own")
    assert scores["score"].n_unique() == scores.height == metrics["prompts"]
    assert metrics["prompts_tied"] == metrics["prompts_with_several"] == 0
