"""A second clone takes everything from a remote and runs nothing, or only what it changed.

What would break: whoever takes another's results has to compute them again, or trains on older
files of its own without a word.
"""

from pathlib import Path

import pytest

from tests.pipeline.checkout import Checkout

pytestmark = pytest.mark.xdist_group("pipeline")  # one process makes the checkout


def test_a_second_clone_with_a_remote_reruns_nothing(fresh: Checkout, second_place: Path):
    remote = second_place.parent / "remote"
    fresh.run("dvc", "remote", "add", "--local", "--force", "--default", "shared", str(remote))
    fresh.run("dvc", "push", "--run-cache")
    second_place.parent.mkdir(parents=True, exist_ok=True)
    fresh.run("git", "clone", "--quiet", str(fresh.root), str(second_place))
    second = Checkout(second_place)
    second.run("dvc", "remote", "add", "--local", "--default", "shared", str(remote))
    second.run("git", "pull")
    second.run("dvc", "checkout", "--allow-missing")
    assert second.repro("--pull", "--allow-missing") == []
    second.run("dvc", "pull", "compare", "outputs")
    assert (second_place / "report" / "index.html").is_file()
    assert (second_place / "report" / "outputs" / "self-instruct.html").is_file()
    assert not list(second_place.glob("data/warmup/*/moments.safetensors"))  # not pushed
    assert second.run("git", "status", "--porcelain") == ""


def test_old_files_are_not_trained_on_after_anothers_lock(fresh: Checkout, second_place: Path):
    """DVC takes the second clone's older pairs for pairs that are only missing, and keeps them."""
    remote = second_place.parent / "remote"
    fresh.run("dvc", "remote", "add", "--local", "--force", "--default", "shared", str(remote))
    fresh.run("dvc", "push")
    second_place.parent.mkdir(parents=True, exist_ok=True)
    fresh.run("git", "clone", "--quiet", str(fresh.root), str(second_place))
    second = Checkout(second_place)
    second.run("dvc", "remote", "add", "--local", "--default", "shared", str(remote))
    second.run("dvc", "pull", "prefs@montessori-1")
    before = fresh.run("git", "rev-parse", "HEAD").strip()
    try:
        fresh.change({"prefs": {"min_pairs": 1, "max_per_prompt": 1}})
        fresh.repro("prefs@montessori-1")
        fresh.run("dvc", "push", "prefs@montessori-1")
        fresh.commit("fewer pairs")
        second.run("git", "pull", "--quiet")
        second.change({"teacher_dpo": {"beta": 0.2}})
        wanted = ["dvc", "repro", "--pull", "--allow-missing", "teacher-dpo@montessori-1"]
        with pytest.raises(AssertionError, match="prefs/montessori-1 is not what prefs@"):
            second.run(*wanted)
        second.run("dvc", "checkout", "--force", "--allow-missing", "data/prefs/montessori-1")
        second.run(*wanted)
        pairs = "data/prefs/montessori-1/pairs.parquet"
        assert (second_place / pairs).read_bytes() == (fresh.root / pairs).read_bytes()
    finally:
        fresh.run("git", "reset", "--quiet", "--hard", before)


def test_an_earlier_setting_comes_from_the_run_cache(fresh: Checkout):
    """The same command, deps and params as once before: outputs are taken, not made."""
    (fresh.root / "dvc.lock").unlink()
    assert fresh.repro() == []
