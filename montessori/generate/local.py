"""What engines with a model folder have in common: the tokenizer, the ends of a turn, the room."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.generate.engine import UNBOUNDED, Message
from montessori.models import chat
from montessori.models.thinking import Parted, find_opened, part_thought

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

#: Where configs have their context; most older names are mapped to the first by transformers.
CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len")
#: Tokens at the end of a prompt that may open a thought.
PROMPT_END = 16


class LocalModel:
    """Dialogues to token ids and back, the same for every engine that runs a model folder."""

    limit: int = UNBOUNDED

    def __init__(self, folder: Path) -> None:
        self.tokenizer: PreTrainedTokenizerFast = chat.load_tokenizer(folder)
        self.thoughts = chat.thought_style(self.tokenizer)
        self._opened: dict[tuple[int, ...], str] = {}  # what ends of prompts open

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        """Texts of the tokenizer's special tokens."""
        return chat.special_texts(self.tokenizer)

    def render_prompts(self, dialogues: Sequence[Sequence[Message]]) -> list[list[int]]:
        """Token ids of dialogues, by the model's chat template, ready for the assistant's turn."""
        return chat.render_prompts(self.tokenizer, dialogues)

    def decode_texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of token ids, special tokens as they are written."""
        if not rows:
            return []
        return self.tokenizer.batch_decode(
            rows, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    def part_thought(self, text: str, tokens: int, prompt: Sequence[int]) -> Parted:
        """A sample of `tokens` tokens without the thought that it begins with.

        `prompt` are the ids before it: some templates begin the thought there.
        """
        end = tuple(prompt[-PROMPT_END:])
        if end not in self._opened:
            self._opened[end] = find_opened(self.decode_texts([end])[0], self.thoughts)
        return part_thought(
            Parted(text, tokens), self.thoughts, self._opened[end], self._count_tokens
        )

    def _count_tokens(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def find_end_ids(self, eos: Any) -> frozenset[int]:
        """Ids at which a turn ends: of the tokenizer, and `eos` of the generation config."""
        listed = eos if isinstance(eos, list) else [eos]
        return frozenset({*chat.end_of_turn_ids(self.tokenizer), *listed} - {None})


def read_end_ids(folder: Path) -> list[int]:
    """Ids at which the model in `folder` ends a turn, sorted, read without the weights."""
    return sorted(LocalModel(folder).find_end_ids(folder_facts(folder)[0]))


def folder_facts(folder: Path) -> tuple[Any, int]:
    """End ids of the generation config, and the tokens of the context, read without the weights."""
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if (Path(folder) / "generation_config.json").is_file():
        eos = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    else:
        eos = config.eos_token_id
    return eos, context_length(config)


def context_length(config: "PreTrainedConfig") -> int:
    """Tokens that a model reads at most, by its config; UNBOUNDED where it names none.

    Of a model that reads more than text it is in the config of the part that reads text.
    """
    text = config.get_text_config(decoder=True)
    found = (getattr(text, name, None) for name in CONTEXT_NAMES)
    return next((length for length in found if length), UNBOUNDED)
