"""The stage influence on a tiny student: rows, references, parts, precision, refusals.

What would break: rows of the warm-up are scored, parts of other settings are taken up, or a score
that is not a number becomes a pair.
"""

from dataclasses import replace

import polars as pl
import pytest

from montessori.artifacts.files import new_folder, read_json, read_table, write_table
from montessori.artifacts.schemas import PROBE, SCORES
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import AdapterParams
from montessori.signals.influence import score
from montessori.signals.influence.settings import InfluenceParams
from montessori.signals.scoring import ScoringJob
from montessori.train.loss import tokenize_rows
from montessori.train.settings import WarmupParams
from montessori.train.warmup import warm_up

SETTINGS = InfluenceParams(
    learning_rate=1e-5,
    references=10,
    max_length=128,
    baseline="momentum",
    estimate="first-order",
    unit="row",
    precision="fp32",
    max_grad_norm=0.0,
    audit=8,
    audit_spearman=0.9,
    rows_per_part=5,
)
WARMUP = WarmupParams(
    rows=8,
    epochs=3,
    batch=4,
    learning_rate=1e-3,
    warmup=0.1,
    max_grad_norm=1.0,
    max_length=128,
)


@pytest.fixture(scope="module")
def warm(tmp_path_factory, student, probe, machine):
    folder = tmp_path_factory.mktemp("warm") / "warm"
    warm_up(student, probe, folder, WARMUP, 0, machine)
    return folder


def job_with(job, changes):
    """The job with another machine, or other inputs."""
    changes = dict(changes)
    machine = changes.pop("machine", job.machine)
    return replace(job, machine=machine, inputs=job.inputs | changes)


@pytest.fixture
def scored(tmp_path, warm, probe, reference, machine):
    """A function that scores with settings and gives (scores, metrics)."""

    def run(settings=SETTINGS, out="out", **changes):
        job = ScoringJob(
            inputs={"warmup": warm, "probe": probe, "reference": reference},
            out=tmp_path / out,
            work=tmp_path / "work",
            machine=machine,
        )
        job = job_with(job, changes)
        metrics = score.score_probe(job, settings, tmp_path / f"{out}.csv")
        return read_table(tmp_path / out / "scores.parquet", SCORES), metrics

    return run


def test_scores_cover_the_rows_that_warm_up_did_not_see(scored, warm, probe, tmp_path):
    scores, metrics = scored()
    seen = read_json(warm / "optimizer.json")["rows"]
    kept = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    whole = scores.filter(pl.col("reference") == "all")
    assert whole["row_id"].to_list() == [i for i in kept["row_id"] if i not in seen]
    assert sorted(scores["reference"].unique()) == ["all", "strings", "sums"]
    assert whole["neutral"].n_unique() == 1
    assert whole["neutral"][0] == metrics["momentum_only"]
    assert metrics["rows"] == 27
    assert set(metrics["skills"]) == {"strings", "sums"}
    assert metrics["audit"]["spearman"] > 0.99
    assert metrics["audit"]["sign_agreement"] == 1.0
    assert pl.read_csv(tmp_path / "out.csv")["rows"].sum() == 27
    assert not list((tmp_path / "work").glob("*/*.parquet"))


def test_the_whole_is_the_weighted_mean_of_skills(scored):
    scores, _ = scored()
    table = scores.pivot("reference", index="row_id", values="score")
    mean = (table["strings"] + table["sums"]) / 2  # five reference rows each
    assert (mean - table["all"]).abs().max() < 1e-12


def test_the_other_baseline_only_moves_neutral(scored):
    first, second = scored()[0], scored(replace(SETTINGS, baseline="before"), "two")[0]
    assert first["score"].equals(second["score"])
    assert second["neutral"].to_list() == [0.0] * second.height


