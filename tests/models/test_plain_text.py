"""Texts of control tokens in messages: HTML's <s> with Llama 2, <|end|> in an answer.

What would break: a row's own words end its answer or open a turn, the text behind them is learned
as a turn's, and a prompt of words becomes one of several turns.
"""

import json

import pytest

from montessori.models import chat, plain_text
from tests.tiny_models import SENTENCES, tiny_tokenizer

LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + "
    "' [/INST]' }}{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
SPECIAL = ["<unk>", "<s>", "</s>"]


def sentencepiece_like(kind: str):
    """A tokenizer in the form of Llama 2's: `kind` is what puts a blank before a text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "unigram":
        made = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=120,
            special_tokens=SPECIAL,
            unk_token="<unk>",
            initial_alphabet=list("<>[]/|" + "abcdefghijklmnopqrstuvwxyz"),
            show_progress=False,
        )
    else:
        made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
        bytes_ = [f"<0x{value:02X}>" for value in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=500, special_tokens=[*SPECIAL, *bytes_], show_progress=False
        )
    if kind == "normalizer":
        steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        made.normalizer = normalizers.Sequence(steps)
    else:
        scheme = "always" if kind == "always" else "first"
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made.train_from_iterator(SENTENCES, trainer)
    return wrap_tokenizer(made)


def wrap_tokenizer(made):
    """As transformers has it; bytes are no added tokens."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    state = json.loads(made.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] in SPECIAL]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = LLAMA_2
    return tokenizer


def byte_level():
    """The lab's; <|user|> is an added token that is not special, as in some models."""
    tokenizer = tiny_tokenizer()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["content"] != "<|user|>"
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        eos_token="<|end|>",
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = tokenizer.chat_template
    return made


FAMILIES = {
    "byte level": byte_level,
    "normalizer": lambda: sentencepiece_like("normalizer"),
    "always": lambda: sentencepiece_like("always"),
    "first": lambda: sentencepiece_like("first"),
    "unigram": lambda: sentencepiece_like("unigram"),
}


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request):
    return FAMILIES[request.param]()


def dialogue(question: str, answer: str) -> list[dict[str, str]]:
    roles = ("user", "assistant", "user", "assistant")
    texts = (question, answer, "a", answer)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]


def controls_of(tokenizer) -> list[str]:
    """Its control tokens, but for the one that stands for unknown characters."""
    return [text for text in chat.special_texts(tokenizer) if text != tokenizer.unk_token]


def test_the_words_of_a_dialogue_are_never_control_tokens(tokenizer):
    ids = set(tokenizer.convert_tokens_to_ids(controls_of(tokenizer)))
    for text in controls_of(tokenizer):
        held = dialogue(f"what is {text}old{text} ?", f"it is {text} and{text}{text}")
        free = dialogue("what is old ?", "it is and")
        made, plain = chat.tokenize_dialogues(tokenizer, [held, free], 1000)
        assert [each for each in made.ids if each in ids] == [i for i in plain.ids if i in ids]
        assert (made.plain, plain.plain) == (True, False)
        shown = tokenizer.decode(made.ids, clean_up_tokenization_spaces=False)
        assert shown.count(f"it is {text} and{text}{text}") == 2
        assert f"what is {text}old{text} ?" in shown


def test_the_loss_is_on_the_whole_answer_and_its_end(tokenizer):
    text = controls_of(tokenizer)[0]
    made = chat.tokenize_dialogues(tokenizer, [dialogue("ask", f"it is {text} and")], 1000)[0]
    learned = [i for i, kept in zip(made.ids, made.mask, strict=True) if kept]
    shown = tokenizer.decode(learned, clean_up_tokenization_spaces=False)
    assert shown.count(f"it is {text} and") == 2
    assert "ask" not in shown
    assert learned[-1] == tokenizer.eos_token_id


def test_generation_is_asked_with_the_same_tokens(tokenizer):
    for text in controls_of(tokenizer):
        messages = dialogue(f"say {text}", f"{text} and")[:2]
        prompt = chat.render_prompts(tokenizer, [messages[:1]])[0]
        made = chat.tokenize_dialogues(tokenizer, [messages], 1000)[0]
        assert made.ids[: len(prompt)] == prompt


def test_the_twin_reads_other_texts_as_the_tokenizer_does(tokenizer):
    """So that a row with such a text has the tokens of any other row elsewhere."""
    text = chat.render_text(tokenizer, dialogue("what is  the opposite\n of hot ?", "it is cold."))
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    twin = plain_text._encode_marked(tokenizer, text)
    assert (twin.ids, twin.offsets) == (found["input_ids"], found["offset_mapping"])


def test_texts_without_a_template_have_no_control_tokens(tokenizer):
    text = controls_of(tokenizer)[0]
    ids = plain_text.encode_ids(tokenizer, plain_text.mark_texts(tokenizer, [f"it is {text}."]))[0]
    assert tokenizer.convert_tokens_to_ids(text) not in ids


def test_marking_twice_is_marking_once(tokenizer):
    controls = plain_text.control_texts(tokenizer)
    once = controls.mark(f"it is {controls_of(tokenizer)[0]}")
    assert controls.mark(once) == once


def test_an_added_token_that_the_template_writes_is_a_control_token():
    assert "<|user|>" in chat.special_texts(byte_level())


def test_words_and_thoughts_that_are_added_tokens_are_none():
    tokenizer = byte_level()
    tokenizer.add_tokens(["<think>", "</think>", "cold", "  "])
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{- '<|assistant|>' -}}", "{{- '<|assistant|>' + 'cold<think>  </think>' -}}"
    )
    special = chat.special_texts(tokenizer)
    assert set(special) == {"<|assistant|>", "<|end|>", "<|pad|>", "<|user|>"}
