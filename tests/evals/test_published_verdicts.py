"""Published verdicts, given by a scripted judge through the stage's path.

What would break: our judge stage asks in other words, or computes other figures, than the
benchmarks' authors did.
"""

import csv
import json
import math

import numpy as np
import polars as pl
import pytest

from montessori.evals.judging.judge_prompts import read_prompts
from montessori.evals.judging.model_judge import ModelJudge
from montessori.evals.judging.questions import plan_questions
from montessori.evals.judging.verdicts import verdict_table
from montessori.evals.lab_benchmarks.pair_metrics import predict_at_equal_length
from montessori.evals.metrics import compute_metrics
from montessori.evals.published.alpaca_scores import control_length
from montessori.evals.published.alpaca_scores import score_comparison as score_file
from montessori.evals.published.annotations import read_annotations
from montessori.evals.published.length_control_files import LengthControlFiles, read_gamed
from montessori.evals.settings import JudgeParams
from montessori.generate import Generated
from montessori.generate.kept import RecordedEngine
from montessori.generate.ledger import Ledger
from montessori.sources.alpaca_tables import read_difficulty
from tests.evals.judge_case import answered
from tests.evals.published_case import (
    alpaca_items,
    published_prompts,
    read_lines,
    shared,
    turn_items,
    write_items,
)

JUDGE = {"name": "gpt-4"}
LEADERBOARD = "alpaca_eval/weighted_alpaca_eval_gpt4_turbo_leaderboard.csv"


class Scripted:
    """An engine that answers by `reply(dialogue)`: a text and first tokens."""

    special_texts = ()

    def __init__(self, reply):
        self.reply = reply

    def render_prompts(self, dialogues):
        return [list(dialogue) for dialogue in dialogues]

    def generate(self, requests, sampling, on_done=None):
        found = [self.reply(request.prompt) for request in requests]
        return [Generated(text, 1, True, n, 0, first) for n, (text, first) in enumerate(found)]


def judge(tmp_path, evals, answers, reply, **settings):
    """The verdicts of a scripted judge that sees the published prompts."""
    params = JudgeParams("", "", **settings)
    questions = plan_questions(answers, answers, evals, "dev", params)
    engine = RecordedEngine(Scripted(reply), Ledger(tmp_path / "ledger.jsonl"), "gpt-4")
    prompts = read_prompts(published_prompts(tmp_path / "prompts"))
    made = ModelJudge("gpt-4", engine, prompts, params, {})
    return verdict_table("gpt-4", questions, made.give_verdicts(questions))


def first_tokens(row):
    """The published tokens; of rows without them, those that the preference stands for."""
    if row["raw_completion"] is None:
        share = row["preference"] - 1
        return tuple((name, math.log(p)) for name, p in (("m", share), ("M", 1 - share)) if p > 0)
    listed = row["raw_completion"]["logprobs"]["content"][0]["top_logprobs"]
    return tuple((one["token"], one["logprob"]) for one in listed)


def model_was_first(first, preference):
    """Whether the model was m: the share of m is then the preference, else what is left of 1."""
    weights = {name: math.exp(value) for name, value in first if name in "mM"}
    share = weights.get("m", 0.0) / sum(weights.values())
    return abs(share - preference) < abs(1 - share - preference)


def replies(rows):
    """The published first tokens by the text of a prompt, for both orders of the answers."""
    template = (shared() / "alpaca_eval/prompts/alpaca_eval_clf.txt").read_text()
    user = template.split("<|im_start|>user\n")[1].split("<|im_end|>")[0].strip()
    head, middle, tail = (part for part in user.split("{output_"))
    known = {}
    for row in rows:
        first = first_tokens(row)
        turned = tuple(({"m": "M", "M": "m"}.get(name, name), value) for name, value in first)
        was_first = model_was_first(first, row["preference"] - 1)
        begin = head.replace("{instruction}", row["instruction"])
        for model_first in (True, False):
            shown = [row["output_2"], row["output_1"]][:: 1 if model_first else -1]
            text = begin + shown[0] + middle[2:] + shown[1] + tail[2:]
            known[text] = first if model_first == was_first else turned
    return known


@pytest.mark.parametrize("model", ["gemma-2b-it", "alpaca-7b", "vicuna-7b-v1.5"])
def test_win_rate_error_and_length_control_of_a_published_model(tmp_path, model):
    path = shared() / f"alpaca_eval/results/{model}/annotations.weighted_gpt4_turbo.json"
    rows = json.loads(path.read_text())
    items = alpaca_items()
    by_prompt = {row["instruction"]: row["output_2"] for row in rows}
    evals = write_items(tmp_path / "evals", alpaca_eval=items)
    said = {item["item_id"]: by_prompt[item["turns"][0]] for item in items}
    answers = answered(evals, tmp_path / "answers", lambda item, turn: said[item])
    known = replies(rows)
    table = judge(tmp_path, evals, answers, lambda shown: ("m", known[shown[-1]["content"]]))

    metrics = compute_metrics(table, None, JUDGE)
    with open(shared() / LEADERBOARD) as handle:
        line = next(row for row in csv.DictReader(handle) if row[""] == model)
    assert metrics["items"]["alpaca_eval_public"] == 805
    assert metrics["alpaca_eval_public_win_rate"] == pytest.approx(
        float(line["win_rate"]), abs=0.01
    )
    error = float(line["standard_error"])
    assert metrics["alpaca_eval_public_standard_error"] == pytest.approx(error, abs=0.01)
    discrete = float(line["discrete_win_rate"])
    assert metrics["alpaca_eval_public_discrete_win_rate"] == pytest.approx(discrete, abs=0.01)
    assert metrics["judging"]["alpaca_eval_public"]["methods"]["logprobs"] >= 800
    assert metrics["alpaca_eval_win_rate"] == 50.0  # the run against itself

    files = LengthControlFiles(
        difficulty=shared() / "alpaca_eval/derived/instruction_difficulty_recovered.csv"
    )
    comparison = read_annotations(path)
    expected = score_file(comparison, control_length(comparison, files))
    fitted = expected["length_controlled_by_method"]["fit-with-difficulty"]
    assert metrics["alpaca_eval_public"] == pytest.approx(fitted, abs=0.05)
    assert metrics["alpaca_eval_public_length_controlled_method"] == "fit-with-difficulty"
    published = float(line["length_controlled_winrate"])
    assert abs(metrics["alpaca_eval_public"] - published) < 3.0  # no table of gamed answers


