"""The loss of dialogue rows on assistant tokens, and the batches that rows are read in.

What would break: prompts, padding or a row's first token count as learned; a long answer weighs
more than a short one where each row should count alike; rows are lost between batches.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from montessori.models import chat
from montessori.train.loss import (
    IGNORED,
    Row,
    batch_by_length,
    comfortable_tokens,
    count_changed_rows,
    row_losses,
    sum_mean_losses,
    tokenize_rows,
)

VOCABULARY = 8


class CountingModel:
    """A language model by hand: it gives token t + 1 the logit 2 after token t, all others 0.

    So the loss of a token that follows its predecessor is log(e^2 + 7) - 2, else log(e^2 + 7).
    """

    device = torch.device("cpu")

    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, attention_mask, use_cache):
        self.seen.append((input_ids, attention_mask))
        following = (input_ids + 1) % VOCABULARY
        return SimpleNamespace(logits=2.0 * torch.nn.functional.one_hot(following, VOCABULARY))


SUCCESSOR = math.log(math.exp(2) + 7) - 2
ANY_OTHER = math.log(math.exp(2) + 7)


def row(ids: list[int], trained: list[int]) -> Row:
    """A row of tokens of which those at the places `trained` are the assistant's."""
    return Row(ids, [token if place in trained else IGNORED for place, token in enumerate(ids)])


def test_a_rows_loss_is_that_of_its_assistant_tokens_by_hand():
    """1 2 3 | 4 7: the 4 follows the 3, the 7 does not follow the 4."""
    sums, counts = row_losses(CountingModel(), [row([1, 2, 3, 4, 7], [3, 4])], pad=0)
    assert sums.tolist() == pytest.approx([SUCCESSOR + ANY_OTHER])
    assert counts.tolist() == [2]


def test_the_first_token_of_a_row_is_never_predicted():
    first = row([1, 2, 3], [0, 1, 2])
    assert first.targets == 2
    sums, counts = row_losses(CountingModel(), [first], pad=0)
    assert sums.tolist() == pytest.approx([2 * SUCCESSOR])
    assert counts.tolist() == [2]


def test_padding_is_not_attended_to_and_has_no_loss():
    model = CountingModel()
    rows = [row([1, 2], [1]), row([1, 2, 3, 4], [1, 2, 3])]
    sums, counts = row_losses(model, rows, pad=5)
    assert sums.tolist() == pytest.approx([SUCCESSOR, 3 * SUCCESSOR])
    assert counts.tolist() == [1, 3]
    ids, attention = model.seen[0]
    assert ids.tolist() == [[1, 2, 5, 5], [1, 2, 3, 4]]
    assert attention.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_rows_of_one_length_need_no_mask():
    """Without a mask attention takes its fast path."""
    model = CountingModel()
    row_losses(model, [row([1, 2], [1]), row([3, 4], [1])], pad=0)
    assert model.seen[0][1] is None


def test_each_row_counts_alike_whatever_its_length():
    """A row of one successor and one of a successor and another: their means, added."""
    rows = [row([1, 2], [1]), row([1, 2, 5], [1, 2])]
    found = sum_mean_losses(CountingModel(), rows, pad=0).item()
    assert found == pytest.approx(SUCCESSOR + (SUCCESSOR + ANY_OTHER) / 2)


# ------------------------------------------------------------------------- rows from dialogues
def test_a_row_that_is_cut_before_its_answer_has_nothing_to_learn(student):
    tokenizer = chat.load_tokenizer(student)
    dialogue = [
        {"role": "user", "content": "What is 3 plus 4?"},
        {"role": "assistant", "content": "7"},
    ]
    (whole,) = tokenize_rows(tokenizer, [dialogue], 100)
    for length in range(1, len(whole.ids) + 1):
        (cut,) = tokenize_rows(tokenizer, [dialogue], length)
        assert cut.ids == whole.ids[:length]
        assert cut.labels == whole.labels[:length]
    assert tokenize_rows(tokenizer, [dialogue], len(whole.ids) - 2)[0].targets == 0
    assert whole.targets == 2  # the digit and the end of the turn
    lengths = [len(whole.ids) - n for n in range(4)]
    assert [tokenize_rows(tokenizer, [dialogue], n)[0].lost for n in lengths] == [0, 1, 2, 2]
    assert tokenize_rows(tokenizer, [], 10) == []


# ---------------------------------------------------------------------------------- batches
def test_batches_are_bounded_in_rows_and_tokens():
    rows = [Row([1] * length, [1] * length) for length in (5, 1, 9, 2, 3, 40)]
    lengths = [[len(rows[i].ids) for i in batch] for batch in batch_by_length(rows, 3, 12)]
    assert lengths == [[1, 2, 3], [5], [9], [40]]  # 2 x 9 and 2 x 40 tokens would be too many
    assert [len(batch) for batch in batch_by_length(rows, 4)] == [4, 2]
    assert list(batch_by_length([], 4)) == []


@given(
    st.lists(st.integers(1, 50), max_size=40), st.integers(1, 9), st.integers(1, 200) | st.none()
)
def test_every_row_is_in_one_batch_and_no_batch_is_too_large(lengths, batch, tokens):
    rows = [Row([1] * length, [1] * length) for length in lengths]
    limit = math.inf if tokens is None else tokens
    batches = list(batch_by_length(rows, batch, limit))
    assert sorted(i for indices in batches for i in indices) == list(range(len(rows)))
    for indices in batches:
        longest = max(lengths[i] for i in indices)
        assert len(indices) <= batch
        assert len(indices) * longest <= limit or len(indices) == 1
    longest = [max(lengths[i] for i in indices) for indices in batches]
    assert longest == sorted(longest)


def test_only_a_cpu_has_a_comfortable_number_of_tokens():
    assert comfortable_tokens(torch.device("cpu")) == 2048
    assert comfortable_tokens(torch.device("cuda")) == math.inf


def test_rows_that_are_not_read_as_they_stand_are_counted():
    rows = [
        Row([1, 2], [IGNORED, 2], lost=3, plain=True),
        Row([1], [1], joined=True),
        Row([1], [1]),
    ]
    found = {"rows_cut": 1, "rows_special_text": 1, "rows_system_joined": 1}
    assert count_changed_rows(rows) == found
    assert count_changed_rows(rows[2:]) == {}
