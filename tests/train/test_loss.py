"""Batches of rows: in order of length, bounded in rows and tokens.

What would break: rows are lost or doubled between batches, or a batch is too large for the memory.
"""

from montessori.train.loss import Row, batch_by_length


def test_batches_are_bounded_in_rows_and_tokens():
    rows = [Row([1] * length, [1] * length) for length in (5, 1, 9, 2, 3, 40)]
    lengths = [[len(rows[i].ids) for i in batch] for batch in batch_by_length(rows, 3, 12)]
    assert lengths == [[1, 2, 3], [5], [9], [40]]  # 2 x 9 and 2 x 40 tokens would be too many
    assert [len(batch) for batch in batch_by_length(rows, 4)] == [4, 2]
    assert list(batch_by_length([], 4)) == []
