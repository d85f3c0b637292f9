"""Eval items from a folder of public benchmarks: as published, as hub copies, or one's own.

The folder has the layout of `harness.data` (docs/how-to/benchmarks.md), so one folder serves both:
here its items are kept out of all training data, and those of AlpacaEval and MT-Bench are answered
and judged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from montessori.artifacts.json_lines import read_json_lines
from montessori.errors import MontessoriError
from montessori.sources.alpaca_tables import read_difficulty, read_gamed_table
from montessori.sources.benchmark_cells import CellFault, placed, read_object, read_text, read_texts
from montessori.sources.local_data import LocalData
from montessori.sources.published_files import PUBLISHED
from montessori.sources.rows.read import read_rows
from montessori.sources.rows.settings import ReadingParams

Item = dict[str, Any]
SPLIT = "test"  # public items are never used to choose settings
REFERENCES = "reference_answer/gpt-4.jsonl"  # of MT-Bench
#: Endings of files of items of one's own; other files of a folder are not looked at.
OWN_ITEMS = (".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")
#: Where AlpacaEval's prompts with the outputs of its reference model may lie.
ALPACA = (
    "alpaca_eval/alpaca_eval_gpt4_baseline.json",
    "tatsu-lab/alpaca_eval/alpaca_eval_gpt4_baseline.json",
    "alpaca_eval/results/gpt4_1106_preview/model_outputs.json",
)
#: Where its table of gamed answers may lie, for length control.
GAMED_ANSWERS = ("alpaca_eval/df_gamed.csv", "tatsu-lab/alpaca_eval/df_gamed.csv")
#: Where the difficulty of its instructions may lie, for the same.
DIFFICULTY = (
    *GAMED_ANSWERS,
    "alpaca_eval/instruction_difficulty.csv",
    "alpaca_eval/derived/instruction_difficulty_recovered.csv",
)


@dataclass(frozen=True)
class Questions:
    """A benchmark of questions: its data set and how a row of it is asked.

    `folder` and `pattern` find its published files; the part that `*` stands for is the
    configuration. `splits` are those of the hub that are scored, the first that is there.
    """

    data_set: str
    question: Callable[[Mapping[str, Any]], str]
    pattern: str
    splits: tuple[str, ...] = (SPLIT,)
    config: str = ""  # the only one that counts, of several


def letter_choices(question: str, choices: Sequence[str]) -> str:
    """A question with its choices below it as A, B, C and so on, as lm-eval asks MMLU's."""
    listed = (f"{chr(ord('A') + place)}. {choice}" for place, choice in enumerate(choices))
    return "\n".join([question.strip(), *listed])


#: The public benchmarks that lm-eval scores, by the names of their items' files.
QUESTIONS: Mapping[str, Questions] = {
    "mmlu": Questions(
        "cais/mmlu",
        lambda row: letter_choices(read_text(row, "question"), read_texts(row, "choices")),
        "mmlu/test/*_test.csv",
        config="all",
    ),
    "gsm8k": Questions(
        "openai/gsm8k", lambda row: read_text(row, "question"), "gsm8k/test.jsonl", config="main"
    ),
    "arc_challenge": Questions(
        "allenai/ai2_arc",
        lambda row: letter_choices(
            read_text(row, "question"),
            read_texts(read_object(row.get("choices"), "choices"), "text"),
        ),
        "arc/llmfoundry_arc_challenge.jsonl",
        config="ARC-Challenge",
    ),
    "bbh": Questions("SaylorTwift/bbh", lambda row: read_text(row, "input"), "bbh/data/*.json"),
    "hellaswag": Questions(
        "Rowan/hellaswag", lambda row: read_text(row, "ctx"), "", ("validation",)
    ),
    "gpqa": Questions(
        "Idavidrein/gpqa",
        lambda row: read_text(row, "Question"),
        "",
        ("train",),
        config="gpqa_main",
    ),
}


class ItemsRead(NamedTuple):
    """Items by benchmark, and what `read_rows` counts of files of one's own, by their names."""

    items: dict[str, list[Item]]
    facts: dict[str, Any]


