"""How models are loaded and saved, whatever their architecture and their authors' settings.

What would break: training under dropout is another artifact each time; a cap on attention is left
out; a model or its adapters are trained for hours and cannot be saved or loaded again.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from montessori.errors import MontessoriError
from montessori.models.adapters import (
    AdapterParams,
    add_adapters,
    load_merged,
    load_student,
    save_adapters,
)
from montessori.models.links import link_files
from montessori.models.load_settings import remove_noise, settle_model
from montessori.models.weights import cast_parameters, load_model, save_model

WEIGHTS, CONFIG = "model.safetensors", "config.json"


@pytest.fixture
def folder(student: Path, tmp_path: Path) -> Path:
    """A tiny Llama that a test may change."""
    return Path(shutil.copytree(student, tmp_path / "folder"))


# ---------------------------------------------------------------------------------- settings
def save_random(kind: str, folder: Path, **settings: Any) -> Path:
    import transformers

    config = getattr(transformers, f"{kind}Config")(vocab_size=64, **settings)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_training_is_without_dropout_also_where_a_layer_applies_it_by_itself(tmp_path: Path):
    """OPT calls dropout as a function, so that no module tells of it."""
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32}
    opt = save_random(
        "OPT",
        tmp_path / "opt",
        hidden_size=16,
        ffn_dim=16,
        word_embed_proj_dim=16,
        dropout=0.5,
        layerdrop=0.5,
        **sizes,
    )
    gpt2 = save_random(
        "GPT2", tmp_path / "gpt2", n_embd=16, n_layer=2, n_head=2, n_positions=32, attn_pdrop=0.5
    )
    ids = torch.arange(1, 12)[None]
    for path in (opt, gpt2):
        model = load_model(path).train()
        with torch.no_grad():
            assert torch.equal(model(ids).logits, model.eval()(ids).logits)


def test_noise_is_found_in_every_part_of_a_config_and_in_modules_that_ask_none():
    from transformers import Gemma3Config, MixtralConfig

    config = Gemma3Config(text_config={"attention_dropout": 0.1})
    remove_noise(config)
    assert config.text_config.attention_dropout == 0
    router = MixtralConfig(router_jitter_noise=0.1)
    remove_noise(router)
    assert router.router_jitter_noise == 0
    model = torch.nn.Sequential(torch.nn.Dropout(0.5))
    settle_model(model, torch.float32)
    assert torch.equal(model.train()(torch.ones(50)), torch.ones(50))


def test_large_weights_in_16_bits_are_finite(folder: Path):
    """The sum of a tensor may be beyond what its own format can hold."""
    tensors = load_file(folder / WEIGHTS)
    name = "model.layers.0.mlp.down_proj.weight"
    tensors[name] = torch.full_like(tensors[name], 1000.0)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    assert load_model(folder, torch.float16).dtype == torch.float16


def test_capped_attention_scores_are_computed_by_what_applies_the_cap(tmp_path: Path):
    """sdpa, which transformers would choose, leaves the cap of Gemma-2 out without a word."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    capped = save_random("Gemma2", tmp_path / "capped", **sizes, **heads)
    for wanted in (None, "sdpa"):
        assert load_model(capped, attention=wanted).config._attn_implementation == "eager"


def test_experts_work_in_fp64(tmp_path: Path):
    """Their fused kernel takes fp32 and 16 bits only; the exact check of influence is in fp64."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 4}
    folder = save_random("Mixtral", tmp_path / "mixtral", **sizes, **heads)
    ids = torch.arange(1, 12)[None]
    first = load_model(folder, torch.float64)(ids).logits
    assert first.dtype == torch.float64
    assert torch.equal(cast_parameters(load_model(folder), torch.float64)(ids).logits, first)


@pytest.mark.parametrize("place", ["generation_config.json", CONFIG])
def test_a_model_with_sampling_settings_of_its_own_can_be_saved(
    folder: Path, tmp_path: Path, place: str
):
    """Llama-2's have temperature and top_p without do_sample: saving would fail after training."""
    settings = json.loads((folder / place).read_text()) | {"temperature": 0.6, "top_p": 0.9}
    (folder / place).write_text(json.dumps(settings))
    before = json.loads((folder / "generation_config.json").read_text())
    (tmp_path / "out").mkdir()
    save_model(load_model(folder), folder, tmp_path / "out")
    after = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert after["eos_token_id"] == before["eos_token_id"]
    assert load_model(tmp_path / "out").generation_config.temperature is None


# -------------------------------------------------------------------------------- adapters, links
def test_adapters_of_a_sharded_student_are_saved_with_the_whole_student(
    folder: Path, tmp_path: Path
):
    """All models of 7B parameters and more are in shards; without the index none is found."""
    sharded, out = tmp_path / "sharded", tmp_path / "out"
    load_model(folder).save_pretrained(sharded, max_shard_size="20KB")
    out.mkdir()
    model = add_adapters(load_model(sharded), AdapterParams(rank=2, alpha=4.0), seed=0)
    save_adapters(model, sharded, out)
    ids = torch.arange(1, 12)[None]
    with torch.no_grad():
        wanted = model.eval()(ids).logits
        assert torch.allclose(load_student(out).eval()(ids).logits, wanted, atol=1e-6)
        assert torch.allclose(load_merged(out).eval()(ids).logits, wanted, atol=1e-5)


def test_adapters_of_another_model_are_refused(folder: Path, tmp_path: Path):
    """peft would leave those that are missing as they begin, and go on."""
    out = tmp_path / "out"
    out.mkdir()
    save_adapters(
        add_adapters(load_model(folder), AdapterParams(rank=2, alpha=4.0), 0), folder, out
    )
    path = out / "adapter" / "adapter_model.safetensors"
    whole = load_file(path)
    name = next(iter(whole))
    cases = {
        "adapters are missing": {key: value for key, value in whole.items() if key != name},
        "the adapters cannot be loaded": whole | {name: torch.zeros(2, 3)},
    }
    for problem, tensors in cases.items():
        save_file(tensors, path)
        for load in (load_student, load_merged):
            with pytest.raises(MontessoriError, match=problem):
                load(out)
    path.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(MontessoriError, match="Git LFS pointer"):
        load_student(out)


def test_weights_are_linked_where_the_file_system_can(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from dvc_objects.fs import system

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    def link(name: str) -> Path:
        (tmp_path / name).mkdir()
        link_files([folder / WEIGHTS], tmp_path / name)
        return tmp_path / name / WEIGHTS

    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(system, "reflink", fill)
    with pytest.raises(OSError, match="No space left"):  # a copy would not fit either
        link("full")
    monkeypatch.setattr(system, "reflink", refuse)
    hard = link("hard")
    assert hard.samefile(folder / WEIGHTS)
    monkeypatch.setattr(system, "hardlink", refuse)
    copy = link("copy")
    assert not copy.samefile(folder / WEIGHTS)
    assert copy.read_bytes() == (folder / WEIGHTS).read_bytes()
