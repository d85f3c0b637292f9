"""Section `machine` of params.yaml: how this machine is used. Never tracked."""

from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.graph.limits import Count, EmptyOr, NotNegative, PositiveShare, Rows, Whole
from montessori.models.address import ServerAddress, VariableName


@dataclass(frozen=True)
class Machine:
    """Section `machine`: how this machine is used.

    It is never tracked, and never changes what is made beyond rounding.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[Whole, "threads"] = 0
    generation_batch: Rows = 64
    tensor_parallel: Annotated[Count, "GPUs"] = 1
    gpu_memory: Annotated[PositiveShare, "share of memory"] = 0.9
    server: Annotated[str, EmptyOr(ServerAddress())] = ""
    server_key_env: Annotated[str, EmptyOr(VariableName())] = ""
    server_requests: Annotated[Count, "requests"] = 64
    server_retries: Annotated[Whole, "tries"] = 6
    max_usd: Annotated[NotNegative, "USD"] = 0.0
    max_tokens: Annotated[Whole, "tokens"] = 0
    influence_batch: Annotated[Whole, "rows"] = 0
    training_rows: Annotated[Whole, "rows"] = 0
    compile: Literal["auto", "on", "off"] = "auto"
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
