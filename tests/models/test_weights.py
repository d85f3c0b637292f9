"""Weights of a model folder and its LoRA adapters: loaded from safetensors only, saved whole.

What would break: a pickle is opened, a small update is lost in bf16 weights, a tuned model lacks a
file of its tokenizer, or training starts without the adapters that a student has.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from montessori.errors import MontessoriError
from montessori.models.adapters import (
    NO_ADAPTERS,
    AdapterParams,
    add_adapters,
    find_adapters,
    load_merged,
    load_student,
    merge_adapters,
    save_adapters,
)
from montessori.models.weights import (
    cast_parameters,
    enable_checkpointing,
    load_model,
    save_model,
)
from tests.zoo.models import build_model

ADAPTERS = AdapterParams(rank=2, alpha=4.0)
IDS = torch.arange(1, 12)[None]


@pytest.fixture
def copy(student: Path, tmp_path: Path) -> Path:
    """A model folder that a test may change."""
    return Path(shutil.copytree(student, tmp_path / "copy"))


def set_adapters(model: torch.nn.Module) -> torch.nn.Module:
    """The model with adapters that do something: fresh ones begin as zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(generator=generator)
    return model


# ---------------------------------------------------------------------------------- loading
def test_weights_are_fp32_whatever_the_folder_holds(copy):
    """At a rate of 1e-5 most updates of a bf16 weight would be rounded away."""
    model = load_model(copy)
    model.to(torch.bfloat16).save_pretrained(copy)
    assert json.loads((copy / "config.json").read_text())["dtype"] == "bfloat16"
    assert {value.dtype for value in load_model(copy).parameters()} == {torch.float32}
    assert {value.dtype for value in load_model(copy, torch.float64).parameters()} == {
        torch.float64
    }


def test_rotary_frequencies_stay_fp32_in_every_format(copy, tmp_path):
    """In bf16 they are off by 0.5 radians at token 300 of a Llama-3-8B, and by 1.8 at 1,023."""
    wanted = dict(load_model(copy).named_buffers())
    (tmp_path / "lora").mkdir()
    save_adapters(add_adapters(load_model(copy), ADAPTERS, seed=0), copy, tmp_path / "lora")
    for dtype in (torch.bfloat16, torch.float64):
        for model in (
            load_model(copy, dtype),
            load_student(copy, dtype),
            load_student(tmp_path / "lora", dtype),
            cast_parameters(load_model(copy), dtype),
        ):
            assert {value.dtype for value in model.parameters()} == {dtype}
            for name, buffer in model.named_buffers():
                assert torch.equal(buffer, wanted[name.removeprefix("base_model.model.")])
                assert buffer.dtype == torch.float32


def test_a_folder_without_safetensors_is_refused_although_it_has_a_pickle(copy):
    model = load_model(copy)
    (copy / "model.safetensors").unlink()
    torch.save(model.state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(MontessoriError, match="has no weights") as error:
        load_model(copy)
    assert error.value.expected == "model.safetensors"
    assert "dvc repro" in error.value.next


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "no-such-model"},
        {"model_type": "t5", "vocab_size": 9},
        {"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "evil.Model"}},
    ],
    ids=["unknown", "no language model", "code of its own"],
)
def test_what_transformers_cannot_load_by_itself_is_an_error(copy, config):
    """Code of a model folder is never run: with an `auto_map` the known architecture is taken."""
    whole = json.loads((copy / "config.json").read_text())
    (copy / "evil.py").write_text("raise SystemExit('ran')")
    if "auto_map" in config:
        (copy / "config.json").write_text(json.dumps(whole | config))
        assert type(load_model(copy)).__module__.startswith("transformers.")
        return
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(MontessoriError, match="cannot be (loaded|used)") as error:
        load_model(copy)
    assert error.value.where in (str(copy), str(copy / "config.json"))
    assert "config.json" in f"{error.value.where} {error.value.next}"


# ----------------------------------------------------------------------------------- saving
def test_a_saved_model_has_every_tokenizer_file_of_its_start_byte_by_byte(copy, tmp_path):
    for name in ("merges.txt", "vocab.json", "added_tokens.json", "sentencepiece.bpe.model"):
        (copy / name).write_bytes(name.encode())
    (copy / "optimizer.json").write_text("{}")  # not the tokenizer's
    out = tmp_path / "out"
    save_model(load_model(copy), copy, out)
    kept = {path.name for path in out.iterdir()}
    assert {"merges.txt", "vocab.json", "added_tokens.json", "sentencepiece.bpe.model"} <= kept
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} <= kept
    assert "optimizer.json" not in kept
    for name in kept - {"config.json", "generation_config.json", "model.safetensors"}:
        assert (out / name).read_bytes() == (copy / name).read_bytes()


