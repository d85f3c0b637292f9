"""Rows of different lengths as one tensor: the one place where batches are padded."""

from collections.abc import Sequence

import torch


def pad_rows(
    rows: Sequence[Sequence[float]],
    fill: int,
    device: "torch.device | str",
    *,
    left: bool = False,
    dtype: torch.dtype = torch.long,
) -> torch.Tensor:
    """Rows filled up with `fill` at the right, or at the left; shape (rows, longest), `dtype`.

    The tensor has at least one column, so that rows without a token are rows of `fill`.
    """
    width = max([1, *map(len, rows)])
    filled = []
    for row in rows:
        padding = [fill] * (width - len(row))
        filled.append([*padding, *row] if left else [*row, *padding])
    return torch.tensor(filled, dtype=dtype, device=device)


def pad_with_mask(
    rows: Sequence[Sequence[int]], fill: int, device: "torch.device | str", *, left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """`pad_rows` of token ids, and the mask of that shape, int64: 1 where a token stands."""
    ids = pad_rows(rows, fill, device, left=left)
    mask = pad_rows([[1] * len(row) for row in rows], 0, device, left=left)
    return ids, mask
