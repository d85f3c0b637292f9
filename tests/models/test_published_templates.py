"""The chat templates of common model families, as trl ships them, with a tiny tokenizer.

What would break: a family whose template writes its beginning twice, ends a turn in its own way,
shows thoughts of the last turn only, or reads the clock is trained on other tokens than it is asked
with; or a template that cannot be trained with passes the stage `models` and fails hours later.
"""

import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.changed_template import change_template
from montessori.models.settled_template import settle_template
from montessori.models.template_check import TriedTokens, check_template
from tests.tiny_models import tiny_tokenizer

FOLDER = Path(find_spec("trl").origin).parent / "chat_templates"  # importing it takes seconds
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.jinja"))}
#: Families whose thoughts come in another way than rows have them, or whose contents are no texts.
REFUSED = {
    "deepseek_r1_distill_training": "does not begin as",  # its blocks cannot be moved
    "deepseekv3_training": "does not begin as",
    "nemotron": "does not begin as",  # an option of the template helps
    "idefics": "what the user says",  # contents are lists of parts
    "smolvlm": "what the user says",
    "llava": "does not render",
}
#: Families that are changed, and what is changed.
CHANGED = {
    "deepseek_r1_distill": "does not open a thought",
    "deepseekv3": "does not open a thought",
    "glm4moe": "the last answer ends with <|user|>",
}
#: One of each kind; the others are tried by `make test-slow`.
QUICK = {"llama3_2", "gemma", "phi3", "qwen3", "gptoss", "cohere2", "nemotron_3_nano", *CHANGED}
MARKS = re.compile(r"<[|｜][^<>]*?[|｜]>|<end_of_turn>|<start_of_turn>|<\|?turn\|?>|</s>")
DIALOGUE = [
    {"role": "user", "content": "What is 17 plus 25?"},
    {"role": "assistant", "content": "It is 42."},
    {"role": "user", "content": "Now add 3 to that."},
    {"role": "assistant", "content": "Then it is 45."},
]


@lru_cache(maxsize=1)
def every_mark() -> tuple[str, ...]:
    """The special tokens of all families."""
    found = {mark for path in FILES.values() for mark in MARKS.findall(path.read_text("utf-8"))}
    return tuple(sorted(found | {"<s>", "</s>"}))


@pytest.fixture(scope="module")
def tokenizer():
    made = tiny_tokenizer()
    made.add_special_tokens(
        {"bos_token": "<s>", "eos_token": "</s>", "additional_special_tokens": list(every_mark())}
    )
    return made


def tried(tokenizer, name: str) -> TriedTokens:
    return TriedTokens(
        tokenizer.special_tokens_map,
        # GLM's generation_config.json names the beginnings of other turns too
        {"</s>", *(["<|user|>"] if name.startswith("glm") else [])},
        set(tokenizer.get_added_vocab()),
        lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
    )


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FILES],
)
def test_a_template_is_refused_at_once_or_trains_on_what_generation_sees(name, tokenizer):
    template = settle_template(FILES[name].read_text(encoding="utf-8"), {})
    tokens = tried(tokenizer, name)
    template, change = change_template(template, tokens)
    assert CHANGED.get(name, "") in change
    assert bool(change) == (name in CHANGED)
    problem = next((why for family, why in REFUSED.items() if name.startswith(family)), "")
    if problem:
        with pytest.raises(MontessoriError, match=problem):
            check_template(template, tokens, name)
        return
    check_template(template, tokens, name)
    tokenizer.chat_template = template
    rows = chat.tokenize_dialogues(tokenizer, [DIALOGUE[:2], DIALOGUE], 4000)
    (prompt,) = chat.render_prompts(tokenizer, [DIALOGUE[:1]])
    assert rows[0].ids[: len(prompt)] == prompt
    assert [row.ids.count(tokenizer.bos_token_id) <= 1 for row in rows] == [True, True]
    ends = {tokenizer.decode([i]) for i in chat.end_of_turn_ids(tokenizer)}
    for row, answers in zip(rows, (["42."], ["42.", "45."]), strict=True):
        learned = tokenizer.decode([i for i, kept in zip(row.ids, row.mask) if kept])
        assert [part in learned for part in answers] == [True] * len(answers)
        assert not any(text in learned for text in ("plus", "add"))
        assert learned.endswith(tuple(ends))


@pytest.mark.parametrize("name", ["llama3_2", "gptoss", "qwen3"])
def test_settings_in_the_template_render_as_settings_given_to_it(name):
    """And the clock stands still: the same tokens tomorrow."""
    text = FILES[name].read_text(encoding="utf-8")
    options = {"enable_thinking": False, "date_string": "01 May 2026", "reasoning_effort": "low"}

    def render(template, **given):
        given |= {"bos_token": "<s>", "eos_token": "</s>"}
        conversations = [DIALOGUE[:1]]
        return render_jinja_template(
            conversations, chat_template=template, add_generation_prompt=True, **given
        )[0][0]

    settled = settle_template(text, options)
    if name == "gptoss":
        assert "Current date: 2024-07-26" in render(settled)
        assert "Reasoning: low" in render(settled)
    else:
        assert render(settled) == render(text, **options)
    if name == "llama3_2":
        assert "26 Jul 2024" in render(settle_template(text, {}))
    assert settle_template(text, {"a_name_that_no_template_reads": 1}) == settle_template(text, {})
    assert (settle_template(text, {}) == text) == (name == "qwen3")
