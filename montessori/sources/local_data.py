"""The data sets of lm-eval's tasks from local files: lm-eval asks for them by their hub name.

Below one folder a data set is looked for as a copy of its hub repository (`<folder>/cais/mmlu`),
then as the files that its authors published (`<folder>/mmlu/test/*.csv`).
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.artifacts.json_lines import read_json_lines
from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from datasets import DatasetDict

Rows = list[dict[str, Any]]
Splits = Mapping[str, Rows]


class LocalData:
    """Data sets below `folder`; `files` collects the paths that were read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[Path] = set()
        self._absent: list[Path] = []  # what was looked for in vain

    def load(self, path: str, name: str | None = None, **options: Any) -> "DatasetDict":
        """The data set `path` of the hub, configuration `name`, as a dictionary of its splits.

        Raises MontessoriError, which names what was looked for, when it is not there.
        """
        from datasets import Dataset, DatasetDict

        copy = self.folder / path
        if copy.is_dir():
            return self._load_copy(copy, name, options)
        published = PUBLISHED.get(path)
        self._absent = [copy]
        try:
            splits = published(self, name or "") if published else {}
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _unreadable(path, self.folder, error) from error
        if not any(splits.values()):
            raise self._missing(path)
        return DatasetDict({split: Dataset.from_list(rows) for split, rows in splits.items()})

    def _load_copy(self, copy: Path, name: str | None, options: Mapping[str, Any]) -> "DatasetDict":
        """A data set from a copy of its hub repository."""
        # Not `datasets.load_dataset`, in whose place `load` itself stands while serving.
        from datasets.load import load_dataset

        # Hidden files are git's and the download's own records, which differ from one to the next.
        for file in copy.rglob("*"):
            if file.is_file() and not _is_hidden(file.relative_to(copy)):
                self.files.add(file)
        try:
            return load_dataset(str(copy.resolve()), name, **options)
        except (OSError, ValueError, RuntimeError) as error:
            raise _unreadable(copy.name, copy, error) from error

    def lines(self, path: Path) -> Rows:
        """The objects of a JSON Lines file; none when it is not there."""
        if not self._find(path):
            return []
        return [line.value for line in read_json_lines(path)]

    def table(self, path: Path) -> list[list[str]]:
        """The rows of a CSV file, its header too; none when it is not there."""
        return list(csv.reader(io.StringIO(self.text(path), newline="")))

    def text(self, path: Path) -> str:
        """The text of a file; empty when it is not there."""
        if not self._find(path):
            return ""
        # The csv module needs the line ends as they are, or a break within quotes would change.
        # `utf-8-sig` drops the byte-order mark that some editors put at the start.
        with open(path, encoding="utf-8-sig", newline="") as handle:
            return handle.read()

    def _find(self, path: Path) -> bool:
        """Whether a file is there; it counts as read, or as looked for in vain."""
        found = path.is_file()
        if found:
            self.files.add(path)
        else:
            self._absent.append(path)
        return found

    def _missing(self, path: str) -> MontessoriError:
        return MontessoriError(
            f"the data set {path} is not among the local benchmark files",
            where="params.yaml, key harness.data",
            expected=" or ".join(map(str, self._absent)),
            next=f"hf download {path} --repo-type dataset --local-dir {self._absent[0]}",
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Let lm-eval read its data sets from here instead of the hub, while open.

        lm-eval calls `datasets.load_dataset` with the names in its task files. A subclass of its
        tasks cannot read elsewhere: lm-eval builds the thousands of tasks of its index from files
        with a class that it names itself, and has no other place to say where all data are. A test
        fails when it loads data in another way.
        """
        import datasets

        hub = datasets.load_dataset
        datasets.load_dataset = self.load
        try:
            yield
        finally:
            datasets.load_dataset = hub


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def _unreadable(name: str, where: Path, error: Exception) -> MontessoriError:
    return MontessoriError(
        f"the data set {name} cannot be read: {(str(error).splitlines() or [repr(error)])[0]}",
        where=str(where),
        expected="a whole copy of its hub repository, README.md too, or the files as their "
        "authors published them (docs/how-to/benchmarks.md)",
        next="fetch it again: hf download ... --repo-type dataset --local-dir ...",
    )


# ------------------------------------------------------------------------ files as published
def _load_mmlu(data: LocalData, subject: str) -> Splits:
    """CSV files of 57 subjects, with or without a header: question, four choices, answer."""
    splits: dict[str, Rows] = {}
    for split in ("dev", "test"):
        rows: Rows = []
        for row in data.table(data.folder / "mmlu" / split / f"{subject}_{split}.csv"):
            if (row[0], row[5]) == ("question", "answer"):
                continue
            gold = _gold_index(row[5])
            rows.append(
                {"question": row[0], "subject": subject, "choices": row[1:5], "answer": gold}
            )
        splits[split] = rows
    return splits


def _gold_index(text: str) -> int:
    """The place of the right choice, from its letter or its number."""
    return "ABCD".index(text) if text in "ABCD" else int(text)


def _load_gsm8k(data: LocalData, name: str) -> Splits:
    folder = data.folder / "gsm8k"
    return {split: data.lines(folder / f"{split}.jsonl") for split in ("train", "test")}


def _load_arc(data: LocalData, name: str) -> Splits:
    """llm-foundry's form of ARC-Challenge: query, choices, place of the right one; tests only."""
    if name != "ARC-Challenge":
        return {}
    rows = data.lines(data.folder / "arc" / "llmfoundry_arc_challenge.jsonl")
    letters = "ABCDEFGH"
    return {
        "train": [],
        "test": [
            {
                "question": row["query"].removeprefix("Question: "),
                "choices": {"text": row["choices"], "label": list(letters[: len(row["choices"])])},
                "answerKey": letters[row["gold"]],
            }
            for row in rows
        ],
    }


def _load_bbh(data: LocalData, name: str) -> Splits:
    text = data.text(data.folder / "bbh" / "data" / f"{name}.json")
    return {"test": json.loads(text)["examples"] if text else []}


#: Readers of the files that authors published, by hub name.
PUBLISHED: Mapping[str, Callable[[LocalData, str], Splits]] = {
    "cais/mmlu": _load_mmlu,
    "openai/gsm8k": _load_gsm8k,
    "allenai/ai2_arc": _load_arc,
    "SaylorTwift/bbh": _load_bbh,
}
