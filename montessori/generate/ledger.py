"""What a server has written and what it cost: a line for each answer, as soon as it is there.

A killed stage pays only for what its ledger lacks. The file goes when the stage's artifact is
written, or becomes one that later stages learn from.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from montessori.artifacts.halves import mend_text
from montessori.errors import MontessoriError
from montessori.generate.engine import FirstTokens, Generated, Prompt, Sampling


@dataclass(frozen=True)
class Cost:
    """Tokens of prompts and completions, and US dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.usd + other.usd,
        )

    def __sub__(self, other: "Cost") -> "Cost":
        return self + Cost(-other.prompt_tokens, -other.completion_tokens, -other.usd)


@dataclass(frozen=True)
class Answer:
    """A finished sample: text, tokens without the end token, who ended it, first tokens, thought.

    As of `Generated`, with why a server gave no usable text, and which model it says it asked
    where that is not the one that was wanted.
    """

    text: str
    tokens: int
    finished: bool
    first: FirstTokens = ()
    thought: str = ""
    refused: str = ""
    model: str = ""

    def at_place(self, request: int, sample: int) -> Generated:
        """The answer as a sample of a call."""
        rest = self.first, self.thought, self.refused
        return Generated(self.text, self.tokens, self.finished, request, sample, *rest)


def answer_key(*parts: Any) -> str:
    """32 hexadecimal digits for all that an answer depends on: model, prompt, seed, sampling."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def sample_key(identity: str, prompt: Prompt, seed: int, sampling: Sampling) -> str:
    """The key of one sample of the model `identity`."""
    settings = asdict(sampling)
    if not sampling.logprobs:
        del settings["logprobs"]
    if not sampling.stop:
        del settings["stop"]
    return answer_key(identity, list(prompt), seed, settings)


#: Fields of an answer that are not written where they say nothing, and those that always are.
_OPTIONAL = frozenset({"first", "thought", "refused", "model", "half_characters"})
_ANSWER = frozenset({"text", "tokens", "finished"})
_TEXTS = frozenset({"text", "thought"})


class Ledger:
    """The JSON Lines file of one stage: answers by key, and what was paid without an answer."""

    def __init__(self, path: Path) -> None:
        """Read the file if it is there; a last line that a kill has torn is cut off.

        Raises MontessoriError for any other line that cannot be read.
        """
        self.path = Path(path)
        self.answers: dict[str, Answer] = {}
        self.costs: dict[str, Cost] = {}  # of each answer
        self.total = Cost()
        self.requests = 0
        self.halves = 0  # of characters, in place of which answers have U+FFFD
        self.models: Counter[str] = Counter()  # that answered in place of the one that was asked
        self.left_out: list[str] = []  # settings that the server did not know
        data = self.path.read_bytes() if self.path.is_file() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with open(self.path, "r+b") as handle:
                handle.truncate(whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            self._take(self._parse(line, number))

    def add_answer(self, key: str, answer: Answer, cost: Cost) -> None:
        """Keep an answer and what it cost; halves of characters become U+FFFD."""
        record = _mend({"key": key, **asdict(answer), **asdict(cost)})
        self._append({k: v for k, v in record.items() if v or k not in _OPTIONAL})

    def add_left_out(self, names: Sequence[str]) -> None:
        """Note settings that the server does not know, and that are no longer sent."""
        self._append({"key": None, **asdict(Cost()), "left_out": list(names)})

    def take_answers(self, path: Path) -> None:
        """Take the answers of another ledger, paid for by another run."""
        other = Ledger(path)
        self.answers = other.answers | self.answers
        self.costs = other.costs | self.costs

    def add_lost(self, cost: Cost) -> None:
        """Count what an answer that cannot be used has cost."""
        self._append({"key": None, **asdict(cost)})

    def sum_costs(self) -> dict[str, Any]:
        """Requests that were paid for, their tokens and US dollars, as metrics.

        Where there were any: halves of characters, settings left out (`left_out`), and answers by
        models with another name than the one that was asked (`answered_by`).
        """
        more = {
            "half_characters": self.halves,
            "left_out": sorted(set(self.left_out)),
            "answered_by": dict(sorted(self.models.items())),
        }
        found = {name: value for name, value in more.items() if value}
        return {"requests": self.requests, **asdict(self.total), **found}

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode("ascii") + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab", buffering=0) as handle:
            handle.write(line)
        self._take(record)

    def _take(self, record: Mapping[str, Any]) -> None:
        if "left_out" in record:
            self.left_out += record["left_out"]
            return
        cost = Cost(record["prompt_tokens"], record["completion_tokens"], record["usd"])
        if record["key"] is not None:
            self.answers[record["key"]] = _read_answer(record)
            self.costs[record["key"]] = cost
            self.halves += record.get("half_characters", 0)
            self.models.update([record["model"]] if record.get("model") else [])
        self.total += cost
        self.requests += 1

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        wanted = {"key", "prompt_tokens", "completion_tokens", "usd"}
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict) and record.keys() >= wanted and _is_whole(record):
            return _mend(record)
        raise MontessoriError(
            "a paid answer cannot be read",
            where=f"{self.path}, line {number}",
            expected="a line as the stage wrote it",
            next="remove this line (its answer is asked for again), then dvc repro",
        )


def _read_answer(record: Mapping[str, Any]) -> Answer:
    first = tuple((str(text), float(value)) for text, value in record.get("first", ()))
    rest = (record.get(name, "") for name in ("thought", "refused", "model"))
    return Answer(record["text"], record["tokens"], record["finished"], first, *rest)


def _is_whole(record: Mapping[str, Any]) -> bool:
    """Whether a record of an answer has all that an answer needs."""
    if record["key"] is None:
        return True
    return record.keys() >= _ANSWER and isinstance(record["text"], str)


def _mend(record: dict[str, Any]) -> dict[str, Any]:
    """A record whose texts can be written; lines of earlier versions may hold half characters."""
    whole, halves = dict(record), record.get("half_characters", 0)
    for name in _TEXTS & record.keys():
        whole[name], found = mend_text(record[name])
        halves += found
    if record.get("first"):
        whole["first"] = [(mend_text(text)[0], value) for text, value in record["first"]]
    return {**whole, "half_characters": halves} if halves else whole


def read_spending(path: Path) -> dict[str, Any] | None:
    """The summary of the ledger at `path`; None where no server was asked."""
    return Ledger(path).sum_costs() if path.is_file() else None
