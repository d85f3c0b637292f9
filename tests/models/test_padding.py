"""Batches of rows of different lengths.

What would break: a model would attend to padding, or a label would stand beside another's token,
and every loss, score and answer would change a little without an error.
"""

import torch

from montessori.models.padding import pad_rows, pad_with_mask

ROWS = [[7, 8], [9], []]


def test_rows_are_filled_up_at_the_right_or_at_the_left():
    assert pad_rows(ROWS, -100, "cpu").tolist() == [[7, 8], [9, -100], [-100, -100]]
    assert pad_rows(ROWS, 0, "cpu", left=True).tolist() == [[7, 8], [0, 9], [0, 0]]


def test_the_mask_marks_tokens_even_where_they_equal_the_padding():
    ids, mask = pad_with_mask([[0, 5], [0]], 0, "cpu", left=True)
    assert ids.tolist() == [[0, 5], [0, 0]]
    assert mask.tolist() == [[1, 1], [0, 1]]
    assert ids.dtype == mask.dtype == torch.int64


def test_rows_without_a_token_have_a_column_and_other_types_stay():
    assert pad_rows([[], []], 3, "cpu").tolist() == [[3], [3]]
    weights = pad_rows([[0.5], [1, 1]], 0, "cpu", dtype=torch.float32)
    assert weights.tolist() == [[0.5, 0.0], [1.0, 1.0]]
    assert weights.dtype == torch.float32
