"""The only source of randomness: a seed for each piece of work, from what the piece is."""

from hashlib import blake2b


def seed_of(seed: int, kind: str, *index: int | str) -> int:
    """The seed of one piece of work, a non-negative integer below 2**63.

    `seed` is the top-level seed of params.yaml, `kind` the kind of draw ("instruction",
    "response", "examples", "sft", ...) and `index` the position of the piece (prompt, sample).
    It never depends on ranks, batches, order of work or names of runs, so runs share their
    random numbers and are comparable. A text and a number that print alike differ.
    """
    parts = [f"{type(part).__name__}:{part}" for part in (seed, kind, *index)]
    message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    return int.from_bytes(blake2b(message, digest_size=8).digest(), "big") >> 1
