"""The lab's closed benchmarks: our scoring against lm-eval's own model.

What would break: accuracies are not those that lm-eval would report for the same model folder.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.evals.lab_benchmarks.tasks.documents import add_letters, load_items
from montessori.generate import Generated, Request, Sampling
from montessori.generate.transformers_engine import TransformersEngine
from montessori.pipeline.machine import Machine


@pytest.fixture(scope="module")
def engine(model_folder: Path) -> TransformersEngine:
    return TransformersEngine.open(model_folder, Machine(device="cpu", threads=1))


@pytest.fixture
def scripted(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[str], str]], None]:
    """Let the engine answer each rendered prompt by a function."""

    def script(reply: Callable[[str], str]) -> None:
        def generate(
            requests: Sequence[Request], sampling: Sampling, on_done: object = None
        ) -> list[Generated]:
            prompts = [engine.tokenizer.decode(request.ids) for request in requests]
            return [Generated(reply(p), 1, n > 0, n, 0) for n, p in enumerate(prompts)]

        monkeypatch.setattr(engine, "generate", generate)

    return script


def run(engine: TransformersEngine, evals: Path, batch: int = 8, tokens: int = 8):
    from montessori.evals.lab_benchmarks.run_lm_eval import HarnessModel, run_harness

    return run_harness(HarnessModel(engine, batch), evals / "test", tokens)


@pytest.mark.parametrize(
    ("reply", "strict", "flexible"),
    [
        ("{n} + 7 = {sum}\n#### {sum}", 1.0, 1.0),
        ("{n} + 7 = {sum}\n#### {sum}.", 1.0, 1.0),
        ("{n} + 7 = {sum}", 0.0, 1.0),
        ("The answer is {sum}, so {sum}", 0.0, 1.0),
        ("{n} + 7 = {sum}\n#### 1{sum}", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_strict_and_flexible_match(
    engine: TransformersEngine,
    evals: Path,
    scripted: Callable,
    reply: str,
    strict: float,
    flexible: float,
) -> None:
    def answer(prompt: str) -> str:
        n = int(prompt.split()[2])
        assert prompt == (
            f"<|user|>Tom has {n} apples. He buys 7 more. How many apples does he "
            "have?<|end|><|assistant|>"
        )
        return reply.format(n=n, sum=n + 7)

    scripted(answer)
    words = run(engine, evals).words
    assert [row["item_id"] for row in words] == [f"micro_gsm8k-{n:02d}" for n in range(12)]
    assert {row["strict"] for row in words} == {strict}
    assert {row["flexible"] for row in words} == {flexible}
    assert [row["note"] for row in words[:2]] == (["truncated", ""] if reply else ["empty"] * 2)


@pytest.mark.parametrize("shift", [0, 1])
def test_the_likeliest_choice_counts(
    engine: TransformersEngine,
    evals: Path,
    scripted: Callable,
    monkeypatch: pytest.MonkeyPatch,
    shift: int,
) -> None:
    """A model sure of the right letter gets 100 %, one sure of the next letter 0 %."""

    def sure(engine: object, pairs: list, batch: int) -> list[tuple[float, bool]]:
        scores = []
        for context, continuation in pairs:
            question, answer = map(engine.tokenizer.decode, (context, continuation))
            assert question.endswith("<|end|><|assistant|>")
            number = int(question.split()[2])
            scores.append((float(answer[0] == "ABCD"[(number + shift) % 4]), False))
        return scores

    scripted(lambda prompt: "")
    monkeypatch.setattr("montessori.evals.lab_benchmarks.run_lm_eval.score_pairs", sure)
    result = run(engine, evals)
    assert [row["acc"] for row in result.choices] == [float(shift == 0)] * 12
    assert {row["subject"] for row in result.choices} == {"choice_units", "choice_stories"}
    assert result.versions == {"lm_eval": "0.4.13", "micro_gsm8k": "1", "micro_mmlu": "1"}


def test_scores_are_those_of_lm_evals_own_model(engine: TransformersEngine, evals: Path) -> None:
    """Shared contexts and our decoding change nothing but rounding."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from montessori.evals.lab_benchmarks.run_lm_eval import HarnessModel

    rows = load_items(str(evals / "test"), "micro_mmlu")["test"]
    theirs = HFLM(
        pretrained=engine.model, tokenizer=engine.tokenizer, batch_size=4, add_bos_token=False
    )
    ours = HarnessModel(engine, 4)
    prompts = [
        ours.apply_chat_template([{"role": "user", "content": row["prompt"]}]) for row in rows
    ]
    choices = [
        Instance("loglikelihood", {}, (prompt, text), 0)
        for prompt, row in zip(prompts, rows, strict=True)
        for text in add_letters(row["choices"])
    ]
    expected = theirs.loglikelihood(choices, disable_tqdm=True)
    for one, other in zip(ours.loglikelihood(choices), expected, strict=True):
        assert one[0] == pytest.approx(other[0], abs=1e-3)
        assert one[1] == other[1]
    settings = {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 6}
    openings = [prompt + row["answer"] for prompt, row in zip(prompts, rows, strict=True)]
    written = [Instance("generate_until", {}, (text, dict(settings)), 0) for text in openings]
    same = ours.generate_until(written)
    assert len(set(same)) > 2
    assert same == theirs.generate_until(written, disable_tqdm=True)


