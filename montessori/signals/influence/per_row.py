"""The gradients of every row of a batch by one backward pass, layer by layer, never all at once.

Inside `separate_rows`, layers with trained parameters run through autograd functions. As the
backward pass reaches a layer, its function hands what the rows' gradients are made of to a consumer
(see `row_gradient`) and then drops it.

What cannot be separated is never left out silently. A layer whose input is not rows first raises
in the forward pass. A weight that is used without a call of its layer (adapters on experts, whose
matrices are multiplied first) gets a gradient from autograd itself, and that is an error too.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from montessori.signals.influence.row_gradient import Factors, RowGradient, collect_vectors

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Takes a parameter's name and its gradients.
Consumer = Callable[[str, RowGradient], None]

#: What a module raises that is given one tensor and wants something else.
NOT_A_NORM = (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError)


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
        owned = {key for _, keys in layers for key in keys}
        missing = [name for key, name in self._name.items() if key not in owned]
        if missing:
            raise UnsupportedLayer(f"parameter {missing[0]}")
        device = self._trained[0].device
        # The functions take no parameter as an input. This empty tensor asks for a gradient, so
        # that autograd still calls their backward.
        self._spark = torch.zeros(0, requires_grad=True, device=device)
        self._forwards = [(module, self._make_forward(module, keys)) for module, keys in layers]
        self._held: dict[int, RowGradient] = {}  # of parameters that are used several times
        self._uses: Counter[int] = Counter()  # calls of a parameter's layers in the forward pass
        self._seen: Counter[int] = Counter()  # of these calls, those that the backward pass reached
        self._counts_calls = False
        self._rows = 0
        self._consume: Consumer | None = None

    def separate_rows(
        self, compute_loss: Callable[[], torch.Tensor], rows: int, consume: Consumer
    ) -> None:
        """Run the backward pass of `compute_loss()`, a sum over `rows` rows, row by row.

        The parameters' own `.grad` stay empty. A parameter that is used several times (tied
        embeddings, a block that runs twice) is given once, as the sum. Raises UnsupportedLayer,
        perhaps after some gradients were given, where the rows of a trained parameter cannot be
        separated.
        """
        self._rows, self._consume = rows, consume
        with self._replace_forwards():
            self._counts_calls = True
            loss = compute_loss()
            self._counts_calls = False  # a recomputed layer is called again, but used once
            loss.backward()
            self._require_no_other_use()
            for key in list(self._held):  # a use that the loss does not depend on adds nothing
                self._pass_on(key, self._held.pop(key))

    @contextmanager
    def _replace_forwards(self) -> Iterator[None]:
        for module, forward in self._forwards:
            module.forward = forward
        try:
            yield
        finally:
            for module, _ in self._forwards:
                del module.forward
            for parameter in self._trained:
                parameter.grad = None
            self._held.clear()
            self._uses.clear()
            self._seen.clear()

    def _require_no_other_use(self) -> None:
        """Raise where autograd itself found a gradient: a use that is no call of the layer."""
        for parameter in self._trained:
            if parameter.grad is not None:
                name = self._name[id(parameter)]
                raise UnsupportedLayer(f"{name}, used without a call of its layer")

    def give_product(
        self, weight: nn.Parameter, outputs: torch.Tensor, inputs: torch.Tensor
    ) -> None:
        """Pass on the gradients of a linear layer's weight, by their factors."""
        factors = Factors(outputs, inputs)
        self._give(weight, RowGradient(weight.shape, self._rows, factors=(factors,)))

    def give_whole(self, parameter: nn.Parameter, gradient: torch.Tensor) -> None:
        """Pass on the gradients of a vector, (rows, *shape)."""
        self._give(parameter, RowGradient(parameter.shape, self._rows, whole=gradient))

    def give_vectors(self, weight: nn.Parameter, ids: torch.Tensor, gradient: torch.Tensor) -> None:
        """Pass on the gradients of an embedding: `ids` (rows, T), `gradient` (rows, T, width)."""
        vectors = collect_vectors(ids, gradient, len(weight))
        self._give(weight, RowGradient(weight.shape, self._rows, vectors=(vectors,)))

    def _give(self, parameter: nn.Parameter, gradient: RowGradient) -> None:
        """Pass on the gradients of a parameter once all its uses are there."""
        key = id(parameter)
        self._seen[key] += 1
        if key in self._held:
            gradient = self._held.pop(key).join(gradient)
        if self._seen[key] < self._uses[key]:
            self._held[key] = gradient
            return
        self._pass_on(key, gradient)

    def _pass_on(self, key: int, gradient: RowGradient) -> None:
        assert self._consume is not None
        self._consume(self._name[key], gradient)

    def is_trained(self, parameter: nn.Parameter | None) -> bool:
        """Whether the parameter is one whose gradients are asked for."""
        return parameter is not None and id(parameter) in self._name

    def _make_forward(self, module: nn.Module, keys: list[int]) -> Callable[..., torch.Tensor]:
        apply = self._choose_function(module)
        is_embedding = isinstance(module, nn.Embedding)

        def forward(x: torch.Tensor, *others: object, **options: object) -> torch.Tensor:
            known = x.dim() == 2 if is_embedding else x.dim() >= 3  # rows, tokens, ..., width
            if others or options or not known or len(x) != self._rows:
                shape = tuple(x.shape)
                raise UnsupportedLayer(f"{self._name[keys[0]]}, whose layer reads {shape}")
            if self._counts_calls:
                self._uses.update(keys)
            return apply(x)

        return forward

    def _choose_function(self, module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        if isinstance(module, nn.Linear):
            return lambda x: _Linear.apply(x, self._spark, module, self)
        if isinstance(module, nn.Embedding):
            return lambda ids: _Embedding.apply(self._spark, ids, module, self)
        unit = _make_twin(module)
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
    w times the output for weight one and bias zero, plus b. So norms need not be known by name. w
    and b are random too: where a norm has (1 + w), a w of one would look like a factor.
    """
    own = dict(module.named_parameters())
    weight, bias = own.pop("weight", None), own.pop("bias", None)
    if own or weight is None or weight.dim() != 1:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, len(weight), generator=generator).to(weight)
    w, b = (torch.rand(2, len(weight), generator=generator) + 0.5).to(weight)
    try:
        with torch.no_grad():
            expected = w * _make_twin(module)(x) + (0.0 if bias is None else b)
            return torch.allclose(_make_twin(module, w, b)(x), expected, rtol=1e-2, atol=1e-2)
    except NOT_A_NORM:
        return False


def _make_twin(
    module: nn.Module, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None
) -> nn.Module:
    """The norm with another weight and bias, by default one and zero, neither of them trained."""
    twin = copy.copy(module)
    twin.__dict__.pop("forward", None)  # in case the module's own is replaced at the moment
    twin._parameters = dict(module._parameters)
    for name, value, constant in (("weight", weight, 1.0), ("bias", bias, 0.0)):
        old = module._parameters.get(name)
        if old is not None:
            new = torch.full_like(old, constant) if value is None else value.detach()
            twin._parameters[name] = nn.Parameter(new, requires_grad=False)
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
        (x,), (gradient,) = ctx.saved_tensors, gradients  # (rows, ..., in), (rows, ..., out)
        module, rows = ctx.module, ctx.rows
        outputs = gradient.flatten(1, -2)  # (rows, places, out)
        if rows.is_trained(module.weight):
            rows.give_product(module.weight, outputs, x.flatten(1, -2))
        if rows.is_trained(module.bias):
            rows.give_whole(module.bias, outputs.sum(dim=1))  # (rows, out)
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
        # A norm over each head has (rows, tokens, heads, width): all axes in between are places.
        if rows.is_trained(module.weight):
            product = (gradient * x).flatten(1, -2).sum(dim=1)  # (rows, width)
            rows.give_whole(module.weight, product)
        bias = getattr(module, "bias", None)
        if rows.is_trained(bias):
            rows.give_whole(bias, gradient.flatten(1, -2).sum(dim=1))
        return gradient * module.weight, None, None, None
