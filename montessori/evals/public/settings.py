"""Section `harness`: how public benchmarks are run."""

from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.graph.limits import FolderPath, Rows, Whole


@dataclass(frozen=True)
class HarnessParams:
    """Section `harness`; which model takes which task is a row of `harnesses`.

    The stage gets `data` as a path. `chat_template` is off where published numbers are of base
    models, which have none.
    """

    engine: Literal["transformers", "vllm"]
    data: FolderPath
    limit: Annotated[Whole, "items"]
    batch: Rows
    chat_template: bool
