"""The order of training: every row once, similar lengths together, by seed and epoch alone.

What would break: rows are trained on twice or never, or a continued epoch has another order.
"""

from montessori.train.order import LengthOrder, epoch_order


def test_every_row_once_and_similar_lengths_together():
    lengths = [(7 * i) % 50 + 1 for i in range(203)]
    order = epoch_order(lengths, 8, seed=3, epoch=0)
    assert sorted(order) == list(range(203))
    batches = [order[i : i + 8] for i in range(0, 200, 8)]
    padded = sum(8 * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.15 * sum(lengths[i] for i in order[:200])
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_the_order_depends_on_seed_and_epoch():
    lengths = [1 + i % 9 for i in range(64)]
    orders = {tuple(epoch_order(lengths, 4, seed, epoch)) for seed in (0, 50) for epoch in (0, 1)}
    assert len(orders) == 4
    assert epoch_order(lengths, 4, 5, 1) == epoch_order(lengths, 4, 5, 1)


def test_the_sampler_follows_the_epoch_it_is_told():
    sampler = LengthOrder([3, 1, 2, 4], 2, seed=1)
    sampler.set_epoch(4)
    assert list(sampler) == epoch_order([3, 1, 2, 4], 2, 1, 4)
    assert len(sampler) == 4
