"""What the stage `models` reads of a tokenizer's files by itself.

What would break: a base model is asked without the token that its texts begin with, or with one too
many; another model's tokenizer passes because its pieces are listed in another form.
"""

import json
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.models.tokenizer_facts import opening_token
from montessori.models.vocabulary import ModelIds, check_tokens, read_pieces
from tests.tiny_models import tiny_tokenizer

BEGIN = "<|user|>"


@pytest.mark.parametrize(
    ("settings", "begin"),
    [({}, ""), ({"add_bos_token": False}, ""), ({"add_bos_token": True}, BEGIN)],
)
def test_the_config_of_a_tokenizer_says_whether_a_text_is_opened(tmp_path: Path, settings, begin):
    tiny_tokenizer().save_pretrained(tmp_path)
    assert opening_token(tmp_path, settings, BEGIN) == begin
    assert opening_token(tmp_path, settings, None) == ""


def test_a_file_that_opens_texts_is_overruled_by_the_config(tmp_path: Path):
    from tokenizers.processors import TemplateProcessing

    made = tiny_tokenizer().backend_tokenizer
    number = made.token_to_id(BEGIN)
    made.post_processor = TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, number)])
    made.save(str(tmp_path / "tokenizer.json"))
    assert opening_token(tmp_path, {}, BEGIN) == BEGIN
    assert opening_token(tmp_path, {"add_bos_token": False}, BEGIN) == ""


def test_pieces_of_a_unigram_model_are_numbered_by_their_place(tmp_path: Path):
    tokenizer = {"model": {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -2.0]]}}
    assert read_pieces(json.loads(json.dumps(tokenizer))) == {"<unk>": 0, "a": 1, "b": 2}
    check_tokens(tokenizer, (), ModelIds(3, frozenset({1})), tmp_path)
    with pytest.raises(MontessoriError, match="the tokenizer has 3 tokens, the model embeds 2"):
        check_tokens(tokenizer, (), ModelIds(2, frozenset()), tmp_path)
