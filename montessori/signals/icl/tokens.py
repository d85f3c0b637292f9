"""Prefixes, questions and answers as tokens, so that what questions share is read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Asked:
    """A question behind a prefix: its tokens and the tokens of each way to state its answer."""

    question: Ids
    answers: tuple[Ids, ...] = ()


Group = tuple[Ids, Sequence[Asked]]  # a prefix and what follows it


def split_tokens(
    tokenizer: "PreTrainedTokenizerFast",
    prefix: str,
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
) -> Group:
    """The tokens that all questions share, then what is each one's own.

    Whole texts are tokenised, behind what the tokenizer opens a text with, so that the tokens are
    those of asking each question by itself.
    Raises MontessoriError when an answer would merge with the last token before it.
    """
    texts = [prefix + question for question in questions]
    longer = [t + answer for t, forms in zip(texts, answers, strict=True) for answer in forms]
    whole = opened(tokenizer, [*texts, *longer])
    contexts, rest = whole[: len(texts)], iter(whole[len(texts) :])
    shared = common_length(contexts)
    rows = []
    for context, forms in zip(contexts, answers, strict=True):
        found = [next(rest) for _ in forms]
        if any(joint[: len(context)] != context for joint in found):
            raise _merged(str(tokenizer.name_or_path), forms)
        tails = tuple(tuple(joint[len(context) :]) for joint in found)
        rows.append(Asked(tuple(context[shared:]), tails))
    return tuple(contexts[0][:shared]), rows


def opened(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts as a base model was trained on them: behind a beginning-of-text token.

    Only where the tokenizer itself puts one before a text; what it puts behind one is left out,
    since the texts go on.
    """
    sample = "a"
    bare, whole = (tokenizer(sample, add_special_tokens=s)["input_ids"] for s in (False, True))
    before = next(n for n in range(len(whole)) if whole[n : n + len(bare)] == bare)
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [whole[:before] + row for row in ids]


def common_length(rows: Sequence[list[int]]) -> int:
    """Length of the longest prefix of all rows that leaves at least one token of each."""
    first, last = min(rows), max(rows)  # the two that differ soonest
    most = min(map(len, rows)) - 1
    return next((n for n in range(most) if first[n] != last[n]), most)


def _merged(tokenizer: str, forms: Sequence[str]) -> MontessoriError:
    return MontessoriError(
        "the tokenizer merges an answer with the end of the question, so that it cannot be read "
        "by its tokens",
        where=f"{tokenizer}, answers {list(forms)[:2]}",
        expected="a question template whose end is the end of a token; answers that begin with "
        "a space or a new line",
        next="fix icl.answers or question.jinja, or set icl.read: generate in params.yaml",
    )
