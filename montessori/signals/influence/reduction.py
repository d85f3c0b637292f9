"""The sum over parameters of -grad L_ref . (delta(g) - delta(0)), fed gradient by gradient.

delta(g) is the AdamW step of a row's gradient g, delta(0) the step of the momentum alone. The step
contains the row's own squared gradient: with a frozen second moment rows are ranked otherwise
(Spearman 0.94 in the lab, 0.91 for a real model; docs/results/log.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from montessori.signals.influence.kernel import choose_kernel
from montessori.signals.influence.row_gradient import RowGradient, Vectors, cut_tiles
from montessori.train.adamw import AdamWState, Step, next_step, step_factors

#: Most elements of a parameter that is one tile, and of the block of rows worked on there: small
#: enough that a block and its temporaries stay in cache.
BLOCK = 2**17
#: Elements in a tile of a larger parameter, by kind of device: on a CPU the tile's moments and
#: reference stay in cache while the rows of a batch pass, a GPU wants more work in a kernel.
TILE = {"cpu": 2**16, "cuda": 2**22}
#: The same for the compiled kernel: a call of it costs 0.2 ms on a CPU, and with more elements the
#: rows' gradients leave the cache.
KERNEL_TILE = {"cpu": 2**18, "cuda": 2**22}
#: Elements of the rows' gradients of such a tile that are worked on at once by the plain form.
ROWS_BLOCK = {"cpu": 2**18, "cuda": 2**26}


class Reduction:
    """Centred influences of some rows on some reference groups, per unit of learning rate.

    `gradients` are the reference gradients by parameter name, each (groups, elements). `add` takes
    the rows' gradients in any order of parameters and adds to `sums`. Moments and references are
    read as they are, a tile at a time; what follows from them (momentum, spread, the step without
    a gradient) is computed in the tile, and kept for small parameters only. Products are in the
    references' format, fp32 at least; sums over parameters in fp64. `compiled`: parameters of
    several tiles go through one kernel made by torch.compile; None: if there is a compiler.
    """

    def __init__(
        self,
        state: AdamWState,
        parameters: Mapping[str, torch.Tensor],
        gradients: Mapping[str, torch.Tensor],
        compiled: bool | None = False,
    ) -> None:
        self.state, self.gradients = state, gradients
        self._shapes = {name: parameters[name].shape for name in gradients}
        self._kept: dict[str, _Tile] = {}  # of parameters of one tile
        kind = next(iter(gradients.values())).device.type
        kernel_tile, tile, self._rows_block = (
            sizes.get(kind, sizes["cuda"]) for sizes in (KERNEL_TILE, TILE, ROWS_BLOCK)
        )
        large = any(shape.numel() > kernel_tile for shape in self._shapes.values())
        self._kernel = choose_kernel(compiled) if large else None
        self._tile = tile if self._kernel is None else kernel_tile
        self._rests: dict[str, torch.Tensor] = {}  # the momentum's products by name, (groups,) fp64
        self.neutral = self._sum_momentum_step(parameters)  # (groups,), fp64
        self.scale: torch.Tensor | None = None  # factors of the rows' gradients, (rows,)
        self.sums = self.neutral.new_zeros(0, len(self.neutral))  # (rows, groups), fp64

    def start_sums(self, rows: int) -> None:
        """Set the sums of `rows` rows to zero."""
        self.sums = self.neutral.new_zeros(rows, len(self.neutral))

    def add(self, name: str, gradient: RowGradient) -> None:
        """Add a parameter's share."""
        if gradient.is_sparse and len(gradient.vectors) == 1:
            self._add_vectors(name, gradient.vectors[0])
            return
        tiles = self.cut_tiles(name)
        if len(tiles) == 1:
            self._add_whole(name, gradient)
        else:
            add = self._add_tile if self._kernel is None else self._add_fused
            for start, stop in tiles:
                add(name, start, stop, self._scale_rows(gradient.make_tile(start, stop)).flatten(1))
            if self._kernel is not None:
                self.sums -= self._rests[name]

    def cut_tiles(self, name: str) -> list[tuple[int, int]]:
        """Bounds of the tiles of a parameter, along its first axis."""
        shape = self._shapes[name]
        return cut_tiles(shape, BLOCK if shape.numel() <= BLOCK else self._tile)

    def _add_whole(self, name: str, gradient: RowGradient) -> None:
        """Add the share of a parameter of one tile."""
        length = self._shapes[name][0]
        whole = self._scale_rows(gradient.make_tile(0, length)).flatten(1)  # (rows, elements)
        self._add_blocks(self._take_tile(name, 0, length), whole, BLOCK)

    def _add_tile(self, name: str, start: int, stop: int, gradient: torch.Tensor) -> None:
        """Add the share of a tile, from gradients (rows, elements)."""
        self._add_blocks(self._take_tile(name, start, stop), gradient, self._rows_block)

    def _add_fused(self, name: str, start: int, stop: int, gradient: torch.Tensor) -> None:
        """The same by the compiled kernel, but for what the momentum alone does."""
        assert self._kernel is not None
        state, reference = self.state, self.gradients[name]
        width = self._shapes[name][1:].numel()
        here = slice(start * width, stop * width)
        self.sums += self._kernel(
            state.exp_avg[name].flatten()[here],
            state.exp_avg_sq[name].flatten()[here],
            gradient,
            reference[:, here],
            step_factors(state, name),
        ).double()

    def _add_blocks(self, tile: "_Tile", gradient: torch.Tensor, elements: int) -> None:
        """Add the share of a tile, from gradients (rows, elements), few rows at a time."""
        size = max(1, elements // gradient.shape[1])
        for start in range(0, len(gradient), size):
            block = gradient[start : start + size]  # (size, elements)
            share = sum_share(tile.step, tile.rest, block, tile.reference)
            self.sums[start : start + size] += share.double()

    def _take_tile(self, name: str, start: int, stop: int) -> "_Tile":
        """What a tile's gradients are compared with."""
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        shape, reference = self._shapes[name], self.gradients[name]
        dtype = torch.promote_types(reference.dtype, torch.float32)
        width = shape[1:].numel()
        reference = reference[:, start * width : stop * width].to(dtype)
        step = next_step(self.state, name, dtype, slice(start, stop)).flat()
        tile = _Tile(step, step.update(torch.zeros_like(step.momentum)), reference)
        if (start, stop) == (0, shape[0]):
            self._kept[name] = tile
        return tile

    def _add_vectors(self, name: str, vectors: Vectors) -> None:
        """Add the share of an embedding whose gradients are zero off some of its vectors.

        A zero gradient takes the step of the momentum, which centring removes, so the other vectors
        add nothing.
        """
        gradient, reference = vectors.values, self.gradients[name]
        if self.scale is not None:
            gradient = gradient * self.scale[vectors.rows, None].to(gradient.dtype)
        dtype = torch.promote_types(reference.dtype, torch.float32)
        step = next_step(self.state, name, dtype, vectors.index)  # (n, width)
        rest = step.update(torch.zeros_like(step.momentum))
        update = step.update(gradient.to(dtype)).sub_(rest)  # (n, width)
        table = reference.view(len(reference), *self._shapes[name])  # (groups, vocabulary, width)
        chosen = table[:, vectors.index].to(dtype)  # (groups, n, width)
        share = torch.einsum("nd,knd->nk", update, chosen)
        self.sums.index_add_(0, vectors.rows, share.double())

    def _scale_rows(self, gradient: torch.Tensor) -> torch.Tensor:
        if self.scale is None:
            return gradient
        factors = self.scale.to(gradient.dtype)
        return gradient * factors.view(-1, *[1] * (gradient.dim() - 1))

    def _sum_momentum_step(self, parameters: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """-grad L_ref . delta(0), fp64, shape (groups,): what the momentum alone does.

        Keeps each parameter's part without weight decay, which the kernel does not take off.
        """
        total = torch.zeros(())
        for name, reference in self.gradients.items():
            rest = torch.zeros(len(reference), dtype=torch.float64, device=reference.device)
            for start, stop in self.cut_tiles(name):
                tile = self._take_tile(name, start, stop)
                # Weight decay does not depend on the row: it is part of the neutral score alone.
                weight = parameters[name].detach()[start:stop].flatten()
                whole = tile.rest + self.state.weight_decay * weight
                total = total.to(reference.device) + (tile.reference @ whole).double()
                rest += (tile.reference @ tile.rest).double()
            self._rests[name] = rest
        return total


@dataclass(frozen=True)
class _Tile:
    """A parameter's tile as vectors: its step, that without a gradient, (groups, elements)."""

    step: Step
    rest: torch.Tensor
    reference: torch.Tensor


def sum_share(
    step: Step, rest: torch.Tensor, gradient: torch.Tensor, reference: torch.Tensor
) -> torch.Tensor:
    """A tile's share of the sums, (rows, groups), operation by operation.

    `gradient` is (rows, elements), `reference` (groups, elements), `rest` the step of the momentum,
    (elements,); `step` is that of the tile as a vector.
    """
    return step.update(gradient.to(reference.dtype)).sub_(rest) @ reference.T