@pytest.mark.parametrize("model", ["gemma-2b-it", "alpaca-7b", "vicuna-7b-v1.5"])
def test_length_control_with_the_table_of_gamed_answers_is_that_of_the_score_command(
    tmp_path, model
):
    """The published table may not be copied; a made-up one shows that both fits use it."""
    comparison = read_annotations(
        shared() / f"alpaca_eval/results/{model}/annotations.weighted_gpt4_turbo.json"
    )
    difficulty = shared() / "alpaca_eval/derived/instruction_difficulty_recovered.csv"
    random = np.random.default_rng(0)
    gamed = tmp_path / "df_gamed.csv"
    lines = [",preference,std_delta_len,instruction_difficulty"]
    for number in range(1610):
        length = random.normal()
        lines.append(
            f"{number},{1 / (1 + math.exp(-length)):.4f},{length:.4f},{random.normal():.4f}"
        )
    gamed.write_text("\n".join(lines))
    files = LengthControlFiles(difficulty=difficulty, gamed=gamed)
    expected = score_file(comparison, control_length(comparison, files))
    assert expected["length_controlled_method"] == "published-fit"
    items = pl.DataFrame(
        {
            "preference": comparison.preference,
            "length": comparison.length,
            "against_length": comparison.reference_length,
            "difficulty": read_difficulty(difficulty),
        }
    ).with_columns(pl.lit("alpaca_eval_public").alias("benchmark"))
    predicted, method = predict_at_equal_length(items, read_gamed(gamed))
    assert method == "published-fit"
    assert 100 * predicted.mean() == pytest.approx(expected["length_controlled_winrate"], abs=0.01)
    without = expected["length_controlled_by_method"]["fit-with-difficulty"]
    assert abs(without - expected["length_controlled_winrate"]) > 0.1


def test_mt_bench_asks_in_the_published_words_and_finds_the_published_scores(tmp_path):
    folder = shared() / "mt_bench"
    verdicts = read_lines(folder / "model_judgment" / "llama3.jsonl")
    graded = [row for row in verdicts if row["score"] != -1]
    known = {row["user_prompt"]: row for row in graded}  # the last of those that were judged twice
    assert (len(verdicts), len(known)) == (170, 160)
    said = {
        row["question_id"]: row["choices"][0]["turns"]
        for row in read_lines(folder / "model_answer" / "Meta-Llama-3-8B-Instruct-Normal.jsonl")
    }
    evals = write_items(tmp_path / "evals", mt_bench=turn_items())
    answers = answered(
        evals, tmp_path / "answers", lambda item, turn: said[int(item[9:])][turn - 1]
    )
    table = judge(
        tmp_path, evals, answers, lambda shown: (known[shown[-1]["content"]]["judgment"], ())
    )
    metrics = compute_metrics(table, None, JUDGE)
    for turn in (1, 2):
        expected = np.mean([row["score"] for row in known.values() if row["turn"] == turn])
        assert metrics["mt_bench_turns"][str(turn)] == pytest.approx(expected)
    assert metrics["mt_bench"] == pytest.approx(np.mean([row["score"] for row in known.values()]))
    assert metrics["mt_bench_graded"] == 160
    assert len(metrics["mt_bench_categories"]) == 8


def test_the_scripted_prompt_is_that_of_the_alpaca_eval_package(tmp_path):
    """AlpacaEval itself fills and splits the prompt of each of the 805 pairs as ours does."""
    utils = pytest.importorskip("alpaca_eval.utils")
    pandas = pytest.importorskip("pandas")
    rows = json.loads(
        (
            shared() / "alpaca_eval/results/alpaca-7b/annotations.weighted_gpt4_turbo.json"
        ).read_text()
    )
    template = (shared() / "alpaca_eval/prompts/alpaca_eval_clf.txt").read_text()
    frame = pandas.DataFrame(rows)[["instruction", "output_1", "output_2"]]
    theirs, _ = utils.make_prompts(frame, template)
    prompts = read_prompts(published_prompts(tmp_path / "prompts"))
    evals = write_items(tmp_path / "evals", alpaca_eval=alpaca_items())
    outputs = {row["instruction"]: row["output_2"] for row in rows}
    by_id = {item["item_id"]: outputs[item["turns"][0]] for item in alpaca_items()}
    answers = answered(evals, tmp_path / "answers", lambda item, turn: by_id[item])
    questions = plan_questions(answers, answers, evals, "dev", JudgeParams("", "", orders="both"))
    ours = {
        question.item.turns[0]: prompts.dialogue_for(question, ())
        for question in questions
        if question.against == "reference" and question.swapped
    }
    different = [
        row["instruction"]
        for row, text in zip(rows, theirs, strict=True)
        if utils.prompt_to_chatml(text.strip()) != ours[row["instruction"]]
    ]
    assert different == []
