"""A training that runs out of memory says what to lower, and leaves nothing half-written.

What would break: after minutes of loading, a traceback of torch that names no setting.
"""

import pytest
import torch

from montessori.errors import MontessoriError
from montessori.train import dpo, sft, warmup
from tests.tiny_rows import write_pairs
from tests.train.test_dpo import SETTINGS as DPO
from tests.train.test_sft import SETTINGS as SFT
from tests.train.test_warmup import SETTINGS as WARMUP


def refuse(*given: object, **options: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.fixture
def trainings(tmp_path, student, reference, probe, machine):
    """Each training by its module, into folder out."""
    out, curve = tmp_path / "out", tmp_path / "curve.csv"
    pairs = write_pairs(tmp_path / "pairs")
    return {
        warmup: lambda: warmup.warm_up(student, probe, out, WARMUP, 0, machine),
        sft: lambda: sft.train_student(student, reference, out, curve, SFT, 0, machine),
        dpo: lambda: dpo.train_teacher(student, pairs, out, curve, DPO, 0, machine),
    }


@pytest.mark.parametrize(
    ("module", "setting"),
    [
        (warmup, "machine.gradient_checkpointing: on"),
        (sft, "machine.training_rows: 1"),
        (dpo, "machine.training_rows: 1"),
    ],
)
def test_too_little_memory_names_the_settings(monkeypatch, tmp_path, trainings, module, setting):
    monkeypatch.setattr(module, "load_model", refuse)
    with pytest.raises(MontessoriError, match="not enough memory to") as error:
        trainings[module]()
    assert setting in error.value.next
    assert "2.00 GiB" in error.value.where
    assert [path.name for path in tmp_path.iterdir()] == ["pairs"]