def test_prompts_get_no_second_beginning(
    engine: TransformersEngine, evals: Path, scripted: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer that puts a token before each text does so in no rendered dialogue."""
    from tokenizers.processors import TemplateProcessing

    prompts: list[str] = []
    scripted(lambda prompt: prompts.append(prompt) or "")
    backend = engine.tokenizer.backend_tokenizer
    before = backend.post_processor
    pad = ("<|pad|>", engine.tokenizer.pad_token_id)
    backend.post_processor = TemplateProcessing(single="<|pad|> $A", special_tokens=[pad])
    try:
        assert engine.tokenizer("x")["input_ids"][0] == pad[1]
        run(engine, evals)
    finally:
        backend.post_processor = before
    assert len(prompts) == 12
    assert all(prompt.startswith("<|user|>Tom has") for prompt in prompts)


def test_stop_texts_cut_answers(engine: TransformersEngine, scripted: Callable) -> None:
    from lm_eval.api.instance import Instance

    from montessori.evals.lab_benchmarks.run_lm_eval import HarnessModel

    scripted(lambda prompt: "one two three")
    settings = {"until": ["three", " two"], "max_gen_toks": 6}
    request = Instance("generate_until", {}, ("<|user|>x<|end|><|assistant|>", settings), 0)
    assert HarnessModel(engine, 4).generate_until([request]) == ["one"]


def test_a_question_beyond_the_context_is_an_error(engine: TransformersEngine, evals: Path) -> None:
    path = evals / "test" / "micro_mmlu.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["turns"] = ["7 " * 600]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(MontessoriError, match="tokens") as caught:
        run(engine, evals)
    assert "512" in str(caught.value)


def test_no_network_and_no_working_directory(
    engine: TransformersEngine,
    evals: Path,
    scripted: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError(f"network: {arguments}")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    scripted(lambda prompt: "")
    monkeypatch.chdir(tmp_path)
    result = run(engine, Path(os.path.relpath(evals)))
    assert (len(result.choices), len(result.words)) == (12, 12)


def test_tasks_work_from_lm_evals_command_line(evals: Path) -> None:
    """The task files need nothing from us but the folder of the items."""
    from montessori.evals.lab_benchmarks.tasks.documents import TASKS

    code = (
        "import sys; from lm_eval.tasks import TaskManager; "
        "manager = TaskManager(include_path=sys.argv[1], include_defaults=False, "
        "metadata={'items': sys.argv[2]}); "
        "tasks = manager.load(['micro_mmlu', 'micro_gsm8k'])['tasks']; "
        "assert sorted(tasks) == ['micro_gsm8k', 'micro_mmlu']; "
        "assert {len(task.test_docs()) for task in tasks.values()} == {12}"
    )
    items = str(evals / "dev")
    command = [sys.executable, "-c", code, str(TASKS), items]
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
