"""A warmed-up tiny student, and a teacher that says what it is told to."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from montessori.generate import Generated, Request
from montessori.train.settings import WarmupParams
from montessori.train.warmup import warm_up

WARMUP = WarmupParams(
    rows=8, epochs=1, batch=4, learning_rate=1e-3, warmup=0.1, max_grad_norm=1.0, max_length=128
)


class TellingEngine:
    """Answers a dialogue's last turn, for each seed of a request, with what `says` makes of it."""

    special_texts = ("<|end|>",)
    tokenizer, limit = None, 10**9

    def __init__(self, says: Callable[[str, int], str]):
        self.says = says
        self.asked: list[str] = []
        self.calls = 0

    def render_prompts(self, dialogues):
        return dialogues

    def generate(self, requests: Sequence[Request], sampling, on_done=None):
        self.calls += 1
        self.sampling = sampling
        self.asked += [request.prompt[-1]["content"] for request in requests]
        return [
            Generated(text, len(text), not text.endswith("..."), i, k)
            for i, request in enumerate(requests)
            for k in range(len(request.seeds))
            for text in [self.says(request.prompt[-1]["content"], k)]
        ]


@pytest.fixture(scope="session")
def warm(tmp_path_factory, student, probe, machine) -> Path:
    """The tiny student after the first prompts of the probe."""
    folder = tmp_path_factory.mktemp("signals") / "warm"
    warm_up(student, probe, folder, WARMUP, 0, machine)
    return folder
