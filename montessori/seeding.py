"""The only source of randomness: a seed for each piece of work, made from what the piece is."""

from hashlib import blake2b


def seed_of(seed: int, kind: str, *index: int | str) -> int:
    """The seed of one piece of work, a non-negative integer below 2**63.

    `seed` is the top-level seed of params.yaml, `kind` the kind of draw ("instruction",
    "response", "examples", "sft", ...) and `index` the position of the piece (prompt, sample).
    The seed never depends on ranks, batches, the order of work or names of runs, so runs share
    their random numbers and can be compared.
    """
    message = b""
    for part in (seed, kind, *index):
        # with its type, so that 1 and "1" differ, and its length, so that ("ab", "c") and
        # ("a", "bc") differ
        text = f"{type(part).__name__}:{part}".encode()
        message += len(text).to_bytes(8, "big") + text
    return int.from_bytes(blake2b(message, digest_size=8).digest(), "big") >> 1  # below 2**63
