"""A run's greedy answers to the open benchmarks, turn by turn, before anybody judges them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.evals.items import OPEN, Item, present_benchmarks, read_items
from montessori.evals.settings import BenchmarkParams

if TYPE_CHECKING:
    import polars as pl

    from montessori.generate import Engine
    from montessori.generate.transformers_engine import TransformersEngine
    from montessori.generate.vllm_engine import VllmEngine
    from montessori.pipeline.machine import Machine

Message = dict[str, str]


def write_answers(
    model: Path, evals: Path, out: Path, bench: BenchmarkParams, machine: "Machine"
) -> None:
    """Answer all items of the open benchmarks with the model folder `model`, into `out`.

    Writes answers.parquet (schema ANSWERS, in the order of the items). Raises MontessoriError when
    items are missing or the folder holds no usable model.
    """
    from montessori.artifacts.files import new_folder, write_table
    from montessori.artifacts.schemas import ANSWERS
    from montessori.models.chat import template_hash

    names = present_benchmarks(evals, bench.split, OPEN)
    asked = {name: read_items(evals, bench.split, name) for name in names}
    counts = {name: len(items) for name, items in asked.items()}
    facts: dict[str, Any] = {"split": bench.split, "items": counts}
    inputs = {"model": model, "evals": Path(evals) / bench.split}
    with new_folder(out, inputs, facts) as folder:
        engine = _open_engine(model, bench, machine)
        facts["template"] = template_hash(engine.tokenizer)
        table = answer_items(engine, asked, bench.max_new_tokens)
        write_table(table, folder / "answers.parquet", ANSWERS)


def _open_engine(
    model: Path, bench: BenchmarkParams, machine: "Machine"
) -> "TransformersEngine | VllmEngine":
    if bench.engine == "vllm":
        from montessori.generate.vllm_engine import VllmEngine

        return VllmEngine.open(model, machine, "benchmark.engine")
    from montessori.generate.transformers_engine import TransformersEngine

    return TransformersEngine.open(model, machine)


def answer_items(
    engine: "Engine", asked: Mapping[str, Sequence[Item]], max_new_tokens: int
) -> "pl.DataFrame":
    """Greedy answers (schema ANSWERS) to items by benchmark.

    Items of all benchmarks are answered together, one turn after the other; in a later turn the
    model sees its own earlier answers, also those that were cut off.
    """
    import polars as pl

    from montessori.artifacts.schemas import ANSWERS

    items = [(name, item) for name, listed in asked.items() for item in listed]
    specials = engine.special_texts
    dialogues: list[list[Message]] = [[] for _ in items]
    rows: list[list[dict]] = [[] for _ in items]
    for turn in range(max((len(item.turns) for _, item in items), default=0)):
        at = [place for place, (_, item) in enumerate(items) if turn < len(item.turns)]
        for place in at:
            dialogues[place].append({"role": "user", "content": items[place][1].turns[turn]})
        written = _generate_turn(engine, [dialogues[place] for place in at], max_new_tokens, turn)
        for place, (text, tokens, finished) in zip(at, written, strict=True):
            name, item = items[place]
            dialogues[place].append(
                {"role": "assistant", "content": remove_specials(text, specials)}
            )
            rows[place].append({
                "item_id": item.item_id, "benchmark": name, "turn": turn + 1,
                "prompt": item.turns[turn], "answer": text, "tokens": tokens, "finished": finished,
            })  # fmt: skip
    return pl.DataFrame([row for of_item in rows for row in of_item], schema=ANSWERS)


def _generate_turn(
    engine: "Engine", dialogues: list[list[Message]], max_new_tokens: int, turn: int
) -> list[tuple[str, int, bool]]:
    """Text, tokens and whether it is finished, for each dialogue's next assistant turn."""
    from montessori.generate import Request, Sampling
    from montessori.progress import track_progress

    requests = [Request(prompt) for prompt in engine.render_prompts(dialogues)]
    with track_progress(len(requests), "answers", f"turn {turn + 1}") as progress:
        written = engine.generate(requests, Sampling(max_new_tokens), progress.advance)
    return [(one.text, one.tokens, one.finished) for one in written]


def remove_specials(text: str, specials: Sequence[str]) -> str:
    """The text without the texts of special tokens, which would open or end turns in a dialogue."""
    for special in specials:
        text = text.replace(special, "")
    return text