def public_items(folder: Path, reading: ReadingParams | None = None) -> ItemsRead:
    """The items of every benchmark that a folder has, by name.

    An item has the fields item_id, family, turns, answers and responses: AlpacaEval's response is
    the reference model's output, MT-Bench's are the reference answers of mathematics, reasoning
    and coding, and empty elsewhere. Files of rows at the top of the folder (OWN_ITEMS) hold items
    of one's own, rows with or without a response. Raises MontessoriError when there is no
    benchmark, or a file cannot be read.
    """
    folder = Path(folder)
    facts: dict[str, Any] = {}
    found = {name: _question_items(folder, name, asked) for name, asked in QUESTIONS.items()}
    found |= {"alpaca_eval": _read_alpaca_eval(folder), "mt_bench": _mt_bench(folder / "mt_bench")}
    for file in sorted(file for file in folder.iterdir() if file.name.endswith(OWN_ITEMS)):
        # A file may have the name of a public benchmark that the folder does not hold.
        if found.get(set_name(file)):
            raise _repeated_names(file)
        read = own_items(file, reading)
        found, facts = found | read.items, facts | read.facts
    if not any(found.values()):
        raise MontessoriError(
            "the folder holds no benchmark",
            where=str(folder),
            expected="mmlu/test/*.csv, gsm8k/test.jsonl, alpaca_eval/..., mt_bench/question.jsonl, "
            "copies of hub data sets, or files of items, *.jsonl, *.csv and the like "
            "(docs/how-to/benchmarks.md)",
            next="set sources.evals in params.yaml to the folder of your benchmarks",
        )
    return ItemsRead({name: items for name, items in found.items() if items}, facts)


def find_gamed_answers(folder: Path) -> Path | None:
    """AlpacaEval's table of gamed answers in a folder of public benchmarks, or None.

    Raises MontessoriError when the file is no such table.
    """
    file = _first_existing(Path(folder), GAMED_ANSWERS)
    if file is not None:
        read_gamed_table(file)
    return file


def _repeated_names(file: Path) -> MontessoriError:
    return MontessoriError(
        f"two sets of items are called {file.stem}",
        where=str(file),
        expected="names other than those of the public benchmarks in the folder",
        next=f"rename {file.name}, then dvc repro seed",
    )


def own_items(file: Path, reading: ReadingParams | None = None) -> ItemsRead:
    """Items of a file of rows in any form, with or without answers."""
    name, (rows, facts) = set_name(file), read_rows(file, reading, answered=False)
    items = [_make_item(f"{name}-{number}", name, row.turns) for number, row in enumerate(rows, 1)]
    return ItemsRead({name: items}, {name: facts} if facts else {})


def set_name(file: Path) -> str:
    """What a file of items is called: its name without the ending."""
    return file.with_suffix("").stem if file.suffix == ".gz" else file.stem


def _make_item(
    item_id: str, family: str, turns: Sequence[str], responses: Sequence[str] = ()
) -> Item:
    empty = [""] * len(turns)
    return {
        "item_id": item_id,
        "family": family,
        "turns": list(turns),
        "answers": empty,
        "responses": list(responses) or empty,
    }


