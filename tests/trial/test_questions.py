"""The questions of a trial find what they are asked for.

What would break: an engine that writes other text, influence with wrong signs, a doubled BOS token
or a trainer on other tokens gets an "ok", and the numbers of weeks are wrong.
"""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from montessori.errors import MontessoriError
from montessori.evals.judging.verdicts import Verdict
from montessori.generate.engine import UNBOUNDED, Generated
from montessori.models.hosted import HostedModel
from montessori.signals.influence.settings import InfluenceParams
from montessori.train.settings import TeacherDpoParams
from montessori.trial import (
    cost,
    engine,
    folder,
    judging,
    memory,
    preference,
    template,
    training,
)
from montessori.trial.candidate import Candidate, Measured, read_settings
from montessori.trial.cost import require_room
from montessori.trial.findings import show_text
from tests.trial.conftest import write_params


def test_another_text_of_the_engine_is_a_problem(candidate: Candidate, monkeypatch):
    def write(self, requests, sampling, on_done=None):
        return [Generated("other text", 2, True, i, 0) for i in range(len(requests))]

    monkeypatch.setattr(engine.TransformersEngine, "generate", write)
    texts, scores = engine.ask_engine(candidate)
    assert texts.verdict == "problem"
    assert "4 of 4 greedy texts" in texts.text
    assert scores.verdict == "ok"


def test_other_scores_of_the_engine_are_a_problem(candidate: Candidate, monkeypatch):
    real = engine.score_pairs

    def score(*arguments):
        return [(value + 0.7, greedy) for value, greedy in real(*arguments)]

    monkeypatch.setattr(engine, "score_pairs", score)
    texts, scores = engine.ask_engine(candidate)
    assert (texts.verdict, scores.verdict) == ("ok", "problem")
    assert "off by up to 0.7 nats" in scores.text


@pytest.mark.parametrize(
    ("spearman", "verdict"), [(0.95, "ok"), (0.5, "problem"), (math.nan, "problem")]
)
def test_an_audit_below_its_limit_is_a_problem(candidate: Candidate, spearman, verdict):
    audit = {"spearman": spearman, "sign_agreement": 1.0, "max_deviation": 0.1, "probes": 8}
    params = candidate.settings.section("influence", InfluenceParams)
    assert training._judge_audit("all", {"audit": audit}, params).verdict == verdict


@pytest.mark.parametrize(
    ("before", "first", "after", "verdict"),
    [
        (2.0, 2.001, 1.9, "ok"),
        (2.0, 2.3, 1.9, "problem"),  # the trainer saw other tokens
        (2.0, 2.0, 2.1, "note"),
        (2.0, 2.0, math.nan, "problem"),
    ],
)
def test_a_step_is_judged_by_its_losses(before, first, after, verdict):
    assert training._judge_step(before, first, after).verdict == verdict


def test_a_policy_unlike_its_reference_is_a_problem(candidate: Candidate, monkeypatch):
    monkeypatch.setattr(preference, "train_teacher", lambda *a, **k: {"loss_first": 0.75})
    assert preference.ask_dpo(candidate)[0].verdict == "problem"


def test_weights_that_change_when_they_are_saved_are_a_problem(candidate: Candidate, monkeypatch):
    real = training.load_model

    def load(folder):
        model = real(folder)
        if folder.name == "again":
            model.model.norm.weight.data += 0.1
        return model

    monkeypatch.setattr(training, "load_model", load)
    assert training._ask_reload(candidate, candidate.folder).verdict == "problem"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        # an answer that is rendered behind another opening than the prompt's
        (
            "{% for m in messages %}<|user|>{% if m.role == 'assistant' %}{% generation %}"
            "{{ m.content }}<|end|>{% endgeneration %}{% else %}{{ m.content }}<|end|>{% endif %}"
            "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
            "does not begin with the tokens that generation sees",
        ),
        # the end of the turn outside of what is trained
        (
            "{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>{% generation %}"
            "{{ m.content }}{% endgeneration %} .<|end|>{% else %}<|user|>{{ m.content }}<|end|>"
            "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
            "end of the turn is not trained",
        ),
        # the question learned with the answer, as one part or as two
        (
            "{% generation %}{% for m in messages %}{{ '<|user|>' if m.role == 'user' else "
            "'<|assistant|>' }}{{ m.content }}<|end|>{% endfor %}{% endgeneration %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}",
            "the loss is on",
        ),
        (
            "{% for m in messages %}{{ '<|user|>' if m.role == 'user' else '<|assistant|>' }}"
            "{% generation %}{{ m.content }}<|end|>{% endgeneration %}{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}",
            "2 parts of the row are trained, not 1 answers",
        ),
    ],
    ids=["another prompt", "no end", "everything", "the question"],
)
def test_templates_that_train_other_tokens(candidate: Candidate, text, word):
    candidate.tokenizer.chat_template = text
    dialogue = template.build_dialogue(template.TURNS[:1], template.ANSWERS[:1])
    assert word in " ".join(template.row_problems(candidate, dialogue))


