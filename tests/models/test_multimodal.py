"""Models that read images too: named, and their text model taken alone by the command that is told.

What would break: a checkpoint of images and text is refused with a name of a Python class and no
way out, or the way out does not work.
"""

import shutil
from pathlib import Path

import pytest
import torch

from montessori.errors import MontessoriError
from montessori.models.weight_check import check_weights
from montessori.models.weights import load_model
from tests.zoo.models import save_architecture

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}


def save_llava(student: Path, folder: Path, text: str) -> Path:
    """A tiny LLaVA with the student's tokenizer, around a text model of the kind `text`."""
    from transformers import AutoModelForImageTextToText, LlavaConfig

    shutil.copytree(student, folder)
    (folder / "model.safetensors").unlink()
    config = LlavaConfig(
        text_config={"model_type": text, "tie_word_embeddings": False, "vocab_size": 64}
        | SIZES
        | HEADS,
        vision_config={"model_type": "clip_vision_model", "image_size": 8, "patch_size": 4}
        | SIZES
        | {"num_attention_heads": 2},
        image_token_index=63,
    )
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    return folder


def test_the_text_model_is_taken_alone_by_the_command_that_is_told(student: Path, tmp_path: Path):
    folder = save_llava(student, tmp_path / "llava", "llama")
    with pytest.raises(MontessoriError, match=r"more than text \(LlavaConfig\)") as error:
        check_weights(folder)
    code = error.value.next.partition('python -c "')[2].partition('"')[0]
    exec(code, {})
    alone = tmp_path / "llava-text"
    check_weights(alone)
    from transformers import AutoModelForImageTextToText

    whole = AutoModelForImageTextToText.from_pretrained(folder).eval()
    ids = torch.arange(1, 12)[None]
    with torch.no_grad():
        assert torch.equal(load_model(alone)(ids).logits, whole(input_ids=ids).logits)


def test_without_a_text_class_another_model_is_asked_for(student: Path, tmp_path: Path):
    folder = save_llava(student, tmp_path / "llava", "qwen2_vl_text")
    with pytest.raises(MontessoriError, match="more than text") as error:
        check_weights(folder)
    assert "python" not in error.value.next


def test_a_model_that_can_be_used_whole_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = save_architecture("gemma3_image", tmp_path / "gemma3")
    check_weights(path)
    assert "takes more than text" in caplog.text
    assert "its text model alone: python" in caplog.text
