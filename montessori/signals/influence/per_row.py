"""The gradients of every row of a batch by one backward pass, layer by layer, never all at once.

The gradient of a linear layer for row b is `outputs'[b]^T inputs[b]`: the gradient that comes back
to the layer's output, times the layer's input (per-example gradients, as computed for clipping in
arXiv 1510.01799). Inside `give_gradients`, layers with trained parameters run through autograd
functions. As the backward pass reaches a layer, its function hands the rows' gradients to a
consumer and then drops them.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Takes a parameter's name and its gradients, shape (rows, *parameter.shape).
Consumer = Callable[[str, torch.Tensor], None]
#: Takes a parameter's name, rows (n,), indices along its first axis (n,) and gradients (n, width).
SparseConsumer = Callable[[str, torch.Tensor, torch.Tensor, torch.Tensor], None]


class UnsupportedLayer(Exception):
    """A model whose gradients cannot be separated by row; the text says which layer."""


class PerRow:
    """The layers of `model`, prepared to separate their gradients by row.

    Raises UnsupportedLayer for a trained parameter that is not in a linear layer, an embedding or
    a norm.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        named = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self._name = {id(value): name for name, value in named.items()}
        self._trained = list(named.values())
        layers = list(_find_layers(model, self._name))
        self._uses: Counter[int] = Counter()  # layers of each parameter; tied ones have several
        for _, parameters in layers:
            self._uses.update(parameters)
        missing = [name for key, name in self._name.items() if key not in self._uses]
        if missing:
            raise UnsupportedLayer(f"parameter {missing[0]}")
        device = self._trained[0].device
        # Parameters do not ask for gradients while they are separated. This empty tensor does, so
        # that autograd still calls the functions' backward.
        self._spark = torch.zeros(0, requires_grad=True, device=device)
        self._forwards = [(module, self._make_forward(module)) for module, _ in layers]
        self._held: dict[int, torch.Tensor] = {}  # gradients of shared parameters so far
        self._seen: Counter[int] = Counter()
        self._rows = 0
        self._dense: Consumer | None = None
        self._sparse: SparseConsumer | None = None

    @contextmanager
    def give_gradients(
        self, rows: int, dense: Consumer, sparse: SparseConsumer | None = None
    ) -> Iterator[None]:
        """While open, a backward pass of a batch of `rows` gives its gradients to the consumers.

        The parameters' own `.grad` stay empty. A parameter of several layers (tied embeddings) is
        given once, as the sum. Embeddings of one layer go to `sparse`, if it is given. Raises
        UnsupportedLayer for a layer whose first axis is not the rows.
        """
        self._rows, self._dense, self._sparse = rows, dense, sparse
        for parameter in self._trained:
            parameter.requires_grad_(False)
        for module, forward in self._forwards:
            module.forward = forward
        try:
            yield
        finally:
            for module, _ in self._forwards:
                del module.forward
            for parameter in self._trained:
                parameter.requires_grad_(True)
            self._held.clear()
            self._seen.clear()

    def give_dense(self, parameter: nn.Parameter, gradient: torch.Tensor) -> None:
        """Pass on the gradients of a parameter, (rows, *shape), summed over its layers."""
        key = id(parameter)
        if len(gradient) != self._rows:
            raise UnsupportedLayer(f"{self._name[key]}, used for {len(gradient)} rows at once")
        self._seen[key] += 1
        if key in self._held:
            gradient = self._held.pop(key).add_(gradient)
        if self._seen[key] < self._uses[key]:
            self._held[key] = gradient
            return
        self._seen[key] = 0
        assert self._dense is not None
        self._dense(self._name[key], gradient)

    def give_vectors(self, weight: nn.Parameter, ids: torch.Tensor, gradient: torch.Tensor) -> None:
        """Pass on the gradients of an embedding: `ids` (rows, T), `gradient` (rows, T, width)."""
        rows, width = len(ids), gradient.shape[-1]
        # A place is the number of a vector in a table of all rows' vectors, (rows * vocabulary).
        first = torch.arange(rows, device=ids.device)[:, None] * len(weight)  # (rows, 1)
        places = (ids + first).flatten()  # (rows * T,)
        if self._sparse is None or self._uses[id(weight)] > 1:
            whole = gradient.new_zeros(rows * len(weight), width)  # (rows * vocabulary, width)
            whole.index_add_(0, places, gradient.flatten(0, 1))
            self.give_dense(weight, whole.view(rows, *weight.shape))
            return
        if rows != self._rows:
            raise UnsupportedLayer(f"{self._name[id(weight)]}, used for {rows} rows at once")
        used, where = places.unique(return_inverse=True)  # (n,), (rows * T,)
        table = gradient.new_zeros(len(used), width)  # (n, width)
        table.index_add_(0, where, gradient.flatten(0, 1))
        self._sparse(self._name[id(weight)], used // len(weight), used % len(weight), table)

    def is_trained(self, parameter: nn.Parameter | None) -> bool:
        """Whether the parameter is one whose gradients are asked for."""
        return parameter is not None and id(parameter) in self._name

    def _make_forward(self, module: nn.Module) -> Callable[..., torch.Tensor]:
        if isinstance(module, nn.Linear):
            return lambda x: _Linear.apply(x, self._spark, module, self)
        if isinstance(module, nn.Embedding):
            return lambda ids: _Embedding.apply(self._spark, ids, module, self)
        unit = _make_unit_norm(module)
        return lambda x: _Norm.apply(unit(x), self._spark, module, self)


def _find_layers(model: nn.Module, names: dict[int, str]) -> Iterator[tuple[nn.Module, list[int]]]:
    """Modules that own trained parameters, with the parameters' ids."""
    for path, module in model.named_modules():
        own = [id(value) for value in module.parameters(recurse=False) if id(value) in names]
        if not own:
            continue
        if not _is_supported(module):
            raise UnsupportedLayer(f"{path} ({type(module).__name__})")
        yield module, own


def _is_supported(module: nn.Module) -> bool:
    kind = type(module)
    if kind in (nn.Linear, nn.Embedding):
        return True
    return _is_norm(module)


def _is_norm(module: nn.Module) -> bool:
    """Whether the module is a norm: something without parameters times a weight, plus a bias.

    Tested on random inputs: weight w and bias b are vectors along the last axis, and the output is
    w times the output for weight one and bias zero, plus b. So norms need not be known by name.
    """
    own = dict(module.named_parameters())
    weight, bias = own.pop("weight", None), own.pop("bias", None)
    if own or weight is None or weight.dim() != 1:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, len(weight), generator=generator).to(weight)
    try:
        with torch.no_grad():
            expected = weight * _make_unit_norm(module)(x)
            if bias is not None:
                expected = expected + bias
            return torch.allclose(module(x), expected, rtol=1e-2, atol=1e-2)
    except (TypeError, RuntimeError, ValueError):
        return False


