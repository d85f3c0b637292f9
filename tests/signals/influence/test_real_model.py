"""The estimate against the exact fp64 step on a real pre-trained Llama and real rows.

What would break: the estimate holds for tiny random models only.
"""

import json
import random
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from montessori.bench.world import BATCH, FALLBACK, MOST_STEPS, RATE, warm_up
from montessori.models import chat
from montessori.models.adapters import AdapterParams, add_adapters
from montessori.models.prepare import prepare_model
from montessori.models.weights import enable_checkpointing, load_model
from montessori.signals.influence.audit import compare_estimates
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.train.adamw import AdamWState
from montessori.train.loss import tokenize_rows
from tests.test_own_data import ALPACA, MODEL

pytestmark = pytest.mark.skipif(
    not MODEL.exists(), reason="the shared folder with a real model and real rows is absent"
)
PROBES, REFERENCES, LENGTH = 48, 32, 96


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A folder with the model, and its tokenised Alpaca rows: warm-up, probes, references."""
    folder = tmp_path_factory.mktemp("real") / "model"
    prepare_model(MODEL, FALLBACK, folder)
    every = json.loads(ALPACA.read_text(encoding="utf-8"))
    chosen = random.Random(0).sample(every, 4 * MOST_STEPS * BATCH)
    dialogues = [
        [
            {"role": "user", "content": f"{row['instruction']}\n{row['input']}".strip()},
            {"role": "assistant", "content": row["output"]},
        ]
        for row in chosen
    ]
    tokens = tokenize_rows(chat.load_tokenizer(folder), dialogues, LENGTH)
    usable = [row for row in tokens if row.targets >= 8]
    warm, left = usable[: MOST_STEPS * BATCH], usable[MOST_STEPS * BATCH :]
    assert len(left) >= PROBES + REFERENCES
    return folder, warm, left[:PROBES], left[PROBES : PROBES + REFERENCES]


@pytest.fixture(scope="module", params=[0, 8], ids=["full", "lora"])
def world(request, rows):
    """The model warmed up as published, its fp32 moments, and the exact centred influences."""
    folder, warm, probes, references = rows
    adapter = AdapterParams(rank=request.param, alpha=16.0)
    model = add_adapters(load_model(folder), adapter, seed=0)
    state = warm_up(model, warm, 0, MOST_STEPS)
    exact = ExactStep(
        deepcopy(model).double(),
        state_as(state, torch.float64),
        RATE,
        references,
        [list(range(REFERENCES))],
        0,
    )
    return model, state, exact.score_rows(probes)[:, 0].tolist()


def state_as(state: AdamWState, dtype: torch.dtype) -> AdamWState:
    return replace(
        state,
        exp_avg={name: value.to(dtype) for name, value in state.exp_avg.items()},
        exp_avg_sq={name: value.to(dtype) for name, value in state.exp_avg_sq.items()},
    )


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_estimate_ranks_as_the_exact_step(world, rows, dtype, checkpointing, batch):
    model, state, truth = world
    _, _, probes, references = rows
    model = deepcopy(model).to(dtype)
    if checkpointing:
        enable_checkpointing(model)
    state = state_as(state, dtype)
    groups = [list(range(REFERENCES))]
    gradients = reference_gradients(model, references, groups, 0)
    engine = FirstOrder(model, state, RATE, gradients, 0, batch=batch)
    assert engine.batch == batch
    audit = compare_estimates(engine.score_rows(probes)[:, 0].tolist(), truth)
    assert audit.spearman >= 0.99
    assert audit.sign_agreement >= 0.95
    assert len({value > 0 for value in truth}) == 2  # both signs occur
