"""Prompts and preference pairs of a format as token ids, the same in generation and in DPO."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError
from montessori.formats.edges import find_answer_edges
from montessori.formats.formats import FORMATS, Format, FormatName
from montessori.models.plain_text import encode_ids, mark_texts

if TYPE_CHECKING:
    import polars as pl
    from transformers import PreTrainedTokenizerFast

Ids = list[int]
#: Formats that only a model whose tokenizer is at hand can be asked in.
NEED_TOKENS = tuple(name for name, form in FORMATS.items() if not form.in_dialogue)
#: Which formats a teacher can be asked in, for errors.
HOSTED = "tags for a hosted teacher; any format for a model folder, also behind machine.server"


def tokenize_opened(
    form: Format, texts: Sequence[str], tokenizer: "PreTrainedTokenizerFast"
) -> list[Ids]:
    """Token ids of texts that a model is to continue; see `Format.open_text`.

    A format without a chat template has no control tokens: their texts are text.
    """
    if not texts:
        return []
    if not form.plain:
        return encode_ids(tokenizer, texts)
    begin = _beginning_ids(tokenizer)
    return [begin + row for row in encode_ids(tokenizer, mark_texts(tokenizer, texts))]


def tokenize_prompts(
    form: Format, prompts: Sequence[str], tokenizer: "PreTrainedTokenizerFast"
) -> list[Ids]:
    """Token ids of recorded prompts, up to where the model begins to write."""
    opened = [form.open_text(prompt, tokenizer) for prompt in prompts]
    return tokenize_opened(form, opened, tokenizer)


def tokenize_led(
    prompts: Sequence[str], openings: Sequence[str], tokenizer: "PreTrainedTokenizerFast"
) -> list[Ids]:
    """Token ids of user turns, and of how each answer is to begin; see `Prefill`."""
    texts = [
        find_answer_edges(tokenizer, prompt)[0] + opening
        for prompt, opening in zip(prompts, openings, strict=True)
    ]
    return tokenize_opened(FORMATS["prefill"], texts, tokenizer)


def tokenize_pairs(
    form: Format, pairs: "pl.DataFrame", tokenizer: "PreTrainedTokenizerFast"
) -> dict[str, list[Ids]]:
    """Columns prompt_ids, chosen_ids and rejected_ids of PAIRS.

    The ids of a prompt are those that generation saw. Raises MontessoriError for a pair whose two
    texts were begun differently.
    """
    columns: dict[str, list[Ids]] = {"prompt_ids": [], "chosen_ids": [], "rejected_ids": []}
    known: dict[str, Ids] = {}  # of what the model continued; the pairs of a prompt share it
    for row in pairs.select("pair_id", "prompt", "chosen", "rejected").iter_rows(named=True):
        beginnings = []
        for side in ("chosen", "rejected"):
            before, behind = form.split_text(row["prompt"], row[side], tokenizer)
            if before not in known:
                known[before] = tokenize_opened(form, [before], tokenizer)[0]
            columns[f"{side}_ids"].append(_tokenize_rest(form, before, behind, known, tokenizer))
            beginnings.append(before)
        if beginnings[0] != beginnings[1]:
            raise _begun_differently(row["pair_id"], form)
        columns["prompt_ids"].append(known[beginnings[0]])
    return columns


def require_format(
    name: FormatName, tokenizer: "PreTrainedTokenizerFast | None", section: str = "instruction"
) -> Format:
    """The format that a section names, for a model whose tokenizer is at hand or None.

    Raises MontessoriError where the format needs more than a server that answers dialogues.
    """
    if tokenizer is not None or FORMATS[name].in_dialogue:
        return FORMATS[name]
    raise MontessoriError(
        f"the format {name} cannot be asked for at a server that only answers dialogues",
        where=f"params.yaml, key {section}.format",
        expected=HOSTED,
        next=f"set {section}.format: tags, or name a teacher of a model folder",
    )


def _beginning_ids(tokenizer: "PreTrainedTokenizerFast") -> Ids:
    """What the tokenizer puts before a text: a beginning-of-text token, or nothing."""
    sample = "a"
    bare = tokenizer(sample, add_special_tokens=False)["input_ids"]
    whole = tokenizer(sample, add_special_tokens=True)["input_ids"]
    begin = next(n for n in range(len(whole)) if whole[n : n + len(bare)] == bare)
    return whole[:begin]


def _tokenize_rest(
    form: Format,
    before: str,
    behind: str,
    known: dict[str, Ids],
    tokenizer: "PreTrainedTokenizerFast",
) -> Ids:
    """Ids of `behind` where it follows `before`.

    Of both together, less those of `before`, because some tokenizers put a blank before each text;
    where tokens merge over the border, generation could not write them, and `behind` is alone.
    """
    start = known[before]
    whole = tokenize_opened(form, [before + behind], tokenizer)[0]
    if whole[: len(start)] == start:
        return whole[len(start) :]
    return encode_ids(tokenizer, mark_texts(tokenizer, [behind]) if form.plain else [behind])[0]


def _begun_differently(pair: str, form: Format) -> MontessoriError:
    return MontessoriError(
        "the two texts of a pair do not begin with the same opening",
        where=f"pair {pair}, format {form.name}",
        expected="two texts that one prompt led to",
        next="make the pairs again with dvc repro",
    )
