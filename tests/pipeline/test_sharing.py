"""A second clone takes everything from a remote and runs nothing.

What would break: whoever takes another's results has to compute them again.
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


def test_an_earlier_setting_comes_from_the_run_cache(fresh: Checkout):
    """The same command, deps and params as once before: outputs are taken, not made."""
    (fresh.root / "dvc.lock").unlink()
    assert fresh.repro() == []
