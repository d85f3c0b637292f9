"""Equivalence classes: the same numbers from other batches, paddings, shards and plain loops.

What would break: a setting that is only about speed or memory changes what is computed.

Each class has one canonical run, the one whose trajectory is stored. Its other members compute the
same another way (recomputed activations, other batches, other padding, several shards, a plain loop
in double precision) and have to follow the canonical run closely.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import PAIRS, PROBE, ROWS
from montessori.evals.lab_benchmarks.loglikelihoods import score_pairs
from montessori.generate.transformers_engine import TransformersEngine
from montessori.models import chat
from montessori.models.weights import load_model
from montessori.seeding import seed_of
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.train import warmup
from montessori.train.adamw import read_state
from montessori.train.loss import row_losses, tokenize_rows
from montessori.train.order import epoch_order
from tests.references import recipes, stored
from tests.references.recipes import World
from tests.slow_twins import training as plain

#: Allowed within a class, as a share of the largest number of a series: rounding of fp32.
CLOSE = 1e-5

pytestmark = pytest.mark.xdist_group("references")  # they share the canonical runs


@pytest.fixture
def world(tmp_path: Path, student, machine) -> World:
    """Where another member of a class runs."""
    return World(student, machine, tmp_path)


def require_close(found, wanted, names, tolerance=CLOSE):
    """Fail unless the series `names` of two trajectories agree."""
    for name in names:
        problems = stored.compare(name, found.series[name], wanted.series[name], tolerance)
        assert not problems, problems[0]


# ------------------------------------------------------------------- class: SFT, class: DPO
@pytest.mark.parametrize("name", ["sft", "dpo"])
def test_recomputed_activations_give_the_same_training(name, canonical, world):
    recomputing = replace(world.machine, gradient_checkpointing="on")
    found = recipes.RUNS[name](replace(world, machine=recomputing))
    require_close(found, canonical(name)[1], ["loss", "distance"])


def batches_of(lengths, settings, kind):
    """The row numbers of every step of a training: the order that the stage trains in."""
    batches = []
    for epoch in range(settings.epochs):
        order = epoch_order(lengths, settings.batch, seed_of(0, kind) % 2**32, epoch)
        batches += [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
    return batches


def schedule_of(settings, steps):
    """The rates of SFT and DPO, by hand."""
    return plain.rise_stay_fall(
        settings.learning_rate, settings.warmup, settings.decay, settings.min_learning_rate, steps
    )


def test_sft_is_a_plain_loop_over_assistant_tokens(canonical):
    world, wanted = canonical("sft")
    tokenizer = chat.load_tokenizer(world.student)
    model = load_model(world.student).double()
    frame = read_table(world.folder / "dataset" / "rows.parquet", ROWS)
    dialogues = frame["messages"].to_list()
    lengths = [len(plain.tokens_and_mask(tokenizer, dialogue)[0]) for dialogue in dialogues]
    batches = batches_of(lengths, recipes.SFT, "sft")
    rates = schedule_of(recipes.SFT, len(batches))

    def loss_of(rows):
        return plain.assistant_loss(model, tokenizer, [dialogues[i] for i in rows])

    losses = plain.train(model, batches, rates, 1.0, loss_of)
    assert stored.compare("learning_rate", wanted.series["learning_rate"], rates, 1e-12) == []
    assert stored.compare("loss", wanted.series["loss"], losses, CLOSE) == []


def test_dpo_is_a_plain_loop_over_pairs(canonical):
    world, wanted = canonical("dpo")
    tokenizer = chat.load_tokenizer(world.student)
    model = load_model(world.student).double()
    pairs = read_table(world.folder / "pairs" / "pairs.parquet", PAIRS).to_dicts()
    with torch.no_grad():
        start = [plain.preference(model, tokenizer, pair) for pair in pairs]
    lengths = [longer_text(tokenizer, pair) for pair in pairs]
    batches = batches_of(lengths, recipes.DPO, "dpo")
    rates = schedule_of(recipes.DPO, len(batches))

    def loss_of(rows):
        some, before = [pairs[i] for i in rows], [start[i] for i in rows]
        return plain.preference_loss(model, tokenizer, some, before, recipes.DPO.beta)

    losses = plain.train(model, batches, rates, 1.0, loss_of)
    assert stored.compare("learning_rate", wanted.series["learning_rate"], rates, 1e-12) == []
    assert stored.compare("loss", wanted.series["loss"], losses, CLOSE) == []


def longer_text(tokenizer, pair):
    """Tokens of the longer dialogue of a pair, which the order of pairs goes by."""
    sizes = []
    for side in ("chosen", "rejected"):
        dialogue = [
            {"role": "user", "content": pair["prompt"]},
            {"role": "assistant", "content": pair[side]},
        ]
        sizes.append(len(plain.tokens_and_mask(tokenizer, dialogue)[0]))
    return max(sizes)


# -------------------------------------------------------------------------- class: warm-up
def test_warm_up_is_a_plain_loop_that_keeps_its_moments(canonical):
    world, wanted = canonical("warmup")
    tokenizer = chat.load_tokenizer(world.student)
    model = load_model(world.student).double()
    probe = read_table(world.folder / "probe" / "rows.parquet", PROBE)
    kept = [row for row in probe.iter_rows(named=True) if row["dropped"] is None]
    dialogues = [row["messages"] for row in kept[: wanted.counts["rows"]]]
    lengths = [len(plain.tokens_and_mask(tokenizer, dialogue)[0]) for dialogue in dialogues]
    settings, seed = recipes.WARMUP, seed_of(0, "warmup")
    batches = []
    for epoch in range(settings.epochs):
        order = epoch_order(lengths, settings.batch, seed, epoch)
        batches += [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
    rates = plain.rising_rate(settings.learning_rate, settings.warmup, len(batches))

    def loss_of(rows):
        return plain.assistant_loss(model, tokenizer, [dialogues[i] for i in rows])

    losses = plain.train(model, batches, rates, settings.max_grad_norm, loss_of)
    assert stored.compare("loss", wanted.series["loss"], losses, CLOSE) == []


@pytest.mark.parametrize("member", ["rows of a batch turned around", "another padding token"])
def test_warm_up_does_not_see_how_a_batch_is_laid_out(member, canonical, world, monkeypatch):
    order, losses = warmup.epoch_order, warmup.row_losses

    def turned_around(lengths, batch, *rest):
        rows = order(lengths, batch, *rest)
        return [i for k in range(0, len(rows), batch) for i in rows[k : k + batch][::-1]]

    def padded_with_another(model, rows, pad):
        assert pad != 7
        return losses(model, rows, 7)

    if member == "another padding token":
        monkeypatch.setattr(warmup, "row_losses", padded_with_another)
    else:
        monkeypatch.setattr(warmup, "epoch_order", turned_around)
    found = recipes.run_warmup(world)
    names = ["loss", "distance", "first_moment", "second_moment"]
    require_close(found, canonical("warmup")[1], names)


# ------------------------------------------------------------------------ class: influence
def test_influence_does_not_see_whether_rows_share_a_backward_pass(canonical):
    """Rows of several lengths share one in the canonical run; here each row has its own."""
    world, wanted = canonical("influence")
    machine = replace(world.machine, influence_batch=1)
    found = recipes.score(replace(world, machine=machine), recipes.INFLUENCE, "alone")
    for name in ("all", "strings", "sums"):
        scores = found[f"alone_{name}"]
        assert stored.compare(name, scores, wanted.series[f"row_{name}"], CLOSE) == []


def test_reference_gradients_add_up_over_micro_batches(canonical):
    """8 x 1 = 3 + 3 + 2 = 1 x 8: a group's gradient is that of its mean row loss."""
    world, _ = canonical("influence")
    model = load_model(world.folder / "warm").eval()
    rows = reference_rows(world)[:8]
    groups = [list(range(8)), [1, 5]]
    whole, *others = [reference_gradients(model, rows, groups, 0, batch) for batch in (8, 1, 3)]
    for other in others:
        for name, gradient in whole.items():
            assert gradient.shape[0] == 2
            assert torch.allclose(other[name], gradient, rtol=1e-4, atol=1e-7)


