"""A round starts from a teacher of the line that wrote its pairs.

What would break: a teacher is tuned on texts that its own tokenizer or template renders
differently.
"""

import shutil
from pathlib import Path

import pytest

from montessori.artifacts.files import new_folder
from montessori.errors import MontessoriError
from montessori.models.lineage import model_hashes, require_same_line, writer_hashes
from montessori.train import dpo
from tests.tiny_rows import pairs_frame
from tests.train.test_dpo import SETTINGS


def artifact(folder: Path, facts: dict[str, str]) -> Path:
    """A folder with these facts in its manifest."""
    with new_folder(folder, {}, facts):
        pass
    return folder


def test_the_same_line_passes_and_texts_of_ones_own_too(student, tmp_path):
    copied = shutil.copytree(student, tmp_path / "copy")
    assert writer_hashes(artifact(tmp_path / "a", model_hashes(student))) == model_hashes(copied)
    require_same_line(copied, tmp_path / "a")
    require_same_line(student, artifact(tmp_path / "b", {"rows": "3"}))
    require_same_line(student, tmp_path / "no manifest")


@pytest.mark.parametrize(
    ("file", "name"), [("chat_template.jinja", "chat template"), ("tokenizer.json", "tokenizer")]
)
def test_a_teacher_of_another_line_is_refused_before_training(
    student, tmp_path, machine, file, name
):
    other = shutil.copytree(student, tmp_path / "other")
    with open(other / file, "a", encoding="utf-8") as handle:
        handle.write("\n\n")
    pairs = artifact(tmp_path / "pairs", model_hashes(student))
    pairs_frame().write_parquet(pairs / "pairs.parquet")
    with pytest.raises(MontessoriError, match=f"another {name} than") as error:
        dpo.train_teacher(other, pairs, tmp_path / "out", tmp_path / "c.csv", SETTINGS, 0, machine)
    assert "section rounds or alignments" in error.value.next
    assert not (tmp_path / "out").exists()
