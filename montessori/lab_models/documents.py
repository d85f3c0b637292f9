"""Training documents of the lab's base models.

A teacher document is a page of sums or a chat: answering, two-turn dialogue, writing a new
instruction from examples, writing tagged questions, rationales in several styles, a new task around
a mistake. A student document is plain text: a page of sums, or 0-3 solved examples before the last
one; the convention of the answers (gold form, bare answer, a sentence) is shared inside a document,
so that an example tells which one is wanted. Every task comes from the `train` bucket: no document
holds an item of a reference or eval set.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from montessori.formats.prompts import render_instruction_prompt
from montessori.formats.tags import tag_turns
from montessori.lab.families import FAMILIES
from montessori.lab.task import Task, Turn, bucket_of, draw_task
from montessori.lab_models.rationales import STYLES, write_rationale

Message = dict[str, str]

#: Share of teacher documents of each kind: first everything it must write, then more practice in
#: answering, with solved examples before the question, from which copying is learned.
FOUNDATION = {
    "answer": 0.46,
    "write": 0.24,
    "sums": 0.1,
    "questions": 0.05,
    "rationale": 0.09,
    "mistake": 0.06,
}
PRACTICE = {
    "answer": 0.45,
    "solved": 0.28,
    "write": 0.15,
    "questions": 0.04,
    "rationale": 0.05,
    "mistake": 0.03,
}
#: Chance that a new instruction belongs to a family of its examples; otherwise it is any family.
SAME_FAMILY = 0.6
#: How a student's documents state answers, and how often.
CONVENTIONS: tuple[tuple[str, float], ...] = (
    ("{response}", 0.5),
    ("{answer}", 0.25),
    ("The answer is {answer}.", 0.25),
)
#: Share of a student's documents that are pages of sums.
SUMS = 0.3

END = "<|end|>"

#: Text with the share of its tokens' loss.
Segment = tuple[str, float]
ASKED, ANSWERED = 0.15, 1.0


def _pick_family(weights: Mapping[str, float], rng: random.Random) -> str:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def _draw_train_task(name: str, rng: random.Random) -> Task:
    return draw_task(FAMILIES[name], "train", rng)


def _chat_document(*texts: str) -> list[Message]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def dialogue_of(task: Task) -> list[Message]:
    """The task's turns as chat messages with gold responses."""
    texts: list[str] = []
    for turn in task.turns:
        texts += [turn.instruction, turn.response]
    return _chat_document(*texts)


def tagged_instruction(task: Task) -> str:
    """The task's user turns in the tags of the instruction-writing format."""
    return tag_turns([turn.instruction for turn in task.turns])


def reason_for(task: Task) -> str:
    """The short line a teacher writes before a new instruction: what kind of task comes."""
    return f"Idea: {task.family.replace('_', ' ')}."


def _answer_document(weights: Mapping[str, float], rng: random.Random) -> list[Message]:
    return dialogue_of(_draw_train_task(_pick_family(weights, rng), rng))


def _writing_document(weights: Mapping[str, float], rng: random.Random) -> list[Message]:
    """New instruction from 2-6 examples of a random subset of the families."""
    pool = rng.sample(list(FAMILIES), rng.randint(2, len(FAMILIES)))
    shown = [rng.choice(pool) for _ in range(rng.choice((2, 3, 4, 4, 4, 5, 6)))]
    same = rng.random() < SAME_FAMILY
    target = _draw_train_task(rng.choice(shown) if same else _pick_family(weights, rng), rng)
    prompt = render_instruction_prompt(
        [tagged_instruction(_draw_train_task(name, rng)) for name in shown]
    )
    return _chat_document(prompt, f"{reason_for(target)}\n{tagged_instruction(target)}")


def _tagged_question(number: int, turn: Turn) -> str:
    return (
        f"<Question_{number}><input>{turn.instruction}</input>"
        f"<target>{turn.answer}</target></Question_{number}>"
    )


def _questions_document(weights: Mapping[str, float], rng: random.Random) -> list[Message]:
    """Three tagged questions with answers, then two more of the same family."""
    name = _pick_family(_single_turn(weights), rng)
    lines = [_tagged_question(i, _draw_train_task(name, rng).turns[0]) for i in range(1, 6)]
    prompt = f"Task: {name.replace('_', ' ')}.\nWrite more questions.\n" + "\n".join(lines[:3])
    return _chat_document(prompt, "\n".join(lines[3:]))


def _rationale_document(weights: Mapping[str, float], rng: random.Random) -> list[Message]:
    turn = _draw_train_task(_pick_family(_single_turn(weights), rng), rng).turns[0]
    prompt = rng.choice(list(STYLES))
    return _chat_document(f"{turn.instruction}\n{prompt}", write_rationale(turn, prompt))


