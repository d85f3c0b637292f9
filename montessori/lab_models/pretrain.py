"""Pre-training of a lab base model: documents in, a model folder out.

Documents are drawn in pools whose content follows from (seed, pool number) alone, sorted by
length and cut into batches of about equal token counts, so there is next to no padding and no
document sees another. After each pool the weights and AdamW moments are saved: a killed training
continues with the next pool and ends with the same weights.
"""

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from montessori.artifacts.files import read_json, write_json
from montessori.models.padding import pad_rows
from montessori.progress import track_progress
from montessori.seeding import seed_of

#: One training document: token ids, and the weight of each token's loss.
Document = tuple[list[int], list[float]]
POOL_BATCHES = 64


@dataclass(frozen=True)
class Recipe:
    """How long and how fast a base model learns.

    `tokens` counts trained tokens; `batch` is tokens per optimizer step; `learning_rate` rises
    linearly over 3 % of the tokens, then falls as a half cosine to a fiftieth.
    """

    tokens: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.1
    seed: int = 0


def learning_rate(recipe: Recipe, seen: int) -> float:
    """The rate after `seen` tokens."""
    share = min(1.0, seen / recipe.tokens)
    if share < 0.03:
        # Without the lower limit the first step would have a rate of 0 and be lost.
        return recipe.learning_rate * max(share, 0.0005) / 0.03
    cosine = 0.5 * (1 + math.cos(math.pi * (share - 0.03) / 0.97))
    return recipe.learning_rate * (0.02 + 0.98 * cosine)


def pool_batches(
    make: Callable[[random.Random], Document], recipe: Recipe, pool: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of pool number `pool`: ids (rows, length) int64 and weights of the same shape.

    Padding has weight 0. Order of the batches is shuffled; rows of a batch have like lengths.
    """
    rng = random.Random(seed_of(recipe.seed, "pretrain", pool))
    documents: list[Document] = []
    total = 0
    while total < POOL_BATCHES * recipe.batch:
        documents.append(make(rng))
        total += len(documents[-1][0])
    # Rows of like length share a batch, which leaves little to pad; the shuffle below mixes the
    # batches again.
    documents.sort(key=lambda document: len(document[0]))
    batches: list[list[Document]] = [[]]
    for document in documents:
        if batches[-1] and (len(batches[-1]) + 1) * len(document[0]) > recipe.batch:
            batches.append([])
        batches[-1].append(document)
    rng.shuffle(batches)
    for batch in batches:
        yield _pad_batch(batch)


def _pad_batch(batch: list[Document]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and weights of documents, (documents, longest) each, on the CPU."""
    ids = pad_rows([ids for ids, _ in batch], 0, "cpu")
    weights = pad_rows([weights for _, weights in batch], 0, "cpu", dtype=torch.float32)
    return ids, weights


def _weighted_loss(
    model: PreTrainedModel, ids: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted mean of the next-token losses. Right padding needs no attention mask."""
    device = model.device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        # The last position has no next token to predict.
        logits = model(input_ids=ids.to(device), use_cache=False).logits[:, :-1]
    weights = weights[:, 1:].to(device)  # (rows, length - 1)
    losses = cross_entropy(
        logits.float().flatten(0, 1), ids[:, 1:].to(device).flatten(), reduction="none"
    )
    return (losses * weights.flatten()).sum() / weights.sum()


def _save_checkpoint(
    folder: Path, model: PreTrainedModel, optimizer: torch.optim.AdamW, state: dict
) -> None:
    # Parameters, not the state dict: tied embeddings appear once here, and safetensors refuses to
    # save two tensors of one storage.
    tensors = {f"weight.{name}": p.detach() for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        for key in ("exp_avg", "exp_avg_sq", "step"):
            tensors[f"{key}.{name}"] = optimizer.state[p][key].detach()
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / "state.new"
    # safetensors saves contiguous tensors only.
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, fresh, metadata={"pool": str(state["pool"])})
    # The order makes a kill harmless: the new file is complete before it has its name, state.json
    # names it next, and the old one goes last.
    fresh.replace(folder / f"state-{state['pool']}.safetensors")
    write_json(folder / "state.json", state)
    for old in folder.glob("state-*.safetensors"):
        if old.name != f"state-{state['pool']}.safetensors":
            old.unlink()


def _restore_checkpoint(folder: Path, model: PreTrainedModel, optimizer: torch.optim.AdamW) -> dict:
    if not (folder / "state.json").exists():
        return {"pool": 0, "tokens": 0, "seconds": 0.0, "documents": 0}
    state = read_json(folder / "state.json")
    tensors = load_file(folder / f"state-{state['pool']}.safetensors", device=str(model.device))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(tensors[f"weight.{name}"])
            keys = ("exp_avg", "exp_avg_sq", "step")
            optimizer.state[p] = {key: tensors[f"{key}.{name}"] for key in keys}
            # AdamW keeps its step counter on the CPU, while `load_file` has put it on the device.
            optimizer.state[p]["step"] = optimizer.state[p]["step"].cpu()
    return state


def pretrain(
    model: PreTrainedModel,
    make: Callable[[random.Random], Document],
    recipe: Recipe,
    work: Path,
    label: str,
) -> dict:
    """Train `model` in place; returns {"tokens", "documents", "seconds", "loss"}.

    `work` keeps the state after each pool; a second call with the same arguments continues.
    """
    torch.manual_seed(recipe.seed)
    # The rate is set before each step, so the one given here is never used.
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    state = _restore_checkpoint(work, model, optimizer)
    progress = track_progress(recipe.tokens, "tokens", label)
    progress.advance(state["tokens"])
    model.train()
    while state["tokens"] < recipe.tokens:
        started, losses = time.monotonic(), []
        for ids, weights in pool_batches(make, recipe, state["pool"]):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, state["tokens"])
            loss = _weighted_loss(model, ids, weights)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            count = int((weights > 0).sum())
            state["tokens"] += count
            state["documents"] += len(ids)
            progress.advance(count, loss=round(losses[-1], 3))
        state["pool"] += 1
        state["seconds"] += time.monotonic() - started
        state["loss"] = sum(losses) / len(losses)
        _save_checkpoint(work, model, optimizer, state)
    return state
