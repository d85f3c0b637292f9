"""Warm-up, SFT and DPO as plain loops in double precision: the formulas, one row at a time.

Nothing here is batched, padded or scheduled by a library. Dialogues are put together from tokens
by hand (template of the lab: data/micro/prompts/chat_template.jinja), so a wrong loss mask in the
package is not repeated here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

Dialogue = Sequence[dict[str, str]]


def tokens_and_mask(tokenizer: Any, dialogue: Dialogue) -> tuple[list[int], list[bool]]:
    """Token ids of a dialogue, and which of them the model is trained to write.

    Trained are the text of the assistant and the `<|end|>` behind it, nothing else.
    """
    ids: list[int] = []
    trained: list[bool] = []
    for message in dialogue:
        opening = tokenizer.convert_tokens_to_ids(f"<|{message['role']}|>")
        text = tokenizer(message["content"], add_special_tokens=False)["input_ids"]
        end = tokenizer.convert_tokens_to_ids("<|end|>")
        ids += [opening, *text, end]
        trained += [False] + [message["role"] == "assistant"] * (len(text) + 1)
    return ids, trained


def token_losses(model: Any, ids: Sequence[int], trained: Sequence[bool]) -> torch.Tensor:
    """-log p(token | tokens before it) of each trained token, in nats, shape (trained tokens,)."""
    log_probabilities = model(torch.tensor([list(ids)])).logits[0].log_softmax(-1)
    places = [place for place in range(1, len(ids)) if trained[place]]
    return torch.stack([-log_probabilities[place - 1, ids[place]] for place in places])


@dataclass
class PlainAdamW:
    """AdamW by its formula (arXiv 1711.05101, algorithm 2) without weight decay."""

    parameters: list[torch.nn.Parameter]
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    steps: int = 0
    first: list[torch.Tensor] = field(default_factory=list)
    second: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]

    def step(self, loss: torch.Tensor, rate: float, max_norm: float) -> None:
        """One step down the gradient of `loss`, which is scaled to a norm of at most `max_norm`."""
        gradients = torch.autograd.grad(loss, self.parameters)
        norm = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
        scale = min(1.0, max_norm / (norm + 1e-6))
        self.steps += 1
        with torch.no_grad():
            for k, parameter in enumerate(self.parameters):
                gradient = scale * gradients[k]
                self.first[k] = self.beta1 * self.first[k] + (1 - self.beta1) * gradient
                self.second[k] = self.beta2 * self.second[k] + (1 - self.beta2) * gradient**2
                mean = self.first[k] / (1 - self.beta1**self.steps)
                spread = self.second[k] / (1 - self.beta2**self.steps)
                parameter -= rate * mean / (spread.sqrt() + self.eps)


def rising_rate(highest: float, share: float, steps: int) -> list[float]:
    """The rate of each warm-up step: a linear rise over the first `share` of them, then flat."""
    rising = max(1, round(share * steps))
    return [highest * min(1.0, (step + 1) / rising) for step in range(steps)]


def rise_stay_fall(
    highest: float, warmup: float, decay: float, least: float, steps: int
) -> list[float]:
    """The rate of each step of SFT and DPO: linear rise, flat, half a cosine down.

    Rise and fall are shares of the steps, `least` is a share of the highest rate, which both the
    first step and the end of the fall have.
    """
    rising, falling = round(warmup * steps), round(decay * steps)
    rates = []
    for step in range(steps):
        if step < rising:
            height = step / rising
        elif step < steps - falling:
            height = 1.0
        else:
            height = 0.5 * (1 + math.cos(math.pi * (step - (steps - falling)) / falling))
        rates.append(highest * (least + (1 - least) * height))
    return rates


def train(
    model: Any,
    batches: Sequence[Sequence[int]],
    rates: Sequence[float],
    max_norm: float,
    loss_of: Callable[[Sequence[int]], torch.Tensor],
) -> list[float]:
    """Train `model` on `batches` of row numbers; the loss of each step, taken before it."""
    optimizer = PlainAdamW(list(model.parameters()))
    losses = []
    for rows, rate in zip(batches, rates, strict=True):
        loss = loss_of(rows)
        losses.append(loss.item())
        optimizer.step(loss, rate, max_norm)
    return losses


def assistant_loss(model: Any, tokenizer: Any, dialogues: Sequence[Dialogue]) -> torch.Tensor:
    """Mean over all assistant tokens of some dialogues, as in warm-up and SFT."""
    every = [token_losses(model, *tokens_and_mask(tokenizer, dialogue)) for dialogue in dialogues]
    return torch.cat(every).mean()


def text_log_probability(model: Any, tokenizer: Any, prompt: str, text: str) -> torch.Tensor:
    """log p(text and its end | prompt), in nats: the sum over the text's tokens."""
    dialogue = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
    return -token_losses(model, *tokens_and_mask(tokenizer, dialogue)).sum()


def preference(model: Any, tokenizer: Any, pair: dict[str, Any]) -> torch.Tensor:
    """log p(chosen | prompt) - log p(rejected | prompt), in nats."""
    chosen = text_log_probability(model, tokenizer, pair["prompt"], pair["chosen"])
    return chosen - text_log_probability(model, tokenizer, pair["prompt"], pair["rejected"])


def preference_loss(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[dict[str, Any]],
    start: Sequence[torch.Tensor],
    beta: float,
) -> torch.Tensor:
    """The DPO loss (arXiv 2305.18290, equation 7): mean over pairs of -log sigmoid(margin).

    The margin is beta times how much more `model` prefers the chosen text than the model that it
    started from, whose preferences are `start`.
    """
    losses = []
    for pair, before in zip(pairs, start, strict=True):
        margin = beta * (preference(model, tokenizer, pair) - before)
        losses.append(-torch.nn.functional.logsigmoid(margin))
    return torch.stack(losses).mean()
