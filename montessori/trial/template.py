"""Questions on the chat template: what generation and training see of a row, token by token."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter

from montessori.artifacts.dialogue import build_dialogue
from montessori.errors import MontessoriError
from montessori.generate.local import LocalModel, folder_facts
from montessori.models import chat
from montessori.trial.candidate import Candidate
from montessori.trial.findings import Finding, Verdict, show_text

TURNS = ("What is the first?", "Name the second one.")
ANSWERS = ("It is the answer.", "It is the second.")
ROOM = 100_000  # tokens; no dialogue here is as long


def ask_template(candidate: Candidate) -> list[Finding]:
    """One and two turns: spans of the loss, ends of turn, BOS, and the prompt before each."""
    findings = []
    for turns in (1, 2):
        dialogue = build_dialogue(TURNS[:turns], ANSWERS[:turns])
        problems = row_problems(candidate, dialogue)
        lines = (show_mask(candidate, dialogue),) if turns == 1 or problems else ()
        findings.append(_judge_row(turns, problems, lines))
    return findings


def _judge_row(turns: int, problems: Sequence[str], lines: tuple[str, ...]) -> Finding:
    name = "one turn" if turns == 1 else "two turns"
    if not problems:
        text = f"{name}: the loss is on the answer and its end, and the prompt begins the row"
        return Finding("template", "ok", text, lines=lines)
    # Rows of two turns are written only where the seeds have follow-ups.
    verdict: Verdict = "problem" if turns == 1 else "note"
    return Finding(
        "template",
        verdict,
        f"{name}: {'; '.join(problems)}",
        "put a chat_template.jinja with {% generation %} blocks into the model's folder, or set "
        "model.fallback_template" + ("" if turns == 1 else "; or use rows of one turn only"),
        lines,
    )


def row_problems(candidate: Candidate, dialogue: Sequence[chat.Message]) -> list[str]:
    """What is wrong with the tokens and the loss mask of a finished dialogue."""
    try:  # refuses, among others, a row that does not begin with the prompt
        row = chat.tokenize_dialogues(candidate.tokenizer, [dialogue], ROOM)[0]
    except MontessoriError as error:
        return [error.what]
    return [*_span_problems(candidate, row, dialogue), *_bos_problems(candidate, row)]


def _span_problems(
    candidate: Candidate, row: chat.Tokens, dialogue: Sequence[chat.Message]
) -> list[str]:
    """Each run of trained tokens is one answer and an end of turn that generation stops at."""
    answers = [message["content"] for message in dialogue if message["role"] == "assistant"]
    spans = _trained_spans(row)
    if len(spans) != len(answers):
        return [f"{len(spans)} parts of the row are trained, not {len(answers)} answers"]
    model = LocalModel(candidate.folder)
    ends = model.find_end_ids(folder_facts(candidate.folder)[0])
    problems = []
    for ids, answer in zip(spans, answers, strict=True):
        text = model.decode_texts([ids])[0]
        if answer not in text or len(text) > 3 * len(answer):
            problems.append(f"the loss is on {show_text(text)}, not on {show_text(answer)}")
        elif not ends.intersection(ids):
            problems.append("the end of the turn is not trained: the model would not learn to stop")
    return problems


def _trained_spans(row: chat.Tokens) -> list[list[int]]:
    spans = []
    for kept, group in groupby(zip(row.ids, row.mask, strict=True), key=itemgetter(1)):
        if kept:
            spans.append([token for token, _ in group])
    return spans


def _bos_problems(candidate: Candidate, row: chat.Tokens) -> list[str]:
    """BOS stands once, at the start, where the tokenizer itself puts one before a text."""
    tokenizer = candidate.tokenizer
    bos = tokenizer.bos_token_id
    plain = tokenizer("a")["input_ids"]
    if bos is None or plain[:1] != [bos]:
        return []
    count = 0
    while row.ids[count : count + 1] == [bos]:
        count += 1
    if count == 1:
        return []
    return [f"the row begins with {count} BOS tokens, the model was trained behind one"]


def show_mask(candidate: Candidate, dialogue: Sequence[chat.Message]) -> str:
    """The row as text, what the loss is on in [[double brackets]]; "" for a row that is refused."""
    model, text = LocalModel(candidate.folder), ""
    with suppress(MontessoriError):
        row = chat.tokenize_dialogues(model.tokenizer, [dialogue], ROOM)[0]
        for kept, group in groupby(zip(row.ids, row.mask, strict=True), key=itemgetter(1)):
            part = model.decode_texts([[token for token, _ in group]])[0]
            text += f"[[{part}]]" if kept else part
    return show_text(text, most=400)