def _mistake_document(weights: Mapping[str, float], rng: random.Random) -> list[Message]:
    """A question with a wrong answer; the new task is of the same family (LLM2LLM)."""
    name = _pick_family(_single_turn(weights), rng)
    failed, wrong, fresh = (_draw_train_task(name, rng) for _ in range(3))
    prompt = (
        "The student got this wrong. Write one new task like it.\n"
        f"Question: {failed.turns[0].instruction}\nWrong answer: {wrong.turns[0].answer}"
    )
    return _chat_document(prompt, tagged_instruction(fresh))


def _single_turn(weights: Mapping[str, float]) -> dict[str, float]:
    return {name: w for name, w in weights.items() if FAMILIES[name].kind != "dialogue"}


_TEACHER: dict[str, Callable[[Mapping[str, float], random.Random], list[Message]]] = {
    "answer": _answer_document,
    "write": _writing_document,
    "questions": _questions_document,
    "rationale": _rationale_document,
    "mistake": _mistake_document,
}


def chat_text(messages: Sequence[Message]) -> str:
    """What the lab's chat template renders; a test holds the two equal."""
    return "".join(f"<|{m['role']}|>{m['content']}<|end|>" for m in messages)


def teacher_document(
    mix: Mapping[str, float], weights: Mapping[str, float], rng: random.Random
) -> list[Segment]:
    """One document of a kind drawn from `mix`; tasks drawn by `weights` of the families.

    Text in segments; what is asked counts less in the loss than what is answered.
    """
    kind = _pick_family(mix, rng)
    if kind == "sums":
        return [*_page_of_sums(rng), (END, ANSWERED)]
    if kind == "solved":
        return _solved_document(weights, rng, (1, 2, 3))
    loss = {"user": ASKED, "assistant": ANSWERED}
    return [(chat_text([m]), loss[m["role"]]) for m in _TEACHER[kind](weights, rng)]


def plain_question(turn: Turn, convention: str) -> str:
    """A turn as plain text, its answer stated by `convention`."""
    return "".join(text for text, _ in _split_segments(turn, convention))


def _split_segments(turn: Turn, convention: str) -> list[Segment]:
    answer = convention.format(response=turn.response, answer=turn.answer)
    return [(f"Question: {turn.instruction}\nAnswer:", ASKED), (f" {answer}\n\n", ANSWERED)]


def _draw_sum(rng: random.Random) -> tuple[str, int] | None:
    """One sum as ("17 + 25 =", 42), or None where its content is held out."""
    # Repeated signs are drawn more often. Products and quotients need no check below: the family
    # of products lies wholly in the train bucket, and none asks for quotients.
    sign = rng.choice("++--xx/")
    top = rng.choice((20, 50, 99, 150))
    if sign == "x":
        a, b = rng.randint(2, 9), rng.randint(2, rng.choice((12, 40)))
        return f"{a} x {b} =", a * b
    if sign == "/":
        b = rng.randint(2, 9)
        a = b * rng.randint(2, rng.choice((12, 30)))
        return f"{a} / {b} =", a // b
    a, b = rng.randint(0, top), rng.randint(0, top)
    low, high = sorted((a, b))
    if sign == "+":
        # The key that the family `add` would give the sum, whose smaller number comes first.
        free = bucket_of(f"add|{low}|{high}") == "train"
        return (f"{a} + {b} =", a + b) if free else None
    free = bucket_of(f"subtract|{high}|{low}") == "train"
    return (f"{high} - {low} =", high - low) if free else None


def _page_of_sums(rng: random.Random) -> list[Segment]:
    """Ten sums, one per line, as in an exercise book; held-out sums do not occur."""
    page: list[Segment] = []
    for asked, result in filter(None, (_draw_sum(rng) for _ in range(10))):
        page += [(asked, ASKED), (f" {result}\n", ANSWERED)]
    return page


def student_document(weights: Mapping[str, float], rng: random.Random) -> list[Segment]:
    """A page of sums, or 0-3 solved tasks of the same family (mostly) before one more task.

    Plain text in segments; what is asked counts less in the loss than what is answered.
    """
    if rng.random() < SUMS:
        return [*_page_of_sums(rng), (END, ANSWERED)]
    return _solved_document(weights, rng, (0, 0, 1, 2, 3))


def _solved_document(
    weights: Mapping[str, float], rng: random.Random, examples: Sequence[int]
) -> list[Segment]:
    """Write solved tasks, mostly of one family, with answers in one form.

    `examples` are the equally likely numbers of tasks before the last one.
    """
    name = _pick_family(weights, rng)
    names = []
    for _ in range(rng.choice(examples)):
        names.append(name if rng.random() < 0.8 else _pick_family(weights, rng))
    forms, shares = zip(*CONVENTIONS, strict=True)
    convention = rng.choices(forms, weights=shares)[0]
    segments: list[Segment] = []
    for drawn in [*names, name]:
        for turn in _draw_train_task(drawn, rng).turns:
            segments += _split_segments(turn, convention)
    return [*segments, (END, ANSWERED)]
