"""Rendering and loss masks, for templates with and without generation blocks.

What would break: models are trained on the user's text, or see other tokens in training than in
use.
"""

import pytest

from montessori.errors import MontessoriError
from montessori.models import chat
from tests.slow_twins.rendering import render_prompt, tokenize_dialogue
from tests.tiny_models import CHAT_TEMPLATE, tiny_tokenizer

LAB = CHAT_TEMPLATE.read_text(encoding="utf-8")
PLAIN = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TRIMMING = PLAIN.replace("m['content']", "m['content'] | trim")
LINES = PLAIN.replace("'<|end|>'", "'<|end|>\n'")
END_OUTSIDE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}"
    "{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
FORGETFUL = (  # shows the last assistant turn only, as templates that cut reasoning do
    "{% for m in messages %}{% if m['role'] == 'user' or loop.last %}"
    "{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TWO_TURNS = [
    {"role": "user", "content": "What is 17 plus 25?"},
    {"role": "assistant", "content": " 42\n"},
    {"role": "user", "content": "Now add 3 to that."},
    {"role": "assistant", "content": "45"},
]


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


def marked(tokenizer, tokens):
    """The masked stretches of a dialogue as texts."""
    stretches, current = [], []
    for token, mask in zip(tokens.ids, tokens.mask, strict=True):
        if mask:
            current.append(token)
        elif current:
            stretches.append(tokenizer.decode(current))
            current = []
    return stretches + ([tokenizer.decode(current)] if current else [])


def test_the_lab_format_is_exact(tokenizer):
    assert chat.render_text(tokenizer, TWO_TURNS) == (
        "<|user|>What is 17 plus 25?<|end|><|assistant|> 42\n<|end|>"
        "<|user|>Now add 3 to that.<|end|><|assistant|>45<|end|>"
    )
    assert chat.render_text(tokenizer, TWO_TURNS[:1], prompt=True) == (
        "<|user|>What is 17 plus 25?<|end|><|assistant|>"
    )


@pytest.mark.parametrize(
    ("template", "first"),
    [
        (LAB, " 42\n<|end|>"),
        (PLAIN, " 42\n<|end|>"),
        (TRIMMING, "42<|end|>"),
        (LINES, " 42\n<|end|>"),
        (END_OUTSIDE, " 42\n<|end|>"),
    ],
    ids=["lab", "no blocks", "trimming", "line ends", "end outside the block"],
)
def test_the_mask_marks_assistant_text_and_its_end(tokenizer, template, first):
    tokenizer.chat_template = template
    tokens = tokenize_dialogue(tokenizer, TWO_TURNS, 200)
    assert marked(tokenizer, tokens) == [first, "45<|end|>"]
    assert (
        tokens.ids
        == tokenizer(chat.render_text(tokenizer, TWO_TURNS), add_special_tokens=False)["input_ids"]
    )


@pytest.mark.parametrize("template", [LAB, PLAIN, TRIMMING, LINES, END_OUTSIDE])
def test_a_prompt_is_the_beginning_of_the_dialogue_up_to_the_mask(tokenizer, template):
    tokenizer.chat_template = template
    prompt = render_prompt(tokenizer, TWO_TURNS[:1])
    tokens = tokenize_dialogue(tokenizer, TWO_TURNS, 200)
    assert tokens.ids[: len(prompt)] == prompt
    assert tokens.mask[: len(prompt) + 1] == [0] * len(prompt) + [1]


def test_blocks_and_prefixes_give_the_same_mask(tokenizer):
    with_blocks = tokenize_dialogue(tokenizer, TWO_TURNS, 200)
    tokenizer.chat_template = PLAIN
    assert tokenize_dialogue(tokenizer, TWO_TURNS, 200) == with_blocks


