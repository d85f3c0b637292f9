"""`montessori try` on good and broken models.

What would break: hours go into a model whose weights are cut, whose template trains other tokens
than generation sees, or which never writes an instruction; or a good model is refused.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from montessori import cli
from montessori.graph.load import read_section, read_yaml
from montessori.trial import questions
from montessori.trial.candidate import DEFAULTS, Candidate
from montessori.trial.questions import QUESTIONS, Question, ask_questions
from tests.generate.fake_server import FakeServer
from tests.trial.conftest import ROOT, write_params


def run(*words: str) -> tuple[int, str]:
    """Exit status of `montessori try`, and what it prints."""
    done = CliRunner().invoke(cli.app, ["try", *map(str, words)])
    return done.exit_code, " ".join(done.stdout.split())


# --------------------------------------------------------------------------------- good models
def test_a_good_student_passes(project: Path, student: Path):
    status, text = run(student, "--as", "student")
    assert status == 0, text
    assert "[[It is the answer.<|end|>]]" in text
    assert "greedy text of 4 prompts in a batch is that of plain transformers" in text
    assert "all parameters: first order against the exact step on 8 rows: Spearman 1.000" in text
    assert "saved and loaded again, the trained model has the same logits" in text
    for stage in ("warmup", "influence", "student_sft"):
        assert f" {stage} " in text.partition("peak is")[2]
    assert "extrapolated from" in text
    assert "dpo" not in text
    assert "judge" not in text


def test_adapters_are_tried_where_the_settings_have_them(project: Path, student: Path):
    write_params(project, adapter={"rank": 2, "alpha": 4.0}, influence={"learning_rate": 1e-4})
    status, text = run(student, "--as", "student")
    assert status == 0, text
    assert "LoRA of rank 2: first order" in text
    assert "all parameters: first order" in text


def test_a_good_teacher_passes(project: Path):
    status, text = run(ROOT / "data/micro/teacher", "--as", "teacher")
    assert status == 0, text
    assert re.search("[5-8] of 8 samples", text), text
    assert "first loss 0.6931 = ln 2" in text
    assert "student_sft" not in text


def test_a_good_judge_that_a_server_has_passes(project: Path):
    def reply(turns, seed):
        if "Rating" in turns[-1] or "rating" in turns[0]:
            return ("Good. Rating: [[9]]" if "Paris" in turns[-1] else "Rating: [[1]]"), True
        first = turns[-1].find("Paris") < turns[-1].find("cheese")
        return ("m" if first else "M"), True

    with FakeServer(reply, models=("judge",)) as server:
        named = {"server": server.url, "model": "judge", "key_env": ""}
        path = project / "judge.json"
        path.write_text(json.dumps(named), encoding="utf-8")
        status, text = run(path, "--as", "judge")
    assert status == 0, text
    assert "it rates a right answer 9 and a wrong one 1" in text
    assert "it prefers the right answer with probability 1.00 and 1.00" in text
    assert "weights" not in text


def test_defaults_are_there_without_params(tmp_path: Path, student: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("folder", "weights", "context")
    monkeypatch.setattr(questions, "QUESTIONS", [q for q in QUESTIONS if q.subject in asked])
    status, text = run(student)
    assert status == 1
    assert "512 tokens, fewer than teacher_dpo.max_length 1024" in text
    assert not (tmp_path / ".work").exists()


def test_the_defaults_fill_every_section_that_a_trial_reads():
    from montessori.evals.settings import JudgeParams
    from montessori.generate.settings import GenerationParams
    from montessori.models.adapters import AdapterParams
    from montessori.models.prepare import ModelParams
    from montessori.signals.influence.settings import InfluenceParams
    from montessori.train.settings import StudentSftParams, TeacherDpoParams, WarmupParams
    from montessori.writing import settings

    classes = {
        "model": ModelParams,
        "generation": GenerationParams,
        "instruction": settings.InstructionParams,
        "response": settings.ResponseParams,
        "filter": settings.FilterParams,
        "probe": settings.ProbeParams,
        "synth": settings.SynthParams,
        "adapter": AdapterParams,
        "warmup": WarmupParams,
        "influence": InfluenceParams,
        "teacher_dpo": TeacherDpoParams,
        "student_sft": StudentSftParams,
        "judge": JudgeParams,
    }
    raw = read_yaml(DEFAULTS)
    assert set(raw) == {*classes, "seed"}
    assert [read_section(raw, name, cls)[1] for name, cls in classes.items()] == [[]] * len(classes)


# ------------------------------------------------------------------------------- broken models
def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def point(folder: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (folder / "model.safetensors").write_text(text)


def break_a_weight(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})


def forget_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def spoil_the_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ nothing.at.all }}")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "model.safetensors"),
        (point, "model.safetensors"),
        (break_a_weight, "1 of 20 tensors hold NaN or infinity"),
        (forget_the_tokenizer, "the model folder has no tokenizer"),
        (spoil_the_template, "the chat template cannot be used"),
    ],
    ids=["cut", "pointer", "NaN", "no tokenizer", "template"],
)
def test_a_broken_folder_is_a_problem(damage, words, project: Path, student: Path, tmp_path: Path):
    folder = tmp_path / "broken"
    shutil.copytree(student, folder)
    damage(folder)
    status, text = run(folder, "--as", "student")
    assert status == 1
    assert words in text, text
    assert "problem" in text
    assert "next:" in text
    assert "engine" not in text  # nothing is asked of weights that are not there
    assert not list((project / ".work").iterdir())  # nothing is left behind


def test_a_teacher_that_writes_no_tags_is_a_problem(project: Path, student: Path):
    status, text = run(student, "--as", "teacher")
    assert status == 1
    assert "instruction.format tags: 0 of 8 samples are instructions" in text
    assert "first loss 0.6931 = ln 2" in text  # the rest went on


def test_a_judge_whose_ratings_cannot_be_read_is_a_problem(project: Path, student: Path):
    status, text = run(student, "--as", "judge")
    assert status == 1
    assert "its ratings of two answers cannot be read" in text


def test_no_such_role(project: Path, student: Path):
    done = CliRunner().invoke(cli.app, ["try", str(student), "--as", "pupil"])
    assert done.exit_code != 0
    assert "no such role: pupil" in str(done.exception)


def test_an_error_is_a_finding_and_the_rest_goes_on(candidate: Candidate, monkeypatch):
    def explode(asked: Candidate) -> list:
        try:
            raise KeyError("attention")
        except KeyError as cause:
            raise RuntimeError("no such kernel") from cause

    monkeypatch.setattr("montessori.trial.folder.ask_context", explode)
    asked = [Question("context", "", "folder:ask_context"), QUESTIONS[3]]
    monkeypatch.setattr(questions, "QUESTIONS", asked)
    first, *others = ask_questions(candidate, lambda text: None)
    assert (first.verdict, first.subject) == ("problem", "context")
    assert "RuntimeError: no such kernel" in first.text
    assert "KeyError: 'attention'" in first.lines[0]
    assert [finding.verdict for finding in others] == ["ok", "ok"]