def test_a_doubled_bos_is_a_problem(candidate: Candidate):
    from tokenizers.processors import TemplateProcessing

    tokenizer = candidate.tokenizer
    tokenizer.bos_token = "<|user|>"
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|user|> $A", special_tokens=[("<|user|>", bos)]
    )
    dialogue = template.build_dialogue(template.TURNS[:1], template.ANSWERS[:1])
    assert template.row_problems(candidate, dialogue) == []
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    assert "2 BOS tokens" in template.row_problems(candidate, dialogue)[0]


def test_a_step_too_large_for_the_machine_is_a_problem(candidate: Candidate, monkeypatch):
    candidate.measured.append(Measured("teacher_dpo", 64, 2.0 * memory.GIB, 1.0))
    monkeypatch.setattr(memory, "memory_of", lambda device: 1.0 * memory.GIB)
    (finding,) = memory.ask_memory(candidate)
    assert finding.verdict == "problem"
    assert any("teacher_dpo" in line for line in finding.lines)
    assert not any("warmup" in line for line in finding.lines)  # was not run


def test_a_peak_grows_by_the_tokens_that_were_not_run(candidate: Candidate, monkeypatch):
    candidate = replace(candidate, roles=("student",))
    candidate.measured.append(Measured("warmup", 112, 1.0 * memory.GIB, 1.0))
    monkeypatch.setattr(memory, "_measure_pace", lambda c: memory.Pace(memory.GIB / 400, 0.5))
    (finding,) = memory.ask_memory(candidate)
    cells = finding.lines[1].split()
    assert cells[:4] == ["warmup", "512", "2.0", "GiB"]  # (512 - 112) / 400 more
    assert "extrapolated from 112 tokens" in finding.lines[1]


def test_a_stage_needs_the_tokens_of_a_pass(candidate: Candidate, monkeypatch):
    """Not those of a step, which may have several."""
    candidate.measured.append(Measured("teacher_dpo", 64, 1.0 * memory.GIB, 1.0))
    monkeypatch.setattr(memory, "_measure_pace", lambda model: memory.Pace(1.0, 0.5))
    params = candidate.settings.section("teacher_dpo", TeacherDpoParams)
    for asked, together in ((0, params.batch), (1, 1)):
        raw = candidate.settings.raw | {"machine": {"training_rows": asked}}
        settings = replace(candidate.settings, raw=raw)
        (finding,) = memory.ask_memory(replace(candidate, settings=settings))
        tokens = 2 * together * params.max_length
        assert finding.lines[1].split()[:2] == ["teacher_dpo", f"{tokens:,}"]


def test_weights_that_cannot_fit_are_refused_before_they_are_loaded(candidate: Candidate):
    with pytest.raises(Exception, match="needs more than"):
        require_room(candidate, 10**9, "DPO")


def test_no_training_is_begun_that_cannot_fit(candidate: Candidate, monkeypatch):
    monkeypatch.setattr(cost, "memory_of", lambda device: 1.0)
    monkeypatch.setattr(preference, "train_teacher", None)
    monkeypatch.setattr(training, "warm_up", None)
    monkeypatch.setattr(training, "load_model", None)
    for ask in (preference.ask_dpo, training.ask_influence, training.ask_sft):
        with pytest.raises(MontessoriError, match="needs more than"):
            ask(candidate)


