"""Questions behind a demonstration are read as each text by itself, on every architecture.

What would break: a student with a sliding window, with distances between places or with states is
scored on less of the demonstration than it would see, the shorter the question the less.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from transformers import Gemma3Config, LlamaConfig, Qwen2Config

from montessori.generate.reading import WAYS, Way
from montessori.generate.transformers_engine import TransformersEngine
from montessori.signals.icl.passes import Reader, shortest_window
from montessori.signals.icl.student import Student
from montessori.signals.icl.tokens import Group, QuestionTokens
from tests.zoo.models import ARCHITECTURES, save_architecture

#: Windows of eight places (two of them beside layers without), a window of an older kind, biases
#: by distance, states beside attention, states alone.
QUICK = ("mistral", "gemma2", "gemma3", "gpt_neo", "mpt", "qwen3_next", "mamba2", "llama")
#: What layers with states are read in.
STATES = Way(padded=True, cached=True, joined=False)


def draw(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(10, 300, (length,), generator=generator).tolist())


def questions(seed: int) -> list[QuestionTokens]:
    """Of 4, 15 and 9 tokens, with answers of different lengths."""
    answers = (draw(1, seed), draw(4, seed + 1), draw(2, seed + 2))
    return [QuestionTokens(draw(n, seed + n), answers) for n in (4, 15, 9)]


GROUPS = [Group(draw(6, 1), questions(10)), Group(draw(25, 2), questions(20))]


def open_student(name: str, folder) -> Student:
    engine = TransformersEngine(save_architecture(name, folder), batch=5, device="cpu", threads=1)
    return Student(engine, "\n\n")


def read_alone(student: Student, prefix, row: QuestionTokens, answer) -> float:
    """Log-probability of an answer by one forward pass of the whole text."""
    ids = torch.tensor([[*prefix, *row.question, *answer]])
    with torch.no_grad():
        logits = student.engine.model(input_ids=ids).logits[0].log_softmax(-1)
    start = ids.shape[1] - len(answer)
    return sum(float(logits[start + k - 1, token]) for k, token in enumerate(answer))


def require_direct_numbers(student: Student) -> None:
    readings = student.read_answers(GROUPS)
    for (prefix, asked), group in zip(GROUPS, readings, strict=True):
        for row, reading in zip(asked, group, strict=True):
            direct = [read_alone(student, prefix, row, answer) for answer in row.answers]
            assert reading.logprobs == pytest.approx(direct, abs=2e-3)


def require_greedy_text(student: Student) -> None:
    wrote = student.write_answers(GROUPS, 5)
    for (prefix, asked), group in zip(GROUPS, wrote, strict=True):
        for row, text in zip(asked, group, strict=True):
            ids, made = [*prefix, *row.question], []
            for _ in range(5):
                with torch.no_grad():
                    token = int(
                        student.engine.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()
                    )
                if token in student.engine.end_ids:
                    break
                made, ids = [*made, token], [*ids, token]
            assert text == student.engine.decode_texts([made])[0].split("\n\n")[0]


@pytest.mark.parametrize("name", QUICK)
def test_answers_are_read_as_each_text_by_itself(name, tmp_path):
    student = open_student(name, tmp_path)
    require_direct_numbers(student)
    require_greedy_text(student)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - set(QUICK)))
def test_every_architecture_is_read_so(name, tmp_path):
    student = open_student(name, tmp_path)
    require_direct_numbers(student)
    require_greedy_text(student)


def test_prefixes_are_shared_where_the_texts_are_shorter_than_the_window(tmp_path, monkeypatch):
    """And then cost less; what is read again counts as read."""
    student = open_student("mistral", tmp_path)
    texts = sum(len(prefix) + len(row.question) for prefix, asked in GROUPS for row in asked)
    answers = sum(len(a) for _, asked in GROUPS for row in asked for a in row.answers)
    student.read_answers(GROUPS)
    whole = student.tokens
    assert whole <= texts + answers
    monkeypatch.setattr(student._reader, "window", 64)
    student.read_answers(GROUPS)
    shared = sum(len(prefix) for prefix, _ in GROUPS) + sum(
        len(row.question) for _, asked in GROUPS for row in asked
    )
    assert student.tokens - whole == shared + answers < whole


@pytest.mark.parametrize(("way", "reads"), [(WAYS[0], [3]), (STATES, [1, 1, 1])])
def test_states_take_in_the_tokens_of_answers_one_by_one(way, reads, monkeypatch):
    seen = []

    def read_tokens(self, state, ids, mask, keep):
        seen.append(ids.shape[1])
        return torch.zeros(*ids.shape, 5)

    monkeypatch.setattr(Reader, "read_tokens", read_tokens)
    reader = Reader.__new__(Reader)
    reader.engine = SimpleNamespace(way=way)
    ids = torch.ones(2, 3, dtype=torch.long)
    assert reader.read_answers(None, ids, torch.ones_like(ids)).shape == (2, 3, 5)
    assert seen == reads


def reader_of(
    way: Way, rotary: bool = True, window: float = math.inf, takes: bool = True
) -> Reader:
    reader = Reader.__new__(Reader)
    reader.engine = SimpleNamespace(way=way, rotary=rotary, batch=5, limit=20)
    reader.window, reader.takes_positions = window, takes
    return reader


@pytest.mark.parametrize(
    ("reader", "chunks"),
    [
        (reader_of(WAYS[0]), [[0, 1, 2]]),
        (reader_of(WAYS[0], rotary=False), [[0], [1], [2]]),  # 10 + 9 + 2 places of a table of 20
        (reader_of(WAYS[1]), [[0, 2], [1]]),
    ],
    ids=["together", "no room for padding", "of equal length"],
)
def test_texts_share_a_batch_where_padding_changes_nothing(reader: Reader, chunks):
    lengths = ((10, 4), (3, 9), (6, 8))
    rows = [(draw(p, 1), QuestionTokens(draw(q, 2), ())) for p, q in lengths]
    assert reader.split_rows(rows, 2) == chunks


def test_prefixes_are_shared_where_places_need_not_be_positions():
    assert reader_of(WAYS[0], window=8)._shares_prefixes(8)
    assert not reader_of(WAYS[0], window=8)._shares_prefixes(9)
    assert not reader_of(WAYS[0], takes=False)._shares_prefixes(8)
    assert not reader_of(STATES)._shares_prefixes(8)


def test_the_window_is_that_of_the_text_model():
    assert shortest_window(LlamaConfig()) == math.inf
    assert shortest_window(Qwen2Config(use_sliding_window=False, max_window_layers=2)) == math.inf
    assert shortest_window(Gemma3Config(text_config={"sliding_window": 12})) == 12
