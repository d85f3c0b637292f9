"""Section `harness`: how public benchmarks are run."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class HarnessParams:
    """Section `harness`; which model takes which task is a row of `harnesses`.

    engine: what runs the model. data: folder of the data sets, given to the stage as a path.
    limit: first items of each task, 0 for all. batch: rows of a forward pass of transformers; it
    moves scores by rounding only. chat_template: whether questions are turns of a dialogue;
    published numbers of base models have none.
    """

    engine: Literal["transformers", "vllm"]
    data: str
    limit: int
    batch: int
    chat_template: bool

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = [f"limit: {self.limit} is below 0 (0 = all items)"] if self.limit < 0 else []
        if self.batch < 1:
            problems.append(f"batch: {self.batch} is below 1")
        return problems