@pytest.mark.parametrize(
    ("context", "verdict", "words"),
    [
        (UNBOUNDED, "note", "names no context length"),
        (127, "problem", "127 tokens, fewer than warmup.max_length 128, influence.max_length 128"),
        (400, "note", "400 tokens: few for a prompt with examples"),
        (4096, "ok", "4,096 tokens"),
    ],
)
def test_a_context_is_compared_with_the_settings(
    candidate: Candidate, context, verdict, words, monkeypatch
):
    monkeypatch.setattr("montessori.generate.local.folder_facts", lambda folder: (None, context))
    (finding,) = folder.ask_context(replace(candidate, roles=("student",)))
    assert finding.verdict == verdict
    assert words in finding.text


def test_a_base_model_is_told_as_one():
    (note,) = folder._template_origin({"template": "fallback"})
    assert (note.verdict, "it is a base model" in note.text) == ("note", True)
    assert folder._template_origin({"template": "own"}) == []


def test_a_fault_of_two_turns_alone_is_a_note():
    assert [template._judge_row(turns, ["x"], ()).verdict for turns in (1, 2)] == [
        "problem",
        "note",
    ]


def test_another_text_at_a_tie_is_no_problem(candidate: Candidate, monkeypatch):
    plain = SimpleNamespace(dtype=torch.float32)
    for lead, verdict in ((1e-5, "ok"), (1.0, "problem")):
        monkeypatch.setattr(engine, "write_greedily", lambda *a, lead=lead: ([5], [2.0, lead]))
        asked = (candidate, plain, [[5, 6]], ["other"], frozenset())
        assert engine._compare_texts(*asked).verdict == verdict


@pytest.mark.parametrize(
    ("scores", "verdict"), [((9, 1), "ok"), ((5, 5), "problem"), ((9, None), "problem")]
)
def test_a_judge_must_rate_the_right_answer_higher(scores, verdict):
    assert judging._judge_grades([Verdict(score=score) for score in scores]).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"), [((0.9, 0.6), "ok"), ((0.9, 0.4), "note"), ((0.9, None), "problem")]
)
def test_a_judge_must_prefer_the_right_answer_in_both_orders(values, verdict):
    found = judging._judge_choices([Verdict(preference=value) for value in values])
    assert found.verdict == verdict


def test_texts_are_shown_on_one_line_and_cut():
    assert show_text("a\nb") == '"a\\nb"'
    assert show_text("word " * 200).count("[...]") == 1
    assert len(show_text("word " * 200)) < 140


def test_greedy_reference_stops_at_an_end(candidate: Candidate):
    from montessori.models.weights import load_model

    model = load_model(candidate.folder)
    ids, gaps = engine.write_greedily(model, [5, 6, 7], 4, frozenset())
    assert len(ids) == len(gaps) == 4
    stopped, _ = engine.write_greedily(model, [5, 6, 7], 4, frozenset({ids[1]}))
    assert stopped == ids[: ids.index(ids[1])]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[5, 6, 7]])).logits[0, -1]
    assert int(logits.argmax()) == ids[0]


def test_options_of_a_template_are_those_of_the_models_row(
    project, student, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    """A model that must not think is tried without thoughts, as the stage `models` prepares it."""
    row = {"path": str(student), "model": {"template_options": {"enable_thinking": False}}}
    write_params(project, models={"mine": row})
    given = []
    monkeypatch.setattr(folder, "prepare_model", lambda *a: given.append(a[3]) or a[2].mkdir())
    monkeypatch.setattr(folder, "read_hosted", lambda made: HostedModel("http://x/v1", "m"))
    for source in (student, student / "elsewhere"):
        work = tmp_path / source.name
        work.mkdir()
        folder.ask_folder(Candidate(source, ("student",), read_settings(project), work))
    assert given == [{"enable_thinking": False}, {}]


def test_a_template_that_was_changed_is_told(candidate: Candidate, tmp_path: Path):
    """DeepSeek-R1's prompt opens a thought that no row has."""
    source = Path(shutil.copytree(candidate.source, tmp_path / "opened"))
    file = source / "chat_template.jinja"
    text = file.read_text(encoding="utf-8")
    for block in ("{%- generation -%}", "{%- endgeneration -%}"):
        text = text.replace(block, "")
    before, prompt, after = text.rpartition("'<|assistant|>'")
    file.write_text(f"{before}'<|assistant|><think>'{after}", encoding="utf-8")
    (tmp_path / "again").mkdir()
    opened = replace(candidate, source=source, work=tmp_path / "again")
    notes = [finding for finding in folder.ask_folder(opened) if finding.verdict == "note"]
    assert prompt
    assert "does not open a thought" in notes[0].text
