"""Prefixes, questions and answers as tokens, so that what questions share is read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from montessori.errors import MontessoriError
from montessori.models.plain_text import encode_ids, mark_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Ids = tuple[int, ...]


@dataclass(frozen=True)
class QuestionTokens:
    """The tokens of a question after a prefix, and those of each way to state its answer."""

    question: Ids
    answers: tuple[Ids, ...] = ()


class Group(NamedTuple):
    """A prefix and the questions that follow it."""

    prefix: Ids
    questions: Sequence[QuestionTokens]


def split_tokens(
    tokenizer: "PreTrainedTokenizerFast",
    prefix: str,
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
) -> Group:
    """The tokens that all questions share, then each question's own.

    Whole texts are tokenized, after the tokens that the tokenizer opens a text with, so that the
    tokens are those of asking each question by itself. Raises MontessoriError when an answer would
    merge with the last token before it.
    """
    texts = [prefix + question for question in questions]
    answered = []
    for text, forms in zip(texts, answers, strict=True):
        answered += [text + answer for answer in forms]
    ids = tokenize_opened(tokenizer, [*texts, *answered])
    contexts, rest = ids[: len(texts)], iter(ids[len(texts) :])
    shared = common_length(contexts)
    rows = []
    for context, forms in zip(contexts, answers, strict=True):
        wholes = [next(rest) for _ in forms]
        if any(whole[: len(context)] != context for whole in wholes):
            raise _merged_tokens(str(tokenizer.name_or_path), forms)
        tails = tuple(tuple(whole[len(context) :]) for whole in wholes)
        rows.append(QuestionTokens(tuple(context[shared:]), tails))
    return Group(tuple(contexts[0][:shared]), rows)


def tokenize_opened(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts as a base model was trained on them: after a beginning-of-text token.

    Only if the tokenizer itself puts one before a text. A token that it puts at the end is not
    added, because the texts go on. Texts of control tokens are text.
    """
    sample = "a"
    bare = tokenizer(sample, add_special_tokens=False)["input_ids"]
    whole = tokenizer(sample, add_special_tokens=True)["input_ids"]
    opening = next(n for n in range(len(whole)) if whole[n : n + len(bare)] == bare)
    ids = encode_ids(tokenizer, mark_texts(tokenizer, texts))
    return [whole[:opening] + row for row in ids]


def common_length(rows: Sequence[list[int]]) -> int:
    """Length of the longest prefix of all rows that leaves at least one token of each."""
    # All rows lie between the smallest and the largest in lexical order, so a prefix that these two
    # share is shared by all.
    first, last = min(rows), max(rows)
    most = min(map(len, rows)) - 1
    return next((n for n in range(most) if first[n] != last[n]), most)


def _merged_tokens(tokenizer: str, forms: Sequence[str]) -> MontessoriError:
    return MontessoriError(
        "the tokenizer merges an answer with the end of the question, so that the answer has no "
        "tokens of its own to read",
        where=f"{tokenizer}, answers {list(forms)[:2]}",
        expected="a question template whose end is the end of a token; answers that begin with "
        "a space or a new line",
        next="fix icl.answers or question.jinja, or set icl.read: generate in params.yaml",
    )
