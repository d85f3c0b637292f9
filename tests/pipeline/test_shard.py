"""`montessori shard`: which parts are whose, and what is refused.

What would break: two processes score the same parts and others are never scored.
"""

from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.pipeline.parts import Shard
from montessori.pipeline.shard import run_shard

ROOT = Path(__file__).resolve().parents[2]


def test_every_part_is_one_shards():
    shards = [Shard.parse(f"{i}/3") for i in (1, 2, 3)]
    owners = [[shard.owns_part(part) for shard in shards] for part in range(7)]
    assert all(sum(owner) == 1 for owner in owners)
    assert Shard.parse("1/1").owns_part(5)


@pytest.mark.parametrize(
    "text", ["0/2", "3/2", "2", "a/b", "1/", "-1/2", "1/2/3", "1/" + "9" * 5000]
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(MontessoriError, match="is not a shard") as error:
        run_shard(ROOT, "influence@montessori-1", text)
    assert "1/n" in error.value.next


def test_a_stage_that_is_not_there_is_named():
    with pytest.raises(MontessoriError, match="no single stage is called 'influence@nobody'"):
        run_shard(ROOT, "influence@nobody", "1/2")


def test_a_stage_without_shared_parts_is_named():
    with pytest.raises(MontessoriError, match="prefs@montessori-1 has no parts"):
        run_shard(ROOT, "prefs@montessori-1", "1/2")
