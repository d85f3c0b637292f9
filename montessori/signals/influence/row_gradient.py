"""The gradients of one parameter for the rows of a batch, made tile by tile.

The gradient of a linear layer's weight for row b is `outputs'[b]^T inputs[b]`: the gradient that
comes back to the layer's output, times the layer's input (arXiv 1510.01799). Both factors are small
beside their product, so the product is made for a tile at a time (some of the weight's first axis)
and dropped; no row's whole gradient of a matrix is ever in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch


@dataclass(frozen=True)
class Factors:
    """What a linear layer adds: `outputs` (rows, places, out), `inputs` (rows, places, in)."""

    outputs: torch.Tensor
    inputs: torch.Tensor

    def make_tile(self, start: int, stop: int) -> torch.Tensor:
        """The product for outputs start to stop, (rows, stop - start, in)."""
        return self.outputs[:, :, start:stop].transpose(1, 2) @ self.inputs

    def sum_squares(self) -> torch.Tensor:
        """The squared norm of each row's product, (rows,) fp64, without the product.

        The sum over pairs of places of (output . output)(input . input), arXiv 2406.11011: cheaper
        where there are fewer places than the weight has inputs and outputs.
        """
        squares = self.outputs @ self.outputs.transpose(1, 2)  # (rows, places, places)
        squares *= self.inputs @ self.inputs.transpose(1, 2)
        return squares.double().sum(dim=(1, 2))


@dataclass(frozen=True)
class Vectors:
    """What an embedding adds: `values` (n, width) at vector `index` (n,) of row `rows` (n,)."""

    rows: torch.Tensor
    index: torch.Tensor
    values: torch.Tensor

    def add_to(self, tile: torch.Tensor, start: int, stop: int) -> None:
        """Add them to a tile of vectors start to stop, (rows, stop - start, width)."""
        here = ((self.index >= start) & (self.index < stop)).nonzero()[:, 0]
        tile.index_put_(
            (self.rows[here], self.index[here] - start), self.values[here], accumulate=True
        )


def collect_vectors(ids: torch.Tensor, gradient: torch.Tensor, length: int) -> Vectors:
    """The vectors of an embedding of `length`, summed over equal ids of a row.

    `ids` is (rows, places), `gradient` (rows, places, width).
    """
    first = torch.arange(len(ids), device=ids.device)[:, None] * length  # (rows, 1)
    # A place is the number of a vector in a table of all rows' vectors, (rows * length).
    used, where = (ids + first).flatten().unique(return_inverse=True)  # (n,), (rows * places,)
    values = gradient.new_zeros(len(used), gradient.shape[-1])
    values.index_add_(0, where, gradient.flatten(0, 1))
    return Vectors(used // length, used % length, values)


@dataclass(frozen=True)
class RowGradient:
    """The gradients of a parameter of `shape` for `rows` rows: the sum of its parts.

    A part is a product of factors, vectors of an embedding, or whole gradients (rows, *shape) of a
    small parameter; a parameter that is used several times has several. `mix` makes other
    gradients of the rows' ones, along the first axis: (rows, ...) to (n, ...).
    """

    shape: torch.Size
    rows: int
    factors: tuple[Factors, ...] = ()
    vectors: tuple[Vectors, ...] = ()
    whole: torch.Tensor | None = None
    mix: Callable[[torch.Tensor], torch.Tensor] | None = field(default=None, compare=False)

    def join(self, other: "RowGradient") -> "RowGradient":
        """The gradients of a parameter that is used once more."""
        whole = self.whole
        if other.whole is not None:
            whole = other.whole if whole is None else whole + other.whole
        return replace(
            self,
            factors=self.factors + other.factors,
            vectors=self.vectors + other.vectors,
            whole=whole,
        )

    @property
    def is_sparse(self) -> bool:
        """Whether the gradients are zero but at the vectors of one embedding."""
        return not self.factors and self.whole is None and self.mix is None

    def make_tile(self, start: int, stop: int) -> torch.Tensor:
        """The gradients at start to stop of the first axis, (n, stop - start, ...)."""
        parts = [part.make_tile(start, stop) for part in self.factors]
        if self.whole is not None:
            parts.append(self.whole[:, start:stop])
        if not parts:
            values = self.vectors[0].values
            parts.append(values.new_zeros(self.rows, stop - start, *self.shape[1:]))
        tile = parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0)
        for vectors in self.vectors:
            vectors.add_to(tile, start, stop)
        return tile if self.mix is None else self.mix(tile)

    def sum_squares(self, elements: int) -> torch.Tensor:
        """The squared norm of each gradient, (n,) fp64, by tiles of about `elements` elements."""
        if self._by_places():
            return self.factors[0].sum_squares()
        sums = [
            self.make_tile(start, stop).flatten(1).double().square().sum(dim=1)
            for start, stop in cut_tiles(self.shape, elements)
        ]
        return torch.stack(sums).sum(dim=0)

    def _by_places(self) -> bool:
        """Whether the squared norm is that of one product, and cheaper by pairs of places."""
        if self.mix is not None or self.vectors or self.whole is not None or len(self.factors) > 1:
            return False
        places = self.factors[0].inputs.shape[1]
        return places * sum(self.shape) < self.shape.numel()


def cut_tiles(shape: torch.Size, elements: int) -> list[tuple[int, int]]:
    """Bounds of tiles along the first axis of a parameter, about `elements` elements each."""
    if shape.numel() <= elements:
        return [(0, shape[0])]
    size = max(1, elements // max(1, shape.numel() // shape[0]))
    return [(start, min(start + size, shape[0])) for start in range(0, shape[0], size)]
