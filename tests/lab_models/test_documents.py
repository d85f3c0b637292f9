"""The training documents of the lab's base models.

What would break: the base models learn held-out sums, or another prompt and template than the
pipeline uses.
"""

import random
import re
from pathlib import Path

import pytest

from montessori.formats.prompts import load_template, render_instruction_prompt
from montessori.formats.tags import parse_instruction
from montessori.lab.families import FAMILIES
from montessori.lab.grader import grade_responses, recognise_task
from montessori.lab.task import bucket_of, draw_task
from montessori.lab_models import documents
from montessori.lab_models.base import STUDENT_WEIGHTS, family_weights
from montessori.lab_models.rationales import STYLES, write_rationale
from montessori.models.chat import render_text
from tests.tiny_models import tiny_tokenizer

ALL = dict.fromkeys(FAMILIES, 1.0)
_MESSAGE = re.compile(r"<\|(user|assistant)\|>(.*)<\|end\|>", re.DOTALL)


def teacher_documents(count: int) -> list[list[documents.Segment]]:
    rng = random.Random(0)
    return [documents.teacher_document(documents.FOUNDATION, ALL, rng) for _ in range(count)]


def chats(count: int) -> list[list[dict[str, str]]]:
    """The chats among `count` teacher documents, read back from their text."""
    found = []
    for segments in teacher_documents(count):
        read = [_MESSAGE.fullmatch(text) for text, _ in segments]
        if all(read):
            found.append([{"role": m[1], "content": m[2]} for m in read if m])
    return found


def test_a_document_follows_from_its_random_state() -> None:
    assert teacher_documents(20) == teacher_documents(20)


def test_teacher_documents_are_chats_or_pages_of_sums_and_weigh_answers() -> None:
    made, talks = teacher_documents(300), chats(300)
    assert 10 <= len(made) - len(talks) <= 60  # one in ten is a page of sums
    for chat in talks:
        assert [m["role"] for m in chat] == ["user", "assistant"] * (len(chat) // 2)
    for segments in made:
        assert segments[-1][0].endswith(documents.END)
        for text, weight in segments:
            asked = text.startswith("<|user|>") or text.endswith("=")
            assert weight == (documents.ASKED if asked else documents.ANSWERED)


def test_new_instructions_are_valid_tasks_of_the_train_bucket() -> None:
    written = [c[1]["content"] for c in chats(400) if c[0]["content"].startswith("Write one new")]
    assert len(written) > 80
    for raw in written:
        task = recognise_task(parse_instruction(raw).turns)
        assert task is not None
        assert bucket_of(task.key) == "train"
        assert raw.startswith(documents.reason_for(task))


def test_the_prompt_is_the_one_the_pipeline_renders() -> None:
    template = load_template(Path("data/micro/prompts/instruction.jinja"))
    examples = ["<instruction>Add 1 and 2.</instruction>"]
    assert render_instruction_prompt(examples) == render_instruction_prompt(examples, template)


def test_mistakes_lead_to_a_new_task_of_the_same_family() -> None:
    rng = random.Random(1)
    for _ in range(40):
        prompt, reply = (m["content"] for m in documents._mistake_document(ALL, rng))
        asked = prompt.split("Question: ")[1].split("\nWrong answer:")[0]
        failed, fresh = recognise_task([asked]), recognise_task(parse_instruction(reply).turns)
        assert failed is not None
        assert fresh is not None
        assert failed.family == fresh.family


@pytest.mark.parametrize("prompt", list(STYLES))
def test_every_rationale_ends_with_the_gold_answer(prompt: str) -> None:
    for name in ("story_gain_loss", "add", "opposites"):
        turn = draw_task(FAMILIES[name], "train", random.Random(2)).turns[0]
        assert write_rationale(turn, prompt).endswith(f"<ans>{turn.answer}</ans>")


def test_rationale_styles_differ_and_keep_the_steps() -> None:
    turn = draw_task(FAMILIES["story_gain_loss"], "train", random.Random(2)).turns[0]
    texts = {write_rationale(turn, prompt) for prompt in STYLES}
    assert len(texts) == len(STYLES)
    for equation in turn.response.split("\n")[:-1]:
        assert all(equation in text for text in texts)


def test_sums_are_right_and_none_is_held_out() -> None:
    rng = random.Random(3)
    page = "".join(t for _ in range(200) for t, _ in documents._page_of_sums(rng))
    sums = re.findall(r"(\d+) ([-+x/]) (\d+) = (\d+)\n", page)
    assert len(sums) > 1000
    assert {sign for _, sign, _, _ in sums} == set("+-x/")
    for a, sign, b, result in sums:
        expected = {"+": int(a) + int(b), "-": int(a) - int(b), "x": int(a) * int(b)}.get(sign)
        assert int(result) == (int(a) / int(b) if sign == "/" else expected)
        if sign == "+":
            low, high = sorted((int(a), int(b)))
            assert bucket_of(f"add|{low}|{high}") == "train"
        if sign == "-":
            assert bucket_of(f"subtract|{a}|{b}") == "train"


def test_student_documents_share_one_convention_and_weigh_answers() -> None:
    rng = random.Random(4)
    seen = set()
    for _ in range(300):
        segments = documents.student_document(ALL, rng)
        text = "".join(t for t, _ in segments)
        if text.startswith("Question:"):
            seen.add(text.count("Question:"))
            sentences = text.count("Answer: The answer is")
            assert sentences in (0, text.count("Answer:"))
        assert {w for _, w in segments} == {documents.ASKED, documents.ANSWERED}
    assert {1, 2, 3, 4} <= seen


def test_gold_responses_in_documents_are_graded_right() -> None:
    rng = random.Random(5)
    for name in FAMILIES:
        task = draw_task(FAMILIES[name], "train", rng)
        replies = [m["content"] for m in documents.dialogue_of(task)[1::2]]
        assert all(grade_responses(task, replies).correct)


def test_weights_go_by_subject_but_choice_and_dialogue_by_kind() -> None:
    weights = family_weights(STUDENT_WEIGHTS)
    assert set(weights) == set(FAMILIES)
    assert weights["story_add"] == STUDENT_WEIGHTS["stories"]
    assert weights["choice_stories"] == STUDENT_WEIGHTS["choice"]
    assert weights["dialogue_story"] == STUDENT_WEIGHTS["dialogue"]
    assert weights["repeat_word"] == 1.0


def test_chat_text_is_what_the_template_renders() -> None:
    tokenizer = tiny_tokenizer()
    for messages in chats(30):
        assert documents.chat_text(messages) == render_text(tokenizer, messages)
