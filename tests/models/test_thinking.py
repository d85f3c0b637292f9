"""Thoughts before an answer: told apart by the model's own template and by the common marks.

What would break: students learn a teacher's thoughts, lengths count them, a judge's rating is read
from them; or a part of an answer that only looks like a thought is lost.
"""

import pytest

from montessori.models.template_check import make_renderer
from montessori.models.thinking import (
    COMMON,
    Parted,
    ThoughtStyle,
    find_opened,
    part_thought,
    read_style,
    split_thought,
)
from tests.models.test_published_templates import FILES

HARMONY = ThoughtStyle(
    "<|channel|>analysis<|message|>",
    "<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
)


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>\nIs it 4?\n</think>\n\nIt is 5.", "Is it 4?", "It is 5."),
        (" \n<think>a</think>b", "a", "b"),
        ("<think>\n\n</think>\n\nNo thought.", "", "No thought."),
        ("<think>cut off", "cut off", ""),
        ("<think>\n", "<think>", ""),
        ("<thinking>a</thinking>\nb", "a", "b"),
        ("<seed:think>a</seed:think>b", "a", "b"),
        ("[THINK]a[/THINK]b", "a", "b"),
        ("◁think▷a◁/think▷b", "a", "b"),
        ("<|START_THINKING|>a<|END_THINKING|>b", "a", "b"),
        ("<think>says </thinking> first</think>b", "says </thinking> first", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b", "a<|end|>", "b"),
        ("analysisWe add.assistantfinalIt is 5.", "We add.", "It is 5."),
        ("The prompt had it open.\n</think>\n\nb", "The prompt had it open.", "b"),
        ("an answer\n", "", "an answer\n"),
        ("analysis of the text", "", "analysis of the text"),
        ("Write <think> before </think> it.", "", "Write <think> before </think> it."),
        ("Close it with </think> here.", "", "Close it with </think> here."),
        ("<reasoning>asked for</reasoning>b", "", "<reasoning>asked for</reasoning>b"),
    ],
)
def test_common_marks(text, thought, answer):
    assert split_thought(text) == (thought, answer)


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        (f"{HARMONY.opening}a{HARMONY.closing}b", "a", "b"),
        (f"{HARMONY.preamble}b", "", "b"),
        (f"{HARMONY.opening}cut off", "cut off", ""),
        (f"{HARMONY.opening}a<|end|>more<|end|>{HARMONY.preamble}b", "a<|end|>more<|end|>", "b"),
        ("b", "", "b"),
    ],
)
def test_marks_of_the_models_own_template(text, thought, answer):
    assert split_thought(text, HARMONY) == (thought, answer)


def test_a_template_shows_its_marks():
    def style(name):
        text = FILES[name].read_text(encoding="utf-8")
        return read_style(make_renderer(text, {"bos_token": "<s>", "eos_token": "</s>"}))

    assert style("gptoss") == HARMONY
    assert (style("qwen3").opening, style("qwen3").closing) == ("<think>", "</think>")
    assert style("llama3") == ThoughtStyle()


@pytest.mark.parametrize(
    ("prompt", "closing"),
    [
        ("<|assistant|><think>\n", "</think>"),
        ("<|assistant|><think>\n\n</think>\n\n", ""),
        ("<|assistant|>", ""),
        ("Write <think>. <|assistant|>", ""),
    ],
)
def test_a_thought_that_the_prompt_opens_ends_at_its_mark(prompt, closing):
    assert find_opened(prompt) == closing
    text = "I think</think>so."
    wanted = ("I think", "so.") if closing else ("", text)
    assert split_thought(text, COMMON, closing) == wanted
    assert find_opened(f"<|assistant|>{HARMONY.opening}", HARMONY) == HARMONY.closing


def test_the_tokens_are_those_of_the_answer_or_of_a_thought_alone():
    count = len
    assert part_thought(Parted("<think>aa</think>b", 9), COMMON, "", count) == ("b", 1, "aa")
    assert part_thought(Parted("<think>aa", 9), COMMON, "", count) == ("", 9, "aa")
    assert part_thought(Parted("<think></think>", 9), COMMON, "", count) == ("", 0, "")
    assert part_thought(Parted(" b ", 9), COMMON, "", count) == (" b ", 9, "")
