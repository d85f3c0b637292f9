"""Tokenizers of the lab's base models: byte-level BPE, every digit a token of its own."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CHAT_TOKENS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>")
#: Tags that are written often; one token each. Decoding keeps them.
TAGS = (
    "<instruction>",
    "</instruction>",
    "<follow-up>",
    "</follow-up>",
    "<input>",
    "</input>",
    "<target>",
    "</target>",
    "<ans>",
    "</ans>",
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, tags: bool, chat_template: str, max_length: int
) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE of `vocab_size` entries from `texts`; `<|end|>` ends a text or turn.

    `tags` adds the tags of the teacher's formats as single tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    # A word is the same token wherever it stands, also first in a turn.
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=True)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([byte_level, digits])
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        # The tags are added after the training and count as entries too.
        vocab_size=vocab_size - (len(TAGS) if tags else 0),
        special_tokens=list(CHAT_TOKENS),
        # All 256 bytes, so that any text can be encoded, whatever the training texts hold.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tags:
        tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=CHAT_TOKENS[0],
        eos_token=CHAT_TOKENS[1],
        model_max_length=max_length,
        padding_side="left",
    )
    fast.chat_template = chat_template
    return fast


def read_template(path: Path) -> str:
    """The chat template of the lab's models."""
    return path.read_text(encoding="utf-8").rstrip("\n")
