"""What a training computes on, and which rows of a probe are left for scoring.

What would break: a machine setting is ignored, a missing GPU is noticed after an hour on the CPU,
or a row of the warm-up is scored as if the student had never seen it.
"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch

from montessori.artifacts.files import read_table, write_json
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.pipeline.machine import Machine
from montessori.train.device import choose_device, uses_bf16, uses_checkpointing
from montessori.train.unseen import read_unseen_rows

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose torch says that there is a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.fixture(autouse=True)
def _threads():
    """Leave torch's number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("setting", "kind"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_with_a_gpu_the_setting_decides(gpu, setting, kind):
    assert choose_device(Machine(device=setting, threads=1)).type == kind


def test_without_a_gpu_auto_is_the_cpu_and_cuda_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(Machine(device="auto", threads=1)) == CPU
    with pytest.raises(MontessoriError, match="no GPU is available") as error:
        choose_device(Machine(device="cuda", threads=1))
    assert error.value.where == "params.yaml, key machine.device"
    assert "machine.device: auto" in error.value.next


def test_threads_are_those_asked_for_or_all_cores(monkeypatch: pytest.MonkeyPatch):
    choose_device(Machine(device="cpu", threads=1))
    assert torch.get_num_threads() == 1
    monkeypatch.setattr("montessori.train.device.os.cpu_count", lambda: 2)
    choose_device(Machine(device="cpu", threads=0))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("setting", "cpu", "cuda"),
    [("auto", False, True), ("on", True, True), ("off", False, False)],
)
def test_activations_are_recomputed_where_memory_is_short(setting, cpu, cuda):
    machine = replace(Machine(), gradient_checkpointing=setting)
    assert (uses_checkpointing(machine, CPU), uses_checkpointing(machine, CUDA)) == (cpu, cuda)


def test_bf16_products_are_for_gpus_that_have_them(monkeypatch: pytest.MonkeyPatch):
    """An emulation of bf16 is slower than fp32, so it does not count."""
    asked = SimpleNamespace(emulation=None)

    def supported(including_emulation: bool = True) -> bool:
        asked.emulation = including_emulation
        return True

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert not uses_bf16(CPU)
    assert uses_bf16(CUDA)
    assert asked.emulation is False


# --------------------------------------------------------------------------- rows left to score
def warmed_on(folder: Path, rows: list[str]) -> Path:
    """A warmed-up student's folder, as far as its rows are concerned."""
    write_json(folder / "optimizer.json", {"rows": rows})
    return folder


def test_rows_of_the_warm_up_and_dropped_rows_are_not_left(probe, tmp_path):
    frame = read_table(probe / "rows.parquet", PROBE)
    kept = frame.filter(pl.col("dropped").is_null())["row_id"].to_list()
    used = [kept[5], kept[0], "a row of another probe"]
    left = read_unseen_rows(warmed_on(tmp_path, used), probe)
    assert left["row_id"].to_list() == [name for name in kept if name not in used]


@pytest.mark.parametrize("left", [0, 1])
def test_fewer_than_two_rows_cannot_be_ranked(probe, tmp_path, left):
    frame = read_table(probe / "rows.parquet", PROBE)
    kept = frame.filter(pl.col("dropped").is_null())["row_id"].to_list()
    with pytest.raises(MontessoriError, match=f"{left} of 35 kept rows are left") as error:
        read_unseen_rows(warmed_on(tmp_path, kept[left:]), probe)
    assert "warmup.rows" in error.value.next