def test_the_mask_equals_the_one_of_transformers(tokenizer):
    theirs = tokenizer.apply_chat_template(
        TWO_TURNS, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ours = tokenize_dialogue(tokenizer, TWO_TURNS, 200)
    assert (ours.ids, ours.mask) == (theirs["input_ids"], theirs["assistant_masks"])


def test_a_template_that_rewrites_history_is_an_error(tokenizer):
    tokenizer.chat_template = FORGETFUL
    assert any(tokenize_dialogue(tokenizer, TWO_TURNS[:2], 200).mask)
    with pytest.raises(MontessoriError, match="earlier turns") as error:
        tokenize_dialogue(tokenizer, TWO_TURNS, 200)
    assert "generation" in str(error.value)


def test_a_template_that_raises_is_an_error(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    with pytest.raises(MontessoriError, match="no system role"):
        chat.render_text(tokenizer, TWO_TURNS)


def test_truncation_that_leaves_no_answer_shows(tokenizer):
    whole = tokenize_dialogue(tokenizer, TWO_TURNS, 200)
    short = tokenize_dialogue(tokenizer, TWO_TURNS, 4)
    assert short.ids == whole.ids[:4]
    assert any(whole.mask)
    assert not any(short.mask)


def test_many_at_once_are_as_one_by_one(tokenizer):
    rows = [TWO_TURNS, TWO_TURNS[:2], [*TWO_TURNS[:2], *TWO_TURNS]]
    assert chat.tokenize_dialogues(tokenizer, rows, 50) == [
        tokenize_dialogue(tokenizer, row, 50) for row in rows
    ]
    prompts = [row[:1] for row in rows]
    assert chat.render_prompts(tokenizer, prompts) == [
        render_prompt(tokenizer, prompt) for prompt in prompts
    ]
    assert chat.tokenize_dialogues(tokenizer, [], 50) == chat.render_prompts(tokenizer, []) == []


def test_multibyte_text_is_marked_whole(tokenizer):
    dialogue = [{"role": "user", "content": "Übung"}, {"role": "assistant", "content": "日本 ok é"}]
    assert marked(tokenizer, tokenize_dialogue(tokenizer, dialogue, 200)) == ["日本 ok é<|end|>"]


def test_the_template_hash_survives_saving_and_tells_templates_apart(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "a")
    tokenizer.save_pretrained(tmp_path / "b")
    loaded = chat.load_tokenizer(tmp_path / "a")
    assert chat.template_hash(loaded) == chat.template_hash(tokenizer)
    assert chat.require_same_template(tmp_path / "a", tmp_path / "b") == chat.text_hash(LAB)
    tokenizer.chat_template = PLAIN
    tokenizer.save_pretrained(tmp_path / "b")
    with pytest.raises(MontessoriError, match="different chat templates"):
        chat.require_same_template(tmp_path / "a", tmp_path / "b")


def test_a_folder_without_tokenizer_or_template_is_refused(tokenizer, tmp_path):
    with pytest.raises(MontessoriError, match="no tokenizer"):
        chat.load_tokenizer(tmp_path)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "bare")
    with pytest.raises(MontessoriError, match="no chat template"):
        chat.load_tokenizer(tmp_path / "bare")
    with pytest.raises(MontessoriError, match="no chat template"):
        chat.folder_template(tmp_path / "bare")


def test_special_tokens_are_known(tokenizer):
    assert set(chat.special_texts(tokenizer)) == {"<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"}
    assert chat.end_of_turn_ids(tokenizer) == (tokenizer.eos_token_id,)


def test_blanks_without_offsets_are_learned(tokenizer):
    """ByteLevel's post-processor takes blanks off the offsets: indentation would have no loss."""
    from tokenizers.processors import ByteLevel

    tokenizer.backend_tokenizer.post_processor = ByteLevel(trim_offsets=True)
    code = "a = 1\n\n    b  =  2   c"
    dialogue = [{"role": "user", "content": " Code? "}, {"role": "assistant", "content": code}]
    assert marked(tokenizer, tokenize_dialogue(tokenizer, dialogue, 200)) == [f"{code}<|end|>"]


def test_a_prompt_that_merges_with_answers_is_refused_and_an_answers_own_blanks_are_not(tokenizer):
    """Training would begin with other tokens than generation sees."""
    tokenizer.chat_template = PLAIN.replace(
        "{{ '<|' + m['role'] + '|>' + m", "{{ '<|' + m['role'] + '|>1' + m"
    ).replace("'<|assistant|>'", "'<|assistant|>1'")
    tokenizer.add_tokens(["12"])
    question = {"role": "user", "content": "What is 6 times 2?"}
    with pytest.raises(MontessoriError, match="does not begin with the tokens that generation"):
        chat.tokenize_dialogues(tokenizer, [[question, {"role": "assistant", "content": "2"}]], 99)
    for content in ("Two.", "\n2"):
        chat.tokenize_dialogues(
            tokenizer, [[question, {"role": "assistant", "content": content}]], 99
        )


def test_a_turn_ends_where_the_template_ends_it_and_not_at_a_name(tokenizer):
    """gpt-oss ends its analysis with <|end|> and its answer with <|return|>."""
    tokenizer.add_special_tokens({"eos_token": "</s>", "additional_special_tokens": ["<|stop|>"]})
    tokenizer.chat_template = PLAIN
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in ("</s>", "<|end|>", "<|stop|>")}
    assert set(chat.end_of_turn_ids(tokenizer)) == {ids["</s>"], ids["<|end|>"]}
    tokenizer.chat_template = PLAIN.replace("<|end|>'", "<|stop|>'")
    assert set(chat.end_of_turn_ids(tokenizer)) == {ids["</s>"], ids["<|stop|>"]}


