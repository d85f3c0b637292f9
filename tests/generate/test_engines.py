"""Which engine is opened, and what is said when it cannot be.

What would break: another engine than the one in params.yaml writes the data, or its manifest names
the wrong one.
"""

import builtins

import pytest

from montessori.errors import MontessoriError
from montessori.generate.engines import open_engine, teacher_facts
from montessori.generate.settings import GenerationParams
from montessori.graph.load import require_section
from montessori.pipeline.machine import Machine
from tests.tiny_models import tiny_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model") / "llama")


def opened(folder, name, tmp_path):
    return open_engine(
        folder, GenerationParams(name), Machine(device="cpu"), {}.get, tmp_path / "x"
    )


def test_an_unknown_engine_is_said_with_the_known_ones():
    with pytest.raises(MontessoriError, match="one of transformers, vllm, openai"):
        require_section({"generation": {"engine": "llama.cpp"}}, "generation", GenerationParams)


def test_transformers_is_opened(folder, tmp_path):
    from montessori.generate.transformers_engine import TransformersEngine

    assert isinstance(opened(folder, "transformers", tmp_path), TransformersEngine)
    assert set(teacher_facts(folder, GenerationParams("transformers"))) == {
        "template_hash",
        "tokenizer_hash",
    }


def test_without_vllm_it_says_what_to_install(folder, tmp_path, monkeypatch):
    real = builtins.__import__

    def importing(name, *args, **kwargs):
        if name.split(".")[0] == "vllm":
            raise ImportError("No module named 'vllm'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(MontessoriError, match="vLLM cannot be imported") as error:
        opened(folder, "vllm", tmp_path)
    assert "MONTESSORI_ACCELERATOR" in str(error.value)


def test_the_manifest_names_another_engine(folder):
    assert teacher_facts(folder, GenerationParams("openai"))["engine"] == "openai"
    assert teacher_facts(folder, GenerationParams("vllm"))["engine"].startswith("vllm ")
