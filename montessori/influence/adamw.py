"""The state of AdamW that warm-up leaves behind, and the step from it in formulas.

AdamW: arXiv 1711.05101, algorithm 2, with bias correction as in torch: the step number of the
probing step is one above the steps that warm-up took.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from montessori.artifacts import read_json, write_json
from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOMENTS = "moments.safetensors"
OPTIMIZER = "optimizer.json"


@dataclass(frozen=True)
class AdamWState:
    """First and second moments by parameter name, in fp32, after `step` steps.

    `rows` are the ids of the rows that made them; `learning_rate` is where warm-up ended.
    """

    exp_avg: dict[str, torch.Tensor]
    exp_avg_sq: dict[str, torch.Tensor]
    step: int
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    learning_rate: float
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """The next AdamW step of one parameter as a function of its gradient g.

    delta(g) = -learning_rate * (update(g) + weight_decay * theta), with update(g) =
    (momentum + gain * g) / (sqrt(spread + gain_sq * g^2) + eps). `momentum` and `spread` have the
    parameter's shape: the decayed, bias-corrected moments.
    """

    momentum: torch.Tensor
    spread: torch.Tensor
    gain: float
    gain_sq: float
    eps: float

    def update(self, gradient: torch.Tensor) -> torch.Tensor:
        """What the step subtracts per unit of learning rate, decay apart; shape of `gradient`."""
        root = torch.addcmul(self.spread, gradient, gradient, value=self.gain_sq).sqrt_()
        return torch.add(self.momentum, gradient, alpha=self.gain).div_(root.add_(self.eps))


def next_step(state: AdamWState, name: str, dtype: torch.dtype = torch.float32) -> Step:
    """The step that follows `state` for parameter `name`, in `dtype`."""
    beta1, beta2 = state.betas
    step = state.step + 1
    first, second = 1 - beta1**step, 1 - beta2**step  # bias corrections
    return Step(
        momentum=state.exp_avg[name].to(dtype) * (beta1 / first),
        spread=state.exp_avg_sq[name].to(dtype) * (beta2 / second),
        gain=(1 - beta1) / first,
        gain_sq=(1 - beta2) / second,
        eps=state.eps,
    )


def state_of(
    model: "PreTrainedModel", optimizer: torch.optim.AdamW, rows: Sequence[str] = ()
) -> AdamWState:
    """The state of an optimizer with one parameter group over all parameters of `model`."""
    group = optimizer.param_groups[0]
    named = {name: optimizer.state[parameter] for name, parameter in model.named_parameters()}
    return AdamWState(
        exp_avg={name: value["exp_avg"] for name, value in named.items()},
        exp_avg_sq={name: value["exp_avg_sq"] for name, value in named.items()},
        step=int(max(float(value["step"]) for value in named.values())),
        betas=(float(group["betas"][0]), float(group["betas"][1])),
        eps=float(group["eps"]),
        weight_decay=float(group["weight_decay"]),
        learning_rate=float(group["lr"]),
        rows=tuple(rows),
    )


def write_state(folder: Path, state: AdamWState) -> None:
    """Write the moments (safetensors, fp32) and the rest (JSON) into `folder`."""
    from safetensors.torch import save_file

    moments = {"exp_avg": state.exp_avg, "exp_avg_sq": state.exp_avg_sq}
    tensors = {
        f"{kind}.{name}": value.detach().float().cpu().contiguous()
        for kind, values in moments.items()
        for name, value in values.items()
    }
    save_file(tensors, folder / MOMENTS)
    write_json(
        folder / OPTIMIZER,
        {
            "step": state.step,
            "betas": list(state.betas),
            "eps": state.eps,
            "weight_decay": state.weight_decay,
            "learning_rate": state.learning_rate,
            "rows": list(state.rows),
        },
    )


def read_state(folder: Path, model: "PreTrainedModel") -> AdamWState:
    """The state in `folder`, on the device of `model`.

    Raises MontessoriError when it is missing or belongs to another model (names, shapes).
    """
    from safetensors.torch import load_file

    if not (folder / MOMENTS).is_file():
        raise MontessoriError(
            "the warm-up has no optimizer moments",
            where=str(folder / MOMENTS),
            expected="a folder that the stage warmup wrote",
            next="run `dvc repro warmup`; its output is not pushed to remotes",
        )
    facts = read_json(folder / OPTIMIZER)
    tensors = load_file(folder / MOMENTS, device=str(model.device))
    _require_fit(tensors, model, folder)
    names = [name for name, _ in model.named_parameters()]
    return AdamWState(
        exp_avg={name: tensors[f"exp_avg.{name}"] for name in names},
        exp_avg_sq={name: tensors[f"exp_avg_sq.{name}"] for name in names},
        step=facts["step"],
        betas=tuple(facts["betas"]),
        eps=facts["eps"],
        weight_decay=facts["weight_decay"],
        learning_rate=facts["learning_rate"],
        rows=tuple(facts["rows"]),
    )


def _require_fit(tensors: dict[str, torch.Tensor], model: "PreTrainedModel", folder: Path) -> None:
    wanted = {
        f"{kind}.{name}": tuple(parameter.shape)
        for name, parameter in model.named_parameters()
        for kind in ("exp_avg", "exp_avg_sq")
    }
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found == wanted:
        return
    different = sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    name = different[0]
    raise MontessoriError(
        f"the optimizer moments belong to another model: {len(different)} tensors differ",
        where=f"{folder / MOMENTS}, tensor {name}",
        expected=f"shape {wanted.get(name, 'none')}, found {found.get(name, 'none')}",
        next="remove the warm-up folder and run `dvc repro warmup`",
    )
