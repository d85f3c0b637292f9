"""A run's greedy answers to the open benchmarks, turn by turn, before a judge sees them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.files import make_table, new_folder, write_table
from montessori.artifacts.schemas import ANSWERS
from montessori.evals.items import OPEN, Item, present_benchmarks, read_items
from montessori.evals.settings import BenchmarkParams
from montessori.generate import Engine, Generated, Request, Sampling
from montessori.models.chat import template_hash
from montessori.pipeline.machine import Machine
from montessori.progress import track_progress

if TYPE_CHECKING:
    from montessori.generate.transformers_engine import TransformersEngine
    from montessori.generate.vllm_engine import VllmEngine


LOG = logging.getLogger(__name__)
#: Fact of the manifest: answers that came behind a thought, if there are any.
THINKING = "thinking"


@dataclass
class Conversation:
    """A dialogue about one item, and a row (schema ANSWERS) for each of its answered turns."""

    benchmark: str
    item: Item
    messages: list[dict[str, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    thoughts: int = 0

    def ask_turn(self, turn: int) -> None:
        """Put the question of a turn (from 0) to the model."""
        self.messages.append({"role": "user", "content": self.item.turns[turn]})

    def add_answer(self, turn: int, answer: Generated, specials: Sequence[str]) -> None:
        """Keep the model's answer to a turn; the next turn shows it without special tokens."""
        content = remove_specials(answer.text, specials)
        self.thoughts += bool(answer.thought)
        self.messages.append({"role": "assistant", "content": content})
        self.rows.append(
            {
                "item_id": self.item.item_id,
                "benchmark": self.benchmark,
                "turn": turn + 1,
                "prompt": self.item.turns[turn],
                "answer": answer.text,
                # A server counts the end of a turn; tokens without a text stand for a thought.
                "tokens": 0 if _is_empty(answer) else answer.tokens,
                "finished": answer.finished,
            }
        )


def _is_empty(answer: Generated) -> bool:
    """Whether the model ended its turn at once, without a text and without a thought."""
    return answer.finished and not answer.text and not answer.thought


def write_answers(
    model: Path, evals: Path, out: Path, bench: BenchmarkParams, machine: Machine
) -> None:
    """Answer all items of the open benchmarks with the model folder `model`, into `out`.

    Writes answers.parquet (schema ANSWERS, in the order of the items). Raises MontessoriError when
    items are missing or the folder holds no usable model.
    """
    items = {}
    for name in present_benchmarks(evals, bench.split, OPEN):
        items[name] = read_items(evals, bench.split, name)
    counts = {name: len(listed) for name, listed in items.items()}
    facts: dict[str, Any] = {"split": bench.split, "items": counts}
    inputs = {"model": model, "evals": Path(evals) / bench.split}
    with new_folder(out, inputs, facts) as folder:
        engine = _open_engine(model, bench, machine)
        facts["template"] = template_hash(engine.tokenizer)
        conversations = hold_conversations(engine, items, bench.max_new_tokens)
        if thoughts := sum(each.thoughts for each in conversations):
            facts[THINKING] = thoughts
        table = answer_table(conversations)
        _warn_of_thoughts(table)
        write_table(table, folder / "answers.parquet", ANSWERS)


def _open_engine(
    model: Path, bench: BenchmarkParams, machine: Machine
) -> "TransformersEngine | VllmEngine":
    # Each engine imports a library that takes seconds, and only one of them need be installed.
    if bench.engine == "vllm":
        from montessori.generate.vllm_engine import VllmEngine

        return VllmEngine.open(model, machine, "benchmark.engine")
    from montessori.generate.transformers_engine import TransformersEngine

    return TransformersEngine.open(model, machine)


def answer_items(
    engine: Engine, items: Mapping[str, Sequence[Item]], max_new_tokens: int
) -> pl.DataFrame:
    """Greedy answers (schema ANSWERS) to items by benchmark."""
    return answer_table(hold_conversations(engine, items, max_new_tokens))


def hold_conversations(
    engine: Engine, items: Mapping[str, Sequence[Item]], max_new_tokens: int
) -> list[Conversation]:
    """The dialogues about items by benchmark, with the model's greedy answers.

    Items of all benchmarks are answered in one batch per turn. In a later turn the model sees its
    own earlier answers, even those that were cut off.
    """
    # All benchmarks together, because engines are faster on large batches.
    conversations = []
    for name, listed in items.items():
        conversations += [Conversation(name, item) for item in listed]
    specials = engine.special_texts
    turns = max((len(each.item.turns) for each in conversations), default=0)
    for turn in range(turns):
        continued = [each for each in conversations if turn < len(each.item.turns)]
        for conversation in continued:
            conversation.ask_turn(turn)
        answers = _generate_turn(engine, continued, max_new_tokens, turn)
        for conversation, answer in zip(continued, answers, strict=True):
            conversation.add_answer(turn, answer, specials)
    return conversations


def answer_table(conversations: Sequence[Conversation]) -> pl.DataFrame:
    """The answers (schema ANSWERS) of dialogues, in their order."""
    rows = []
    for conversation in conversations:
        rows += conversation.rows
    return make_table(rows, ANSWERS)


def _warn_of_thoughts(table: pl.DataFrame) -> None:
    alone = table.filter((pl.col("answer") == "") & (pl.col("tokens") > 0)).height
    if alone:
        LOG.warning(
            "%d of %d answers are thinking only: raise benchmark.max_new_tokens, or switch "
            "thinking off (model.template_options in params.yaml)",
            alone,
            table.height,
        )


def _generate_turn(
    engine: Engine, conversations: Sequence[Conversation], max_new_tokens: int, turn: int
) -> list[Generated]:
    """The model's next message in each conversation."""
    prompts = engine.render_prompts([each.messages for each in conversations])
    requests = [Request(prompt) for prompt in prompts]
    with track_progress(len(requests), "answers", f"turn {turn + 1}") as progress:
        return engine.generate(requests, Sampling(max_new_tokens), progress.advance)


def remove_specials(text: str, specials: Sequence[str]) -> str:
    """Remove the texts of special tokens, which would open or end turns in a dialogue."""
    for special in specials:
        text = text.replace(special, "")
    return text