# ------------------------------------------------------------------------- questions of lm-eval
def _question_items(folder: Path, name: str, benchmark: Questions) -> list[Item]:
    """Make an item of each question of a benchmark; none if the folder does not have it."""
    items = []
    try:
        for config, rows in _read_configurations(folder, benchmark):
            family = config or name
            prefix = name if family == name else f"{name}-{family}"
            for number, row in enumerate(rows):
                with placed(folder / benchmark.data_set, f"{config} item {number}".strip()):
                    question = benchmark.question(row)
                items.append(_make_item(f"{prefix}-{number}", family, [question]))
    except (KeyError, IndexError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise _unreadable_error(name, folder, error) from error
    return items


def _read_configurations(
    folder: Path, asked: Questions
) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    """Configurations and their rows, from a copy of the hub's data set or the published files."""
    data = LocalData(folder)
    # A copy of the hub's data set wins over published files, as in LocalData, so that the items are
    # those that lm-eval scores.
    if (folder / asked.data_set).is_dir():
        yield from _hub_parts(folder / asked.data_set, asked, data)
        return
    for file in sorted(folder.glob(asked.pattern)) if asked.pattern else ():
        start, star, end = Path(asked.pattern).name.partition("*")
        config = file.name.removeprefix(start).removesuffix(end) if star else asked.config
        yield config if star else "", PUBLISHED[asked.data_set](data, config)[SPLIT]


def _hub_parts(
    copy: Path, asked: Questions, data: LocalData
) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    from datasets import get_dataset_config_names

    configs = get_dataset_config_names(str(copy.resolve()))
    # A data set such as MMLU has one configuration with all rows beside one for each subject;
    # reading them all would give every item twice.
    found: set[str] = set()
    for config in [asked.config] if asked.config in configs else configs:
        splits = data.load(asked.data_set, config)
        found.update(splits)
        split = next((name for name in asked.splits if name in splits), None)
        if split is not None:
            yield config if config not in (asked.config, "default") else "", list(splits[split])
    if found.isdisjoint(asked.splits):
        raise MontessoriError(
            f"the copy of {asked.data_set} has the splits {', '.join(sorted(found)) or 'none'}",
            where=str(copy),
            expected=f"{' or '.join(asked.splits)}, which holds the items that are kept out",
            next=f"hf download {asked.data_set} --repo-type dataset --local-dir {copy}",
        )


# ------------------------------------------------------------------------------ open benchmarks
def _read_alpaca_eval(folder: Path) -> list[Item]:
    """AlpacaEval's prompts in their published order, with the reference model's outputs.

    And with their difficulty, where the folder has it.
    """
    file = _first_existing(folder, ALPACA)
    if file is None:
        return []
    items = []
    for number, line in enumerate(read_json_lines(file)):
        with placed(file, f"item {line.number}"):
            row = read_object(line.value)
            texts = [read_text(row, "instruction")], [_read_output(row)]
            family = read_text(row, "dataset")
        items.append(_make_item(f"alpaca_eval-{number:04d}", family, *texts))
    if not items:
        raise _unreadable_error("alpaca_eval", file, ValueError("no items"))
    difficulties = _first_existing(folder, DIFFICULTY)
    return items if difficulties is None else _with_difficulty(items, difficulties)


def _read_output(row: Mapping[str, Any]) -> str:
    """The reference model's output, which may be empty but not missing."""
    output = row.get("output")
    return output if output == "" else read_text(row, "output")


def _first_existing(folder: Path, places: Sequence[str]) -> Path | None:
    return next((folder / place for place in places if (folder / place).is_file()), None)


def _with_difficulty(items: list[Item], file: Path) -> list[Item]:
    """Items with a field `difficulty`. Raises MontessoriError unless there is one for each."""
    found = read_difficulty(file)
    if len(found) != len(items):
        raise MontessoriError(
            f"{len(found)} difficulties for {len(items)} instructions",
            where=str(file),
            expected="those of the same reference outputs, in their order",
            next="fetch both from the same place, or remove this file; then dvc repro seed",
        )
    return [item | {"difficulty": float(value)} for item, value in zip(items, found, strict=True)]


def _mt_bench(folder: Path) -> list[Item]:
    """MT-Bench's questions, with GPT-4's reference answers where the folder has them."""
    if not (folder / "question.jsonl").is_file():
        return []
    references = _read_references(folder / REFERENCES)
    file, items = folder / "question.jsonl", {}
    for line in read_json_lines(file):
        with placed(file, f"line {line.number}"):
            item = _read_question(read_object(line.value), references)
            if item["item_id"] in items:
                raise CellFault(f"question {item['item_id']} occurs twice", "each question once")
        items[item["item_id"]] = item
    return list(items.values())


def _read_question(row: Mapping[str, Any], references: Mapping[int, list[str]]) -> Item:
    number, turns = _read_number(row), read_texts(row, "turns")
    responses = references.get(number, [])
    if responses and len(responses) != len(turns):
        raise CellFault(
            f"question {number} has {len(turns)} turns, its reference answer {len(responses)}",
            f"an answer to each turn in {REFERENCES}",
        )
    return _make_item(f"mt_bench-{number}", read_text(row, "category"), turns, responses)


def _read_references(file: Path) -> dict[int, list[str]]:
    """The reference answer to each turn, by question; none where the file is not there."""
    references: dict[int, list[str]] = {}
    for line in read_json_lines(file) if file.is_file() else ():
        with placed(file, f"line {line.number}"):
            row = read_object(line.value)
            choices = row.get("choices")
            if not isinstance(choices, list) or not choices:
                raise CellFault("choices is no list of answers", '[{"turns": [...]}]')
            references[_read_number(row)] = read_texts(read_object(choices[0]), "turns")
    return references


def _read_number(row: Mapping[str, Any]) -> int:
    number = row.get("question_id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise CellFault(f"question_id is {number!r}", "a whole number")
    return number


def _unreadable_error(name: str, where: Path, error: Exception) -> MontessoriError:
    return MontessoriError(
        f"the items of {name} cannot be read: {error!r}",
        where=str(where),
        expected="the files as their authors published them (docs/how-to/benchmarks.md)",
        next="fetch them again, then dvc repro seed",
    )