def test_parts_of_other_settings_are_not_picked_up(scored, monkeypatch):
    other = replace(SETTINGS, learning_rate=2e-5)
    whole = scored(other, out="whole")[0]

    def dies(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # after the parts are written
        patch.setattr(score.Parts, "remove_all", dies)
        with pytest.raises(KeyboardInterrupt):
            scored()
    assert scored(other, out="again")[0].equals(whole)


def test_a_stopped_run_continues_to_the_same_table(scored, monkeypatch, tmp_path):
    whole = scored()[0]
    calls = []
    centred = score.FirstOrder.score_rows

    def dies(self, rows, advance=None):
        calls.append(rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return centred(self, rows, advance)

    with monkeypatch.context() as patch:
        patch.setattr(score.FirstOrder, "score_rows", dies)
        with pytest.raises(KeyboardInterrupt):
            scored(out="again")
    assert not (tmp_path / "again").exists()
    assert len(list((tmp_path / "work").glob("*/*.parquet"))) == 2
    continued = []

    def counts(self, rows, advance=None):
        continued.extend(rows)
        return centred(self, rows, advance)

    monkeypatch.setattr(score.FirstOrder, "score_rows", counts)
    assert scored(out="again")[0].equals(whole)
    assert len(continued) == 27 - sum(map(len, calls[:2]))
    files = [(tmp_path / name / "scores.parquet").read_bytes() for name in ("out", "again")]
    assert files[0] == files[1]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("checkpointing", ["on", "off"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
def test_machine_and_precision_move_scores_by_rounding_only(
    scored, machine, precision, checkpointing, batch
):
    """Tolerances: 1e-5 of the spread in fp32 and fp64, 5 % in bf16."""
    whole = scored()[0].filter(pl.col("reference") == "all")["score"]
    other = replace(machine, gradient_checkpointing=checkpointing, influence_batch=batch)
    found, metrics = scored(replace(SETTINGS, precision=precision), "other", machine=other)
    found = found.filter(pl.col("reference") == "all")["score"]
    tolerance = {"fp32": 1e-5, "fp64": 1e-5, "bf16": 5e-2}[precision]
    centred, expected = found - found.mean(), whole - whole.mean()
    assert (centred - expected).abs().max() < tolerance * expected.std()
    assert metrics["audit"]["spearman"] > 0.99


def correlation(first, second, skill):
    """Of the scores of two tables on one reference."""
    pair = [table.filter(pl.col("reference") == skill)["score"] for table in (first, second)]
    return (
        pl.DataFrame({"first": pair[0], "second": pair[1]})
        .select(pl.corr("first", "second"))
        .item()
    )


def test_the_oracle_can_score_every_row(scored):
    estimate, _ = scored()
    exact, metrics = scored(replace(SETTINGS, estimate="exact"), "exact")
    assert exact["row_id"].equals(estimate["row_id"])
    for skill in ("all", "sums", "strings"):
        assert correlation(exact, estimate, skill) > 0.999
    assert metrics["audit"]["max_deviation"] < 1e-6


def test_group_scores_are_what_a_row_adds_to_its_prompt(scored, probe):
    group, metrics = scored(replace(SETTINGS, unit="group"), "group")
    whole = group.filter(pl.col("reference") == "all")
    assert whole["neutral"].to_list() == [0.0] * whole.height
    assert metrics["audit"]["spearman"] > 0.99
    exact, _ = scored(replace(SETTINGS, unit="group", estimate="exact"), "exact")
    assert correlation(exact, group, "all") > 0.999
    means = whole.group_by("prompt_id").agg(pl.col("score").mean().abs() / pl.col("score").std())
    assert means["score"].median() < 1  # rows of a prompt are compared with each other


def test_adapters_can_be_scored(scored, tmp_path, student, probe, machine):
    adapters = AdapterParams(rank=2, alpha=4.0)
    settings = replace(WARMUP, learning_rate=1e-2)
    warm_up(student, probe, tmp_path / "lora", settings, 0, machine, adapter=adapters)
    _, metrics = scored(replace(SETTINGS, learning_rate=1e-4), warmup=tmp_path / "lora")
    assert metrics["audit"]["spearman"] > 0.99
    assert metrics["audit"]["sign_agreement"] > 0.95


def test_too_little_memory_names_the_settings(scored, monkeypatch):
    def full(*args):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte")

    monkeypatch.setattr(score, "reference_gradients", full)
    with pytest.raises(MontessoriError, match="not enough memory") as error:
        scored()
    assert "influence_batch" in error.value.next


def test_a_large_step_fails_the_audit_and_writes_nothing(scored, tmp_path):
    with pytest.raises(MontessoriError, match="fails its audit"):
        scored(replace(SETTINGS, learning_rate=0.3, audit_spearman=0.95))
    assert not (tmp_path / "out").exists()


def test_a_row_without_response_is_named(scored, probe):
    with pytest.raises(MontessoriError, match="no response within the tokens") as error:
        scored(replace(SETTINGS, max_length=6))
    assert "row " in error.value.where
    assert "max_length" in error.value.next


def test_rows_without_response_get_no_score_and_are_counted(scored, warm, probe, caplog):
    """As in warm-up and in SFT; those that lose the end of their answer are counted too."""
    tokenizer = chat.load_tokenizer(warm)
    seen = read_json(warm / "optimizer.json")["rows"]
    frame = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    left = frame.filter(~pl.col("row_id").is_in(seen))
    length = 26
    rows = tokenize_rows(tokenizer, left["messages"].to_list(), length)
    answered = [name for name, row in zip(left["row_id"], rows, strict=True) if row.targets]
    assert 8 < len(answered) < left.height
    scores, metrics = scored(replace(SETTINGS, max_length=length))
    assert scores.filter(pl.col("reference") == "all")["row_id"].to_list() == answered
    assert metrics["rows"] == len(answered)
    assert metrics["rows_without_response"] == left.height - len(answered)
    assert metrics["rows_cut"] == sum(bool(row.targets and row.lost) for row in rows)
    assert metrics["references_without_response"] > 0
    assert "get no score" in caplog.text
    assert "reference rows have no response" in caplog.text
    whole = scored(out="whole")[1]
    assert not {"rows_without_response", "rows_cut", "references_without_response"} & set(whole)


def test_an_influence_that_is_not_finite_names_its_row(scored, monkeypatch, probe):
    centred = score.FirstOrder.score_rows

    def broken(self, rows, advance=None):
        found = centred(self, rows, advance)
        found[1] = float("nan")
        return found

    monkeypatch.setattr(score.FirstOrder, "score_rows", broken)
    with pytest.raises(MontessoriError, match="not a finite number") as error:
        scored()
    kept = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    assert error.value.where == f"probe row {kept['row_id'][9]}"  # 8 rows were for warm-up


def test_nothing_left_after_warm_up_is_an_error(scored, probe, warm, tmp_path):
    seen = read_json(warm / "optimizer.json")["rows"]
    frame = read_table(probe / "rows.parquet", PROBE)
    with new_folder(tmp_path / "small", {}) as folder:
        few = frame.filter(pl.col("row_id").is_in(seen))
        write_table(few, folder / "rows.parquet", PROBE)
    with pytest.raises(MontessoriError, match="0 of 8 kept rows are left"):
        scored(probe=tmp_path / "small")
