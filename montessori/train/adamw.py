"""The state of AdamW that warm-up leaves behind, and the step from it in formulas.

AdamW: arXiv 1711.05101, algorithm 2, with bias correction as in torch: the step number of the
probing step is one above the steps that warm-up took.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from montessori.artifacts.files import file_digest, read_json, write_json
from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MOMENTS = "moments.safetensors"
OPTIMIZER = "optimizer.json"
EVERYTHING = slice(None)


@dataclass(frozen=True)
class AdamWState:
    """First and second moments by name of the trained parameters, after `step` steps.

    `rows` are the ids of the rows that made them; `learning_rate` is where warm-up ended.
    `own_steps` has the steps of parameters that took fewer: AdamW skips one without a gradient
    (an expert that no token chose, the image part of a model that reads text).
    """

    exp_avg: dict[str, torch.Tensor]
    exp_avg_sq: dict[str, torch.Tensor]
    step: int
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    learning_rate: float
    rows: tuple[str, ...] = ()
    own_steps: dict[str, int] = field(default_factory=dict)

    def steps_of(self, name: str) -> int:
        """The steps that parameter `name` took."""
        return self.own_steps.get(name, self.step)


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

    def flat(self) -> "Step":
        """The step of the parameter seen as a vector."""
        return replace(self, momentum=self.momentum.flatten(), spread=self.spread.flatten())


def trained_parameters(model: "PreTrainedModel") -> dict[str, torch.nn.Parameter]:
    """The parameters that training changes, by name: all, or the adapters of a LoRA model."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


@dataclass(frozen=True)
class StepFactors:
    """What makes the next step of a parameter out of its moments as they are.

    momentum = `first` * exp_avg, spread = `second` * exp_avg_sq; the others are those of `Step`.
    """

    first: float
    second: float
    gain: float
    gain_sq: float
    eps: float


def step_factors(state: AdamWState, name: str) -> StepFactors:
    """The factors of the step that follows `state` for parameter `name`."""
    beta1, beta2 = state.betas
    step = state.steps_of(name) + 1
    first, second = 1 - beta1**step, 1 - beta2**step  # bias corrections
    return StepFactors(
        beta1 / first, beta2 / second, (1 - beta1) / first, (1 - beta2) / second, state.eps
    )


def next_step(
    state: AdamWState,
    name: str,
    dtype: torch.dtype = torch.float32,
    part: slice | torch.Tensor = EVERYTHING,
) -> Step:
    """The step that follows `state` for parameter `name`, in `dtype`.

    `part` takes some of the parameter's first axis: a slice, or indices (n,) int64.
    """
    factors = step_factors(state, name)
    return Step(
        momentum=state.exp_avg[name][part].to(dtype) * factors.first,
        spread=state.exp_avg_sq[name][part].to(dtype) * factors.second,
        gain=factors.gain,
        gain_sq=factors.gain_sq,
        eps=factors.eps,
    )


def optimizer_state(
    model: "PreTrainedModel", optimizer: torch.optim.AdamW, rows: Sequence[str] = ()
) -> AdamWState:
    """The state of an optimizer with one parameter group over what is trained of `model`.

    A parameter that never had a gradient has moments of zero and took no step.
    """
    group = optimizer.param_groups[0]
    named = {}
    for name, parameter in trained_parameters(model).items():
        named[name] = optimizer.state.get(parameter) or {
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
            "step": 0,
        }
    steps = {name: int(value["step"]) for name, value in named.items()}
    most = max(steps.values())
    return AdamWState(
        exp_avg={name: value["exp_avg"] for name, value in named.items()},
        exp_avg_sq={name: value["exp_avg_sq"] for name, value in named.items()},
        step=most,
        betas=(float(group["betas"][0]), float(group["betas"][1])),
        eps=float(group["eps"]),
        weight_decay=float(group["weight_decay"]),
        learning_rate=float(group["lr"]),
        rows=tuple(rows),
        own_steps={name: taken for name, taken in steps.items() if taken != most},
    )


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights of a model folder, adapters included, moments not."""
    files = sorted(file for file in folder.rglob("*.safetensors") if file.name != MOMENTS)
    text = "".join(f"{file.relative_to(folder).as_posix()} {file_digest(file)}\n" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()


def write_state(folder: Path, state: AdamWState) -> None:
    """Write the moments (safetensors, fp32) and the rest (JSON) into the model folder `folder`.

    The JSON names the digest of the weights that the moments belong to.
    """
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
            "weights": weights_digest(folder),
            **({"own_steps": state.own_steps} if state.own_steps else {}),
        },
    )


def read_warmup_rows(folder: Path) -> list[str]:
    """The ids of the rows that made the state in `folder`."""
    rows: list[str] = read_json(folder / OPTIMIZER)["rows"]
    return rows


def read_state(folder: Path, model: "PreTrainedModel") -> AdamWState:
    """The state in `folder`, on the device and in the number format of `model`.

    Raises MontessoriError when it is missing or belongs to another model (digest of the weights,
    names, shapes).
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
    if facts["weights"] != weights_digest(folder):
        raise MontessoriError(
            "the optimizer moments belong to other weights than those beside them",
            where=str(folder / MOMENTS),
            expected=f"weights with the digest in {OPTIMIZER}",
            next="remove the warm-up folder and run `dvc repro warmup`",
        )
    tensors = load_file(folder / MOMENTS)
    _require_fit(tensors, model, folder)
    where = {"device": model.device, "dtype": model.dtype}
    names = list(trained_parameters(model))
    return AdamWState(
        exp_avg={name: tensors.pop(f"exp_avg.{name}").to(**where) for name in names},
        exp_avg_sq={name: tensors.pop(f"exp_avg_sq.{name}").to(**where) for name in names},
        step=facts["step"],
        betas=tuple(facts["betas"]),
        eps=facts["eps"],
        weight_decay=facts["weight_decay"],
        learning_rate=facts["learning_rate"],
        rows=tuple(facts["rows"]),
        own_steps=facts.get("own_steps", {}),
    )


def _require_fit(tensors: dict[str, torch.Tensor], model: "PreTrainedModel", folder: Path) -> None:
    wanted = {
        f"{kind}.{name}": tuple(parameter.shape)
        for name, parameter in trained_parameters(model).items()
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
