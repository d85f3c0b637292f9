"""Engines give answers without thoughts, and ledgers keep both.

What would break: a text that later stages read still begins with what its model thought, or a
killed stage that goes on has lost what was parted.
"""

from types import SimpleNamespace

import pytest

from montessori.generate import Request, Sampling
from montessori.generate.dialects import Chat
from montessori.generate.ledger import Answer, Cost, Ledger
from montessori.generate.local import LocalModel
from montessori.models.hosted import HostedModel
from tests.tiny_models import tiny_tokenizer


def test_a_local_model_parts_by_its_prompt_and_counts_the_answers_tokens(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{- '<|assistant|>' -}}\n{%- endif -%}", "{{- '<|assistant|><think>' -}}\n{%- endif -%}"
    )
    tokenizer.save_pretrained(tmp_path)
    model = LocalModel(tmp_path)
    (prompt,) = model.render_prompts([[{"role": "user", "content": "What is 17 plus 25?"}]])
    count = len(tokenizer("It is 42.", add_special_tokens=False)["input_ids"])
    assert model.part_thought("17 + 25</think>It is 42.", 99, prompt) == (
        "It is 42.",
        count,
        "17 + 25",
    )
    assert model.part_thought("a</think>b", 9, prompt[:-8]) == ("a</think>b", 9, "")


@pytest.mark.parametrize("kind", ["transformers", "vllm"])
def test_an_engine_gives_the_answer_and_the_thought_apart(kind, tmp_path):
    """The model is left out: its tokens are given."""
    tiny_tokenizer().save_pretrained(tmp_path)
    if kind == "vllm":
        from montessori.generate.vllm_engine import VllmEngine as Engine
    else:
        from montessori.generate.transformers_engine import TransformersEngine as Engine
    engine = Engine.__new__(Engine)
    LocalModel.__init__(engine, tmp_path)
    ids = engine.tokenizer("<think>17 + 25</think>It is 42.")["input_ids"]
    engine.limit, engine.end_ids, engine.adapters = 99, frozenset({3}), None
    request = Request(engine.tokenizer("Why?")["input_ids"])
    if kind == "vllm":
        sample = SimpleNamespace(token_ids=[*ids, 3], finish_reason="stop", logprobs=None)
        engine.llm = SimpleNamespace(generate=lambda *_, **__: [SimpleNamespace(outputs=[sample])])
        engine.sampling_params = lambda *_: None
        (made,) = engine.generate([request], Sampling(64))
    else:

        def write(prompts, copies, rows, seeds, sampling):
            rows[0].tokens, rows[0].finished = ids, True

        engine._write = write
        (made,) = engine.decode_batch([(0, request)], Sampling(64))
    count = len(engine.tokenizer("It is 42.")["input_ids"])
    assert (made.text, made.thought) == ("It is 42.", "17 + 25")
    assert (made.tokens, made.finished) == (count, True)


def test_a_server_may_part_thoughts_itself():
    chat = Chat(HostedModel("http://x/v1", "m-2026-01-01", ""))
    message = {"content": None, "reasoning_content": "Hm."}
    answer, _ = chat.read_answer({"choices": [{"message": message, "finish_reason": "length"}]})
    assert (answer.text, answer.thought, answer.finished) == ("", "Hm.", False)
    assert chat.part_thought("<think>12</think>1234", 21, []) == ("1234", 4, "12")


def test_a_short_answer_behind_a_long_thought_keeps_a_known_count():
    chat = Chat(HostedModel("http://x/v1", "m-2026-01-01", ""))
    text = f"<think>{'Hm. ' * 100}</think>7"
    assert chat.part_thought(text, 100, [])[:2] == ("7", 1)
    assert chat.part_thought(text, 0, [])[:2] == ("7", 0)  # the server does not count
    assert chat.part_thought("<think></think>", 9, [])[:2] == ("", 0)


def test_a_ledger_keeps_the_thought(tmp_path):
    path = tmp_path / "answers.jsonl"
    kept = [Answer("b", 1, True, (), "a"), Answer("b", 1, True)]
    for name, answer in zip(("one", "two"), kept, strict=True):
        Ledger(path).add_answer(name, answer, Cost())
    assert list(Ledger(path).answers.values()) == kept
    assert path.read_text().count("thought") == 1