def test_a_model_saved_unchanged_has_the_same_weights(student, tmp_path):
    save_model(load_model(student), student, tmp_path / "out")
    first, second = load_model(student).state_dict(), load_model(tmp_path / "out").state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


# -------------------------------------------------------------------------------- adapters
def test_without_a_rank_the_model_is_trained_itself(student):
    model = load_model(student)
    assert add_adapters(model, NO_ADAPTERS, seed=0) is model
    assert merge_adapters(model) is model
    assert all(value.requires_grad for value in model.parameters())


def test_fresh_adapters_are_trained_alone_and_change_nothing_yet(student):
    plain = load_model(student).eval()
    model = add_adapters(load_model(student), ADAPTERS, seed=0).eval()
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    assert not any("lm_head" in name for name in trained)
    with torch.no_grad():
        assert torch.allclose(model(IDS).logits, plain(IDS).logits, atol=1e-6)


def test_the_seed_alone_draws_an_adapters_first_weights(student):
    def first(seed: int) -> torch.Tensor:
        model = add_adapters(load_model(student), ADAPTERS, seed)
        return torch.cat([v.flatten() for n, v in model.named_parameters() if "lora_A" in n])

    torch.manual_seed(7)
    one = first(1)
    torch.manual_seed(8)
    assert torch.equal(one, first(1))
    assert not torch.equal(one, first(2))


def test_a_model_whose_layers_take_no_adapters_is_refused():
    model = build_model("mamba2")
    with pytest.raises(MontessoriError, match="takes no adapters") as error:
        add_adapters(model, ADAPTERS, seed=0)
    assert error.value.next.startswith("set adapter.rank: 0")
    assert add_adapters(model, NO_ADAPTERS, seed=0) is model


def test_a_router_that_is_a_linear_layer_by_name_alone_has_no_adapter():
    """PhiMoE's returns the experts of each token; peft would take it for a plain layer."""
    model = build_model("phimoe")
    plain = model(input_ids=IDS).logits
    adapted = add_adapters(model, ADAPTERS, seed=0).eval()
    assert torch.allclose(adapted(input_ids=IDS).logits, plain, atol=1e-5)
    trained = [name for name, value in adapted.named_parameters() if value.requires_grad]
    assert not [name for name in trained if "router" in name]
    assert [name for name in trained if "q_proj" in name]


def test_saved_adapters_stand_beside_the_models_own_weights(copy, tmp_path):
    model = set_adapters(add_adapters(load_model(copy), ADAPTERS, seed=0))
    out = tmp_path / "out"
    out.mkdir()
    save_adapters(model, copy, out)
    assert (out / "model.safetensors").read_bytes() == (copy / "model.safetensors").read_bytes()
    assert find_adapters(out) == out / "adapter"
    assert find_adapters(copy) is None
    ids = IDS
    with torch.no_grad():
        trained = model.eval()(ids).logits
        assert torch.allclose(load_student(out).eval()(ids).logits, trained, atol=1e-6)
        assert torch.allclose(load_merged(out).eval()(ids).logits, trained, atol=1e-5)
        assert not torch.allclose(load_model(out).eval()(ids).logits, trained, atol=1e-2)


def test_a_loaded_student_trains_its_adapters_alone(copy, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    save_adapters(add_adapters(load_model(copy), ADAPTERS, seed=0), copy, out)
    trained = [n for n, value in load_student(out).named_parameters() if value.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    assert all(value.requires_grad for value in load_student(copy).parameters())


def test_pickled_adapters_are_refused_by_every_way_to_load(copy):
    (copy / "adapter").mkdir()
    (copy / "adapter" / "adapter_model.bin").write_bytes(b"pickle")
    for load in (load_student, load_merged, find_adapters):
        with pytest.raises(MontessoriError, match="adapters have no safetensors") as error:
            load(copy)
        assert error.value.where == str(copy / "adapter")


# ------------------------------------------------------------------------------ checkpointing
def test_a_checkpointed_model_recomputes_and_has_the_same_gradients(student):
    """In evaluation, so without dropout: only the checkpointed layers are told that they train."""
    plain, saving = load_model(student).eval(), enable_checkpointing(load_model(student))
    assert saving.is_gradient_checkpointing
    assert not saving.training
    for model in (plain, saving):
        model(IDS, labels=IDS, use_cache=False).loss.backward()
    for (name, first), second in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.allclose(first.grad, second.grad, atol=1e-7), name
