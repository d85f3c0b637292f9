"""Section `machine` of params.yaml: how this machine is used. Never tracked."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Machine:
    """How this machine is used; never tracked, and never changes what is made beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0  # CPU threads of a stage; 0 = all cores
    generation_batch: int = 64  # rows decoded at once by engine transformers
    tensor_parallel: int = 1  # GPUs that share a model in engine vllm
    gpu_memory: float = 0.9  # share of GPU memory that engine vllm takes
    server: str = ""  # address of an OpenAI-compatible server, for engine openai
    server_key_env: str = ""  # environment variable with its key; empty = it needs none
    server_requests: int = 64  # requests in flight, also to hosted teachers
    server_retries: int = 6  # tries after the first, before a stage gives up
    max_usd: float = 0.0  # a stage stops before it has spent more; 0 = no limit
    max_tokens: int = 0  # likewise in tokens of prompts and answers; 0 = no limit
    influence_batch: int = 0  # rows of a shared backward pass; 0 = by their and the model's size
    compile: bool = False  # influence: one kernel for the reduction, by torch.compile
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"  # auto: on a GPU
    log_level: Literal["debug", "info", "warning", "error"] = "warning"

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        at_least_one = ("generation_batch", "tensor_parallel", "server_requests")
        at_least_zero = ("threads", "influence_batch", "server_retries", "max_usd", "max_tokens")
        least = dict.fromkeys(at_least_one, 1) | dict.fromkeys(at_least_zero, 0)
        problems = [
            f"{key}: {getattr(self, key)} is below {bound}"
            for key, bound in least.items()
            if getattr(self, key) < bound
        ]
        if not 0 < self.gpu_memory <= 1:
            problems.append(f"gpu_memory: {self.gpu_memory} is not in (0, 1]")
        return problems + self._server_problems()

    def _server_problems(self) -> list[str]:
        from montessori.models.address import url_problems, variable_problems

        problems = variable_problems("server_key_env", self.server_key_env)
        return problems + (url_problems("server", self.server) if self.server else [])
