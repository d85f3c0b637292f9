"""Seeds of pieces of work, and the orders of training made from them.

What would break: two samples of a prompt are equal because their seeds collide, or results depend
on the order of work.

Runs can be compared with each other because they share their draws.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from montessori.seeding import seed_of
from montessori.train.order import GROUP, epoch_order

#: Texts that invite collisions: they look like numbers, or are parts of each other.
KINDS = st.sampled_from(["a", "ab", "b", "a:1", "int:1", "1", "", "sft", "é"])
INDEX = st.integers(-3, 300) | KINDS
PIECES = st.tuples(st.integers(0, 5), KINDS, st.lists(INDEX, max_size=3).map(tuple))


@settings(max_examples=50)
@given(st.lists(PIECES, min_size=2, max_size=40, unique=True))
def test_different_pieces_of_work_have_different_seeds(pieces):
    """Of 40 pieces the chance of a collision by accident is 1e-16."""
    distinct = {(seed, kind, tuple(map(repr, index))) for seed, kind, index in pieces}
    seeds = {seed_of(seed, kind, *index) for seed, kind, index in pieces}
    assert len(seeds) == len(distinct)
    assert all(0 <= seed < 2**63 for seed in seeds)


@given(st.integers(0, 5), KINDS, st.lists(INDEX, min_size=1, max_size=3), st.data())
def test_indices_that_print_alike_have_different_seeds(seed, kind, index, data):
    """A sample 1 is not the text "1", and the kind a with index b is not the kind ab."""
    whole = seed_of(seed, kind, *index)
    place = data.draw(st.integers(0, len(index) - 1))
    alike = list(index)
    alike[place] = str(index[place]) if isinstance(index[place], int) else f"{index[place]}:"
    assert seed_of(seed, kind, *alike) != whole
    for between in ("", ",", ":", "str:", "int:"):
        assert seed_of(seed, f"{kind}{between}{index[0]}", *index[1:]) != whole


@settings(max_examples=40)
@given(st.lists(PIECES, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_work_changes_no_seed(pieces, random):
    before = {piece: seed_of(piece[0], piece[1], *piece[2]) for piece in pieces}
    shuffled = list(pieces)
    random.shuffle(shuffled)
    for seed, kind, index in shuffled:
        assert seed_of(seed, kind, *index) == before[seed, kind, index]


@st.composite
def trainings(draw):
    """(lengths of rows, rows per batch, seed, epoch)."""
    lengths = draw(st.lists(st.integers(1, 60), max_size=120))
    return (
        lengths,
        draw(st.integers(1, 9)),
        draw(st.integers(0, 2**63 - 1)),
        draw(st.integers(0, 9)),
    )


@given(trainings())
def test_an_epoch_has_every_row_once(training):
    lengths, batch, seed, epoch = training
    assert sorted(epoch_order(lengths, batch, seed, epoch)) == list(range(len(lengths)))


@given(trainings())
def test_a_batch_holds_rows_of_neighbouring_lengths(training):
    """Within a group of batches no row lies strictly between the lengths of another batch's ends.

    Rows are sorted within groups of `GROUP` batches, so with one group the sorted batches must be
    consecutive pieces of the sorted lengths.
    """
    lengths, batch, seed, epoch = training
    lengths = lengths[: GROUP * batch]
    whole = len(lengths) - len(lengths) % batch
    order = epoch_order(lengths, batch, seed, epoch)[:whole]
    batches = [sorted(lengths[i] for i in order[k : k + batch]) for k in range(0, whole, batch)]
    batches.sort(key=lambda sizes: (sizes[0], sizes[-1]))
    assert [size for sizes in batches for size in sizes] == sorted(lengths[i] for i in order)