def _make_unit_norm(module: nn.Module) -> nn.Module:
    """The norm with weight one and bias zero, neither of them trained."""
    twin = copy.copy(module)
    twin.__dict__.pop("forward", None)  # in case the module's own is replaced at the moment
    twin._parameters = dict(module._parameters)
    for name, value in (("weight", 1.0), ("bias", 0.0)):
        old = module._parameters.get(name)
        if old is not None:
            constant = torch.full_like(old, value)
            twin._parameters[name] = nn.Parameter(constant, requires_grad=False)
    return twin


class _Linear(torch.autograd.Function):
    """y = x W^T + b with the gradients of W and b per row."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, spark: torch.Tensor, module: nn.Linear, rows: PerRow
    ) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.module, ctx.rows = module, rows
        return functional.linear(x, module.weight, module.bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (x,), (gradient,) = ctx.saved_tensors, gradients  # (rows, T, in), (rows, T, out)
        module, rows = ctx.module, ctx.rows
        if x.dim() != 3:
            raise UnsupportedLayer(f"a linear layer with inputs of shape {tuple(x.shape)}")
        if rows.is_trained(module.weight):
            rows.give_dense(module.weight, gradient.transpose(1, 2) @ x)  # (rows, out, in)
        if rows.is_trained(module.bias):
            rows.give_dense(module.bias, gradient.sum(dim=1))  # (rows, out)
        for_input = gradient @ module.weight if ctx.needs_input_grad[0] else None
        return for_input, None, None, None


class _Embedding(torch.autograd.Function):
    """Rows of W, with its gradients per row of the batch."""

    @staticmethod
    def forward(
        ctx: Any, spark: torch.Tensor, ids: torch.Tensor, module: nn.Embedding, rows: PerRow
    ) -> torch.Tensor:
        ctx.save_for_backward(ids)
        ctx.module, ctx.rows = module, rows
        return functional.embedding(ids, module.weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (ids,) = ctx.saved_tensors  # (rows, T)
        ctx.rows.give_vectors(ctx.module.weight, ids, gradients[0])
        return None, None, None, None


class _Norm(torch.autograd.Function):
    """y = w x + b along the last axis, with the gradients of w and b per row."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, spark: torch.Tensor, module: Any, rows: PerRow
    ) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.module, ctx.rows = module, rows
        y = module.weight * x
        return y if getattr(module, "bias", None) is None else y + module.bias

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        module, rows = ctx.module, ctx.rows
        if rows.is_trained(module.weight):
            rows.give_dense(module.weight, (gradient * x).sum(dim=1))  # (rows, width)
        bias = getattr(module, "bias", None)
        if rows.is_trained(bias):
            rows.give_dense(bias, gradient.sum(dim=1))
        return gradient * module.weight, None, None, None
