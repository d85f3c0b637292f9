"""Reading with shared demonstrations equals asking each question by itself, on real students.

What would break: in-context scores depend on which rows are scored together, or give a probability
to text that the student would not write.
"""

import copy
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pytest
import torch

from montessori.artifacts.schemas import QUESTIONS
from montessori.bench.icl import Work, rank_correlation, score_plainly
from montessori.errors import MontessoriError
from montessori.generate import Request, Sampling
from montessori.generate.transformers_engine import TransformersEngine
from montessori.signals.icl.demonstrations import Texts, build_group
from montessori.signals.icl.measure import Trial, grade_answers, score_trials
from montessori.signals.icl.settings import IclParams
from montessori.signals.icl.student import Form, Student
from montessori.signals.icl.tokens import (
    QuestionTokens,
    common_length,
    split_tokens,
    tokenize_opened,
)

ROOT = Path(__file__).parents[3]
SETTINGS = IclParams(
    templates="data/micro/prompts/icl",
    answers=(" {answer}", " The answer is {answer}."),
    stop="\n\n",
    read="forced",
    measure="accuracy",
    neutral="none",
    questions=0,
    max_new_tokens=24,
    rows_per_part=4,
)
SHOWN = [
    ("What is 17 plus 25?", "42"),
    ("What is 9 minus 4?", "The answer is 5."),
    ("Which is larger, 41 or 17?", "Step 1: compare. <ans>41</ans>"),
    ("What is the opposite of hot?", "nonsense nonsense nonsense"),
]


def question(text: str, target: str, closed: bool = True, response: str | None = None):
    known = {"input": text, "target": target, "closed": closed, "response": response}
    return known | {"question_id": text, "task": None, "skill": None}


ASKED = pl.DataFrame(
    [question(f"What is {a} plus {b}?", str(a + b)) for a, b in ((3, 4), (61, 8))]
    + [question(f"What is {a} minus {b}?", str(a - b)) for a, b in ((30, 4), (57, 39))]
    + [question("A rope is 3 metres and 46 centimetres long. How many centimetres is that?", "346")]
    + [question("What is 8 plus 1?", "10"), question("What is 6 plus 5?", "1")],
    schema=QUESTIONS,
)


@pytest.fixture(scope="module", params=["llama", "qwen"])
def student(request) -> Student:
    folder = ROOT / "data" / "micro" / request.param
    return Student(TransformersEngine(folder, batch=7, device="cpu", threads=1), SETTINGS.stop)


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts.read_folder(ROOT / SETTINGS.templates, SETTINGS)


@pytest.fixture(scope="module")
def work(texts) -> Work:
    prefixes = ["", *(texts.render_demonstration(q, r) for q, r in SHOWN)]
    return Work(prefixes, [ASKED] * len(prefixes))


def trials_of(work: Work) -> list[Trial]:
    return [Trial(*each) for each in zip(work.prefixes, work.frames, strict=True)]


def test_a_demonstration_as_the_lab_shows_it(texts):
    assert texts.render_demonstration("A?", "Step 1: b. <ans>c</ans>") == (
        "Question: A?\nAnswer: Step 1: b.\n#### c\n\n"
    )
    assert texts.render_demonstration("A?", " c ") == "Question: A?\nAnswer: c\n\n"
    assert texts.render_question("A?") == "Question: A?\nAnswer:"
    assert texts.state_answer("4", "4\n#### 4") == [" 4", " The answer is 4.", " 4\n#### 4"]


def test_read_scores_are_those_of_plain_generation(student, texts, work):
    read = score_trials(student, texts, trials_of(work), SETTINGS)
    truth = score_plainly(student, texts, work, SETTINGS.max_new_tokens)
    assert read == truth
    assert {value for row in read for value in row} == {0.0, 1.0}


def test_shared_generation_writes_what_plain_generation_writes(student, texts, work):
    groups = [build_group(student, texts, prefix, ASKED, False) for prefix in work.prefixes]
    shared = student.write_answers(groups, 24)
    for prefix, wrote in zip(work.prefixes, shared, strict=True):
        for asked, text in zip(ASKED["input"], wrote, strict=True):
            ids = student.tokenizer(prefix + texts.render_question(asked), add_special_tokens=False)
            out = student.engine.generate([Request(ids["input_ids"])], Sampling(24))[0]
            assert text == out.text.split("\n\n")[0]


def test_log_probabilities_are_those_of_one_whole_forward_pass(student, texts, work):
    groups = [build_group(student, texts, prefix, ASKED, False) for prefix in work.prefixes]
    for (prefix, asked), row in zip(groups, student.read_answers(groups), strict=True):
        for one, reading in zip(asked, row, strict=True):
            for answer, found in zip(one.answers, reading.logprobs, strict=True):
                ids = torch.tensor([[*prefix, *one.question, *answer]])
                with torch.no_grad():
                    logits = student.engine.model(ids).logits[0].log_softmax(-1)
                start = ids.shape[1] - len(answer)
                truth = sum(float(logits[start + k - 1, t]) for k, t in enumerate(answer))
                assert found == pytest.approx(truth, abs=2e-4)


def test_pruned_reading_judges_as_the_full_one(student, texts, work):
    groups = [build_group(student, texts, prefix, ASKED, False) for prefix in work.prefixes]
    full = [[reading.greedy for reading in row] for row in student.read_answers(groups)]
    assert student.judge_answers(groups) == full


def test_tokens_are_those_of_the_whole_text(student, texts):
    prefix = texts.render_demonstration(*SHOWN[0])
    asked = [texts.render_question(text) for text in ASKED["input"]]
    shared, rows = split_tokens(student.tokenizer, prefix, asked, [[" 7"]] * len(asked))
    assert len(shared) > 10
    for text, row in zip(asked, rows, strict=True):
        whole = student.tokenizer(prefix + text + " 7", add_special_tokens=False)["input_ids"]
        assert [*shared, *row.question, *row.answers[0]] == whole


