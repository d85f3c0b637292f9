"""A local engine that never writes a sample twice, and names of hosted models.

What would break: hours of generation are repeated after a kill, or samples are taken from another
model's answers.
"""

import logging

import pytest

from montessori.generate import Generated, Request, Sampling
from montessori.generate.kept import PART, RecordedEngine
from montessori.generate.ledger import Ledger
from montessori.models.hosted import warn_undated


class Counting:
    """Answers with the sum of a prompt and its seed; breaks at the call number `broken`."""

    special_texts = ()

    def __init__(self, broken=None):
        self.calls, self.broken = [], broken

    def render_prompts(self, dialogues):
        return dialogues

    def generate(self, requests, sampling, on_done=None):
        if len(self.calls) == self.broken:
            raise RuntimeError("killed")
        self.calls.append(len(requests))
        return [
            Generated(str(sum(r.ids) + r.seeds[0]), 1, True, n, 0, (("x", -0.5),))
            for n, r in enumerate(requests)
        ]


def kept(tmp_path, engine, identity="model"):
    return RecordedEngine(engine, Ledger(tmp_path / "ledger.jsonl"), identity)


def test_each_sample_is_written_once(tmp_path):
    engine = Counting()
    requests = [Request([1, 2], (5, 6)), Request([3], (7,)), Request([1, 2], (5,))]
    first = kept(tmp_path, engine).generate(requests, Sampling(4))
    assert [(r.request, r.sample, r.text) for r in first] == [
        (0, 0, "8"),
        (0, 1, "9"),
        (1, 0, "10"),
        (2, 0, "8"),
    ]
    assert engine.calls == [3]
    assert kept(tmp_path, engine).generate(requests, Sampling(4)) == first
    assert engine.calls == [3]
    assert kept(tmp_path, engine).ledger.total.prompt_tokens == 5
    kept(tmp_path, engine, "other").generate(requests, Sampling(4))
    kept(tmp_path, engine).generate(requests, Sampling(5))
    assert engine.calls == [3, 3, 3]


def test_a_kill_takes_one_part_at_most(tmp_path):
    requests = [Request([n]) for n in range(2 * PART + 3)]
    with pytest.raises(RuntimeError):
        kept(tmp_path, Counting(broken=2)).generate(requests, Sampling(4))
    engine = Counting()
    kept(tmp_path, engine).generate(requests, Sampling(4))
    assert engine.calls == [3]


@pytest.mark.parametrize(
    ("model", "dated"),
    [
        ("gpt-4o-2024-08-06", True),
        ("gpt-4-1106-preview", True),
        ("gpt-4-0613", True),
        ("claude-sonnet-4-20250514", True),
        ("mistral-large-2411", True),
        ("gpt-4o", False),
        ("llama-3.1-8b", False),
        ("qwen-2000", False),
    ],
)
def test_dates_in_names_of_models(model, dated, caplog):
    warn_undated.cache_clear()
    with caplog.at_level(logging.WARNING):
        warn_undated(model)
        warn_undated(model)
    assert len(caplog.records) == (0 if dated else 1)