LAST_THOUGHT = (  # as Qwen3: an empty thought in the last turn only
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}"
    "{{ '<think></think>' if loop.last and m['role'] == 'assistant' }}"
    "{{ m['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def test_the_loss_of_changed_earlier_turns_is_found_by_their_place(tokenizer):
    tokenizer.chat_template = LAST_THOUGHT
    tokens = tokenize_dialogue(tokenizer, TWO_TURNS, 200)
    assert marked(tokenizer, tokens) == [" 42\n<|end|>", "<think></think>45<|end|>"]


def test_the_end_is_learned_where_it_is_the_padding_too(tokenizer):
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from montessori.train.loss import tokenize_rows

    def labels():
        rows = tokenize_rows(tokenizer, [TWO_TURNS, TWO_TURNS[:2]], 200)
        collate = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)
        batch = collate([{"input_ids": row.ids, "labels": row.labels} for row in rows])
        return batch["labels"].tolist()

    apart = labels()
    tokenizer.pad_token = tokenizer.eos_token
    assert labels() == apart
    assert [row.count(tokenizer.eos_token_id) for row in apart] == [2, 1]


SYSTEM = [{"role": "system", "content": "Answer like a pirate."}, *TWO_TURNS]
REFUSING = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{% endfor %}" + PLAIN
)
DROPPING = PLAIN.replace("in messages %}", "in messages if m['role'] != 'system' %}")


def test_a_system_message_stands_where_the_template_has_it(tokenizer):
    made = chat.tokenize_dialogues(tokenizer, [SYSTEM], 1000)[0]
    text = tokenizer.decode(made.ids, clean_up_tokenization_spaces=False)
    assert text.startswith("<|system|>Answer like a pirate.<|end|><|user|>What is 17 plus 25?")
    assert marked(tokenizer, made) == [" 42\n<|end|>", "45<|end|>"]
    assert not made.joined


@pytest.mark.parametrize("template", [REFUSING, DROPPING])
def test_a_system_message_that_the_template_does_not_show_opens_the_first_turn(tokenizer, template):
    tokenizer.chat_template = template
    made, without = chat.tokenize_dialogues(tokenizer, [SYSTEM, TWO_TURNS], 1000)
    text = tokenizer.decode(made.ids, clean_up_tokenization_spaces=False)
    assert text.startswith("<|user|>Answer like a pirate.\n\nWhat is 17 plus 25?<|end|>")
    assert marked(tokenizer, made) == [" 42\n<|end|>", "45<|end|>"]
    prompt = chat.render_prompts(tokenizer, [SYSTEM[:-1]])[0]
    assert made.ids[: len(prompt)] == prompt
    assert (made.joined, without.joined) == (True, False)
