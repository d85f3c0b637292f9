"""The order in which rows are trained on: seeded, and with rows of similar length together."""

from collections.abc import Iterator, Sequence

import torch

#: Batches that are shuffled together before their rows are sorted by length.
GROUP = 16


def epoch_order(lengths: Sequence[int], batch: int, seed: int, epoch: int) -> list[int]:
    """Row indices of one epoch; each slice of `batch` indices is one step.

    Rows are shuffled, sorted by length within groups of `GROUP` batches, and the batches shuffled
    again, so that little is padded and no step sees a length trend. A last, smaller batch stays
    last. The order depends on `seed`, `epoch` and the lengths alone.
    """
    generator = torch.Generator().manual_seed((seed + epoch) % 2**63)
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    whole = len(shuffled) - len(shuffled) % batch
    batches: list[list[int]] = []
    for start in range(0, whole, GROUP * batch):
        group = sorted(shuffled[start : min(start + GROUP * batch, whole)], key=lengths.__getitem__)
        batches += [group[i : i + batch] for i in range(0, len(group), batch)]
    order = torch.randperm(len(batches), generator=generator).tolist()
    return [row for k in order for row in batches[k]] + shuffled[whole:]


class LengthOrder(torch.utils.data.Sampler[int]):
    """`epoch_order` as a sampler; the trainer tells it the epoch, also when it continues."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = list(lengths), batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Use the order of epoch `epoch`, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(epoch_order(self.lengths, self.batch, self.seed, self.epoch))
