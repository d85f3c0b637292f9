"""Local data influence to first order: -grad L_ref . delta(x), delta the full AdamW step.

The reference gradient is computed once; a row costs one backward pass and one reduction over the
parameters. Rows share a backward pass if their gradients can be separated (see `per_row`). In other
models each row has its own, and hooks consume a parameter's gradient as soon as it is computed.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from montessori.signals.influence.per_row import Consumer, PerRow, UnsupportedLayer
from montessori.signals.influence.reduction import BLOCK, Reduction
from montessori.signals.influence.row_gradient import RowGradient
from montessori.train.adamw import AdamWState, trained_parameters
from montessori.train.loss import Row, batch_by_length, sum_mean_losses
from montessori.train.memory import most_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOG = logging.getLogger(__name__)

#: Most rows of a shared backward pass.
ROWS = 16
#: Largest difference between rows' sums from a shared pass and from a pass for each row, as a share
#: of the largest sum, by the format of the products: rounding gives 1e-5 in fp32, 5e-2 in bf16.
AGREE = {torch.float64: 1e-2, torch.float32: 1e-2, torch.bfloat16: 0.2}


def reference_gradients(
    model: "PreTrainedModel",
    references: Sequence[Row],
    groups: Sequence[Sequence[int]],
    pad: int,
    batch: int = 32,
) -> dict[str, torch.Tensor]:
    """Gradients of the reference loss by parameter name, each (len(groups), elements).

    A group is a list of row indices; its loss is the mean over its rows of each row's mean token
    loss, so neither `batch` nor the lengths of the other rows in it matter. The result is in the
    parameters' format; batches add up in fp32 at least, because many small ones vanish in bf16.
    """
    parameters = trained_parameters(model)
    stacked = {
        name: parameter.new_zeros(len(groups), parameter.numel())
        for name, parameter in parameters.items()
    }
    model.zero_grad(set_to_none=True)
    tokens = most_tokens(model)
    for k, group in enumerate(groups):
        rows = [references[i] for i in group]
        sums = {name: _sum_in(table[k]) for name, table in stacked.items()}

        def add(name: str, gradient: torch.Tensor, sums: dict[str, torch.Tensor] = sums) -> None:
            sums[name] += gradient.flatten()

        # The loss of the group is a sum over its rows.
        for indices in batch_by_length(rows, batch, tokens):
            with _consume_gradients(parameters, add):
                (sum_mean_losses(model, [rows[i] for i in indices], pad) / len(rows)).backward()
        for name, total in sums.items():
            stacked[name][k] = total  # the same memory, but for numbers that are coarser than fp32
    return stacked


def _sum_in(total: torch.Tensor) -> torch.Tensor:
    """Where gradients add up to `total`, zeros now: the same tensor, or one in fp32."""
    return total.to(torch.promote_types(total.dtype, torch.float32))


class FirstOrder:
    """Centred influences of rows, and of the rows of a group, on some reference groups.

    `model` is in evaluation mode, without dropout; `gradients` are those of `reference_gradients`.
    Above `max_grad_norm` (0: never) a gradient is scaled down to it, as in warm-up. `batch` is the
    most rows of a shared backward pass (0: chosen by the rows' lengths and by memory); 1 gives
    every row its own. `compiled`: see Reduction.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        state: AdamWState,
        learning_rate: float,
        gradients: dict[str, torch.Tensor],
        pad: int,
        max_grad_norm: float = 0.0,
        batch: int = 0,
        compiled: bool | None = False,
    ) -> None:
        self.model, self.pad, self.max_grad_norm = model, pad, max_grad_norm
        self.learning_rate = learning_rate
        self.parameters = trained_parameters(model)
        self.reduction = Reduction(state, self.parameters, gradients, compiled)
        self.neutral = learning_rate * self.reduction.neutral  # (groups,), fp64
        self.batch = batch or ROWS
        self.tokens = math.inf
        self.alone = ""  # why every row has a backward pass of its own
        self._checked = False  # whether rows that share a pass were compared with rows alone
        if self.batch > 1:
            try:
                self._per_row = PerRow(model)
                if not batch:
                    self.tokens = most_tokens(model, kept_to_end=max_grad_norm > 0)
            except UnsupportedLayer as layer:
                self._separate_passes(str(layer))

    def score_rows(
        self, rows: Sequence[Row], advance: Callable[[int], None] | None = None
    ) -> torch.Tensor:
        """I_c(x) = -grad L_ref . (delta(x) - delta(0)) of each row, fp64, shape (rows, groups).

        `advance` is called with the number of rows after each batch.
        """
        self._check_sharing(rows)
        sums = self.neutral.new_zeros(len(rows), len(self.neutral))  # (rows, groups)
        for indices in batch_by_length(rows, self.batch, self.tokens):
            sums[indices] = self._sum_each([rows[i] for i in indices])
            if advance:
                advance(len(indices))
        return self.learning_rate * sums

    def score_group(self, rows: Sequence[Row]) -> torch.Tensor:
        """Centred influences of one step on the mean gradient of `rows`, and without each row.

        fp64, shape (1 + rows, groups): first all rows, then all but row i. A step without any row
        is that of the momentum, with influence 0. Group steps: arXiv 2610.00779.
        """
        self._check_sharing(rows)
        if 1 < len(rows) <= self.batch:
            try:
                return self.learning_rate * self._sum_together(rows, with_and_without)
            except UnsupportedLayer as layer:
                self._separate_passes(str(layer))
        sums = self.neutral.new_zeros(1 + len(rows), len(self.neutral))  # (1 + rows, groups)
        for k in range(1 + len(rows)):
            left = [row for i, row in enumerate(rows) if i != k - 1]  # k = 0 leaves all
            if left:
                sums[k] = self._sum_mean_step(left)
        return self.learning_rate * sums

    def _separate_passes(self, reason: str) -> None:
        """Give every row a backward pass of its own from here on, and say why."""
        self.batch, self.alone = 1, reason
        LOG.warning("influence: every row has a backward pass of its own: %s", reason)

    def _check_sharing(self, rows: Sequence[Row]) -> None:
        """Once: two rows, of different lengths if there are any, must score as each by itself."""
        if self._checked or self.batch == 1 or len(rows) < 2:
            return
        self._checked = True
        others = sorted(rows[1:], key=lambda row: len(row.ids) == len(rows[0].ids))
        pair = [rows[0], others[0]]
        shared = self._sum_each(pair)
        alone = torch.stack([self._sum_mean_step([row]) for row in pair])
        difference, scale = (shared - alone).abs().max(), alone.abs().max()
        # A score that is not finite is found, with the name of its row, by who asks for it.
        if difference > AGREE.get(self.model.dtype, 0.2) * scale:
            share = float(difference / scale)
            self._separate_passes(f"rows that share one score otherwise, by {share:.2g} of a score")

    def _sum_each(self, rows: Sequence[Row]) -> torch.Tensor:
        """Sums of each row's step, (rows, groups)."""
        if self.batch > 1:
            try:
                return self._sum_together(rows)
            except UnsupportedLayer as layer:
                self._separate_passes(str(layer))
        return torch.stack([self._sum_mean_step([row]) for row in rows])

    def _sum_together(
        self, rows: Sequence[Row], mix: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Sums of the rows' steps, or of those that `mix` makes of their gradients, (n, groups)."""

        def separate(consume: Consumer) -> None:
            self._per_row.separate_rows(
                lambda: sum_mean_losses(self.model, rows, self.pad),
                len(rows),
                lambda name, gradient: consume(name, replace(gradient, mix=mix)),
            )

        return self._sum_steps(len(rows) if mix is None else 1 + len(rows), separate)

    def _sum_mean_step(self, rows: Sequence[Row]) -> torch.Tensor:
        """Sums of one step on the mean loss of `rows`, shape (groups,)."""

        def take(consume: Consumer) -> None:
            def wrap(name: str, gradient: torch.Tensor) -> None:
                consume(name, RowGradient(gradient.shape, 1, whole=gradient[None]))

            with _consume_gradients(self.parameters, wrap):
                (sum_mean_losses(self.model, rows, self.pad) / len(rows)).backward()

        return self._sum_steps(1, take)[0]

    def _sum_steps(self, count: int, take_gradients: Callable[[Consumer], None]) -> torch.Tensor:
        """Sums of `count` steps on the gradients of one backward pass, (count, groups).

        A gradient is consumed as soon as it is there. With clipping all are kept until the backward
        pass has ended, by their factors, since each row's norm is that of its whole gradient.
        """
        reduction = self.reduction
        reduction.scale = None
        reduction.start_sums(count)
        if not self.max_grad_norm:
            take_gradients(reduction.add)
            return reduction.sums
        kept: list[tuple[str, RowGradient]] = []
        take_gradients(lambda name, gradient: kept.append((name, gradient)))
        squares = self.neutral.new_zeros(count)  # (count,), fp64
        for _, gradient in kept:
            squares += gradient.sum_squares(BLOCK)
        reduction.scale = clip_factors(squares.sqrt(), self.max_grad_norm)
        for name, gradient in kept:
            reduction.add(name, gradient)
        return reduction.sums


def clip_factors(norms: torch.Tensor, most: float) -> torch.Tensor:
    """Factors that scale gradients of `norms` down to `most`, as by torch's clip_grad_norm_."""
    return (most / (norms + 1e-6)).clamp(max=1.0)


def with_and_without(gradients: torch.Tensor) -> torch.Tensor:
    """The mean of rows' gradients, (rows, ...), then the mean of all but each: (1 + rows, ...)."""
    total, others = gradients.sum(dim=0, keepdim=True), len(gradients) - 1
    return torch.cat([total / len(gradients), (total - gradients) / others])


@contextmanager
def _consume_gradients(
    parameters: dict[str, torch.nn.Parameter], consume: Callable[[str, torch.Tensor], None]
) -> Iterator[None]:
    """While open, a parameter's gradient goes to `consume`, and is dropped."""

    def make_hook(name: str) -> Callable[[torch.Tensor], None]:
        def hand_over(parameter: torch.Tensor) -> None:
            gradient, parameter.grad = parameter.grad, None
            if gradient is not None:
                consume(name, gradient)

        return hand_over

    handles = []
    for name, value in parameters.items():
        handles.append(value.register_post_accumulate_grad_hook(make_hook(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