def test_probability_and_logprob_come_from_the_same_reading(student, texts, work):
    trials = trials_of(work)
    likely = score_trials(student, texts, trials, replace(SETTINGS, measure="probability"))
    nats = score_trials(student, texts, trials, replace(SETTINGS, measure="logprob"))
    tokens = len(student.tokenizer(" 7", add_special_tokens=False)["input_ids"])
    assert all(0 <= value <= 1 for row in likely for value in row)
    assert 0 < math.exp(nats[0][0] * tokens) < 1


def test_the_probability_is_that_of_stating_the_answer_and_stopping(student, texts):
    """Against one whole forward pass per way; a way inside another is not counted twice."""
    asked = pl.DataFrame(
        [question("What is 3 plus 4?", "7", response="7\n#### 7")], schema=QUESTIONS
    )
    shown = texts.render_demonstration(*SHOWN[0])
    one = replace(SETTINGS, measure="probability")
    ((found,),) = score_trials(student, texts, [Trial(shown, asked)], one)
    prefix, (row,) = build_group(student, texts, shown, asked, False)
    truth = 0.0
    for answer in row.answers[:2]:  # the third goes on behind the first, where it may stop
        ids = torch.tensor([[*prefix, *row.question, *answer]])
        with torch.no_grad():
            logits = student.engine.model(ids).logits[0].log_softmax(-1)
        start = ids.shape[1] - len(answer)
        tokens = sum(float(logits[start + k - 1, t]) for k, t in enumerate(answer))
        truth += math.exp(tokens) * float(logits[-1, student.ends].exp().sum())
    assert len(row.answers) == 3
    assert found == pytest.approx(truth, abs=1e-5)


def test_a_way_that_goes_on_where_another_stops_is_not_counted_twice(student):
    end, other = min(student.end_ids), min({*range(9)} - student.end_ids)
    ways = QuestionTokens((), ((other,), (other, end, other), (other, other)))
    forms = [Form(False, math.log(p), math.log(s)) for p, s in ((0.5, 0.5), (0.2, 1.0), (0.1, 0.9))]
    assert student._combine_forms(ways, forms).probability == pytest.approx(0.25 + 0.09)


def test_a_written_answer_to_a_closed_question_is_tagged_or_the_first_line():
    asked = pl.DataFrame([question("Which?", "(B)")] * 4, schema=QUESTIONS)
    wrote = [
        "(B)\nOr not?",
        "Step one.\nStep two.\n<ans>(B)</ans>",
        "Step one.\n(B)",
        "<ans>(A)</ans>",
    ]
    assert grade_answers(wrote, asked) == [True, True, False, False]


def test_writing_ends_where_the_context_does(student, texts):
    def ids(text: str) -> list[int]:
        return student.tokenizer(texts.render_question(text))["input_ids"]

    short = long = "What is 3 plus 4?"
    while len(ids(f"{long} {short}")) < student.engine.limit - 4:
        long = f"{long} {short}"
    asked = pl.DataFrame([question(long, "7"), question(short, "7")], schema=QUESTIONS)
    (wrote,) = student.write_answers([build_group(student, texts, "", asked, False)], 64)
    out = student.engine.generate([Request(ids(long)), Request(ids(short))], Sampling(64))
    assert wrote == [each.text.split("\n\n")[0] for each in out]


def test_a_text_opens_as_the_tokenizer_opens_it(student):
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(student.tokenizer)
    plain = tokenizer([" 7", " 8 9"])["input_ids"]
    assert tokenize_opened(tokenizer, [" 7", " 8 9"]) == plain
    name = tokenizer.convert_ids_to_tokens(3)
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single=f"{name} $A {name}", special_tokens=[(name, 3)]
    )
    assert tokenizer(" 7")["input_ids"] == [3, *plain[0], 3]
    assert tokenize_opened(tokenizer, [" 7", " 8 9"]) == [[3, *row] for row in plain]
    shared, _ = split_tokens(tokenizer, "a", [" b", " c"], [[" 7"], [" 8"]])
    assert shared[0] == 3


def test_a_text_longer_than_the_context_is_refused(student, texts):
    limit = student.engine.limit
    groups = [build_group(student, texts, "word " * limit, ASKED, False)]
    write = partial(student.write_answers, max_new_tokens=4)
    for answer in (student.read_answers, student.judge_answers, write):
        with pytest.raises(MontessoriError, match="more than the student reads"):
            answer(groups)


def test_the_common_prefix_leaves_a_token_of_each():
    assert common_length([[1, 2, 3], [1, 2, 4]]) == 2
    assert common_length([[1, 2], [1, 2, 4]]) == 1
    assert common_length([[5, 2], [1, 2]]) == 0
    assert common_length([[1, 2, 3]]) == 2


def test_spearman_by_hand():
    assert rank_correlation([1, 2, 3], [10, 20, 15]) == pytest.approx(0.5)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_tokens_are_what_is_read_and_written_whatever_the_batch(
    texts, student, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student.engine, "batch", batch)
    one = build_group(student, texts, texts.render_demonstration(*SHOWN[0]), ASKED[:3], False)
    read = len(one[0]) + sum(len(row.question) for row in one[1])  # the demonstration once
    forms = sum(len(form) for row in one[1] for form in row.answers)

    def took(work) -> int:
        before = student.tokens
        work([one])
        return student.tokens - before

    assert took(student.read_answers) == read + forms
    assert read <= took(student.judge_answers) <= read + forms
    assert 3 <= took(lambda groups: student.write_answers(groups, 4)) - read <= 3 * 4
