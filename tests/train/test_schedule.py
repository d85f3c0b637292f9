"""The learning rate of each step, by hand and against transformers.

What would break: trainings run at a rate other than the one in params.yaml says.
"""

from dataclasses import asdict, replace

import pytest
import torch

from montessori.graph.load import read_section
from montessori.train.arguments import count_steps, schedule_arguments
from montessori.train.settings import StudentSftParams

SETTINGS = StudentSftParams(
    learning_rate=1.0,
    epochs=2,
    batch=4,
    warmup=0.1,
    decay=0.4,
    min_learning_rate=0.01,
    max_length=64,
)


def rates_of(settings: StudentSftParams) -> list[float]:
    """The rate before each of 100 steps, and behind the last."""
    from transformers import get_scheduler

    arguments = schedule_arguments(settings, 100)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], arguments["learning_rate"])
    scheduler = get_scheduler(
        arguments["lr_scheduler_type"],
        optimizer,
        arguments["warmup_steps"],
        100,
        scheduler_specific_kwargs=arguments["lr_scheduler_kwargs"],
    )
    rates = []
    for _ in range(101):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_rate_rises_stays_and_falls_to_the_least():
    rates = rates_of(SETTINGS)
    assert rates[0] == pytest.approx(0.01)
    assert rates[5] == pytest.approx(0.5 * 0.99 + 0.01)
    assert rates[10:61] == [1.0] * 51
    assert rates[80] == pytest.approx(0.5 * 0.99 + 0.01)  # half of a half cosine
    assert rates[100] == pytest.approx(0.01)


def test_a_decay_of_all_steps_is_the_cosine_schedule_of_arte():
    from transformers import get_cosine_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    cosine = get_cosine_schedule_with_warmup(optimizer, 10, 100).lr_lambdas[0]
    found = rates_of(replace(SETTINGS, decay=0.9, min_learning_rate=0.0))
    assert found == pytest.approx([cosine(step) for step in range(101)])


def test_steps_count_a_smaller_last_batch():
    assert count_steps(9, SETTINGS) == 6


def test_settings_name_their_problems():
    sft = StudentSftParams(0.0, 1, 4, 0.7, 0.4, 2.0, 64)
    assert read_section({"sft": asdict(sft)}, "sft", StudentSftParams)[1] == [
        "sft.learning_rate: 0.0 is not above 0",
        "sft.min_learning_rate: 2.0 is not in [0, 1]",
        "sft.decay: 0.4 and warmup 0.7 are above 1 together",
    ]
    assert replace(sft, decay=0.3).check() == []
