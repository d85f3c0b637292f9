"""What the vLLM engine loads, with a real vLLM: adapters, one engine after another, bad folders.

What would break: vLLM writes without the adapters that a student was trained with, or one stage's
engine ends the next one's.
"""

import gc

import pytest

from montessori.errors import MontessoriError
from tests.generate.test_vllm_engine import GREEDY, MACHINE, TEACHER, requests_of, rows, same

pytest.importorskip("vllm", reason="vLLM is not installed for this machine")
pytestmark = pytest.mark.xdist_group("vllm")


def test_an_engine_that_is_collected_late_leaves_the_next_one_alone():
    from vllm import LLM  # noqa: F401 - the frame that imports it holds what it sees for good

    from montessori.generate.vllm_engine import VllmEngine

    first = VllmEngine.open(TEACHER, MACHINE)
    requests = requests_of(first, 4)
    expected = rows(first.generate(requests, GREEDY))
    first.cycle = first  # so that it goes when the collector runs, not before
    del first
    second = VllmEngine.open(TEACHER, MACHINE)
    gc.unfreeze()  # vLLM freezes what there is when it is loaded
    gc.collect()
    assert rows(second.generate(requests, GREEDY)) == expected


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """The teacher with adapters that change what it writes, and the same model merged."""
    import torch
    from peft import LoraConfig, get_peft_model

    from montessori.models.adapters import merge_adapters, save_adapters
    from montessori.models.weights import load_model, save_model

    folder = tmp_path_factory.mktemp("adapters")
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    torch.manual_seed(0)
    model = get_peft_model(load_model(TEACHER), config)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.05)
    (folder / "lora").mkdir()
    save_adapters(model, TEACHER, folder / "lora")
    save_model(merge_adapters(model), TEACHER, folder / "merged")
    return folder


def test_adapters_write_what_the_merged_model_writes(adapted):
    from montessori.generate.transformers_engine import TransformersEngine
    from montessori.generate.vllm_engine import VllmEngine

    plain = TransformersEngine.open(TEACHER, MACHINE)
    requests = requests_of(plain, 32)
    expected = TransformersEngine.open(adapted / "merged", MACHINE).generate(requests, GREEDY)
    assert same(expected, plain.generate(requests, GREEDY)) < 0.8
    for cls in (TransformersEngine, VllmEngine):
        engine = cls.open(adapted / "lora", MACHINE)
        assert same(engine.generate(requests, GREEDY), expected) >= 0.95


def test_pickled_adapters_are_refused(adapted, tmp_path):
    import shutil

    from montessori.generate.vllm_engine import VllmEngine

    shutil.copytree(adapted / "lora", tmp_path / "m")
    weights = tmp_path / "m" / "adapter" / "adapter_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(MontessoriError, match="adapters have no safetensors"):
        VllmEngine.open(tmp_path / "m", MACHINE)


def test_a_folder_without_weights_is_refused(tmp_path):
    from montessori.generate.vllm_engine import VllmEngine
    from tests.tiny_models import tiny_llama

    folder = tiny_llama(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(MontessoriError, match="vLLM cannot load the model"):
        VllmEngine.open(folder, MACHINE)
