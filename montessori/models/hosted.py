"""Hosted teachers: models that only a server has, named by a .json file instead of a folder.

Stage `models` writes their description to `server.json`. A key never enters it, only the name of
the environment variable that holds the key.
"""

import logging
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from montessori.artifacts.files import read_json
from montessori.graph.limits import Distinct, EmptyOr, NotNegative
from montessori.graph.load import join_problems, read_section
from montessori.models.address import ModelName, ServerAddress, VariableName

LOG = logging.getLogger(__name__)
FILE = "server.json"  # in the folder of a hosted model


#: Settings of a request that may be left out.
Setting = Literal[
    "seed", "temperature", "top_p", "presence_penalty", "logprobs", "max_tokens",
    "max_completion_tokens",
]  # fmt: skip


@dataclass(frozen=True)
class Prices:
    """US dollars for a million tokens."""

    input: Annotated[NotNegative, "USD"] = 0.0
    output: Annotated[NotNegative, "USD"] = 0.0

    def price_in_usd(self, prompt: int, completion: int) -> float:
        """The price of a request with that many prompt and completion tokens."""
        return (self.input * prompt + self.output * completion) / 1e6


@dataclass(frozen=True)
class HostedModel:
    """A model of an OpenAI-compatible server, as a .json file.

    `model` is the server's name for it; a name with a date stays the same model. `key_env` names
    the environment variable with the key, empty where the server needs none. `limit` is the name of
    the request's field for the most tokens of an answer. `omit` are settings that are not sent,
    because the server does not know them; it then has its own.
    """

    server: Annotated[str, ServerAddress()]
    model: Annotated[str, ModelName()]
    key_env: Annotated[str, EmptyOr(VariableName())] = "OPENAI_API_KEY"
    usd_per_million: Prices = Prices()
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    omit: Annotated[tuple[Setting, ...], Distinct()] = ()


#: A date in the name of a model: gpt-4o-2024-08-06, gpt-4-1106-preview, mistral-large-2411.
_DATED = re.compile(
    r"20\d\d-?(0[1-9]|1[0-2])(-?[0-3]\d)?(?!\d)"
    r"|(?<!\d)((0[1-9]|1[0-2])[0-3]\d|2[3-9](0[1-9]|1[0-2]))(?!\d)"
)


@cache
def warn_undated(model: str) -> None:
    """Warn, once for each name, that the model behind a name without a date may change."""
    if not _DATED.search(model):
        LOG.warning(
            "the model id %r has no date: its server may replace the model without notice; name a "
            "dated one, such as gpt-4o-2024-08-06",
            model,
        )


def read_hosted(folder: Path) -> HostedModel | None:
    """The hosted model that a folder of the stage models stands for; None for a real folder."""
    path = Path(folder) / FILE
    return parse_hosted(read_json(path), str(path)) if path.is_file() else None


def parse_hosted(value: Any, where: str) -> HostedModel:
    """A hosted model from JSON. Raises MontessoriError with all its problems."""
    model, problems = read_section({"hosted": value}, "hosted", HostedModel)
    if model is None:
        raise join_problems([text.removeprefix("hosted.") for text in problems], where)
    return model