def reference_rows(world):
    """The tokenised reference rows of the influence run."""
    tokenizer = chat.load_tokenizer(world.student)
    frame = read_table(world.folder / "reference" / "rows.parquet", ROWS)
    return tokenize_rows(tokenizer, frame["messages"].to_list(), 128)


def test_influence_does_not_see_the_order_of_rows(canonical):
    world, _ = canonical("influence")
    model = load_model(world.folder / "warm").eval()
    state = read_state(world.folder / "warm", model)
    rows = reference_rows(world)
    gradients = reference_gradients(model, rows, [list(range(12))], 0)
    engine = FirstOrder(model, state, 1e-5, gradients, 0)
    forwards, backwards = engine.score_rows(rows), engine.score_rows(rows[::-1]).flip(0)
    assert torch.allclose(forwards, backwards, rtol=0, atol=CLOSE * forwards.abs().max().item())


def test_shards_of_an_influence_run_make_the_same_scores(canonical, monkeypatch):
    world, wanted = canonical("influence")
    monkeypatch.setattr(recipes, "WORK", "shared-work")
    for index in (3, 1, 2):
        job = recipes.scoring_job(world, world.folder / "none", f"{index}/3")
        recipes.score_probe(job, recipes.INFLUENCE, world.folder / "none.csv")
    assert len(list(job.work.rglob("*.parquet"))) > 3

    def nothing_to_do(*_):
        raise AssertionError("a part was computed that a shard had finished")

    monkeypatch.setattr(FirstOrder, "score_rows", nothing_to_do)
    found = recipes.score(world, recipes.INFLUENCE, "shared")
    assert found["shared_all"] == wanted.series["row_all"]


# -------------------------------------------------------------------- class: log-likelihood
def test_training_and_scoring_agree_on_a_row_whatever_side_is_padded(student):
    """Training pads at the right, scoring pads contexts at the left: the same nats."""
    tokenizer = chat.load_tokenizer(student)
    dialogues = recipes.dialogue_rows(9)["messages"].to_list()
    single = [dialogue for dialogue in dialogues if len(dialogue) == 2]
    rows = tokenize_rows(tokenizer, single, 128)
    with torch.no_grad():
        sums, counts = row_losses(load_model(student).eval(), rows, tokenizer.pad_token_id)
    pairs = [(row.ids[: -row.targets], row.ids[-row.targets :]) for row in rows]
    assert len({len(context) for context, _ in pairs}) > 1
    assert [len(text) for _, text in pairs] == counts.tolist()
    engine = TransformersEngine(student, device="cpu", threads=1)
    scored = [score for score, _ in score_pairs(engine, pairs, batch=len(pairs))]
    assert stored.compare("log-likelihood", scored, (-sums).tolist(), 1e-6) == []
