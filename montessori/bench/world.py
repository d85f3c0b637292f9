"""What a benchmark of influence works on: a warmed-up model, probes and reference rows."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from montessori.bench.shapes import SHAPES, random_model
from montessori.errors import MontessoriError
from montessori.train.adamw import AdamWState, trained_parameters
from montessori.train.loss import IGNORED, Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

RATE = 5e-6  # of the probing step and of the warm-up, as published
STEPS, BATCH, CLIP = 60, 8, 1.0  # of the warm-up
FALLBACK = Path("montessori/templates/plain_chat.jinja")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
RIVALS = ("oracle", "published")


@dataclass(frozen=True)
class Options:
    """What is measured: a model, rows, and against what."""

    model: str  # a folder, or a name of SHAPES
    probes: Path | None
    references: Path | None
    warmup: Path | None
    rows: int  # probes that are timed
    reference_rows: int
    audit_rows: int  # probes of the oracle
    published_rows: int  # probes of the published procedure
    max_length: int
    tokens: int  # of a row without a file
    precision: str
    batch: int
    checkpointing: bool
    compiled: bool
    device: str
    threads: int
    against: tuple[str, ...]

    def check(self) -> None:
        """Raise MontessoriError for a value that is not offered."""
        offered = {"precision": DTYPES, "device": ("auto", "cpu", "cuda")}
        values = [(name, getattr(self, name), tuple(choices)) for name, choices in offered.items()]
        values += [("against", name, RIVALS) for name in self.against]
        for name, value, choices in values:
            if value not in choices:
                raise MontessoriError(
                    f"--{name} {value}: not offered",
                    expected=" or ".join(choices),
                    next="montessori bench influence --help",
                )


@dataclass
class World:
    """A warmed-up model and the rows as tokens.

    Weights and moments are fp32; those of a shape are drawn in the precision that is measured.
    """

    model: "PreTrainedModel"
    state: AdamWState
    probes: list[Row]
    references: list[Row]
    pad: int


def world_of(options: Options, say: Callable[[str], None]) -> World:
    """The model and rows that the options name.

    Raises MontessoriError for a model or rows that cannot be used.
    """
    device = _device(options)
    if options.model in SHAPES:
        model = random_model(options.model, device, DTYPES[options.precision])
        size = model.config.vocab_size
        probes = _random_rows(options.rows, options.tokens, size, 1)
        references = _random_rows(options.reference_rows, options.tokens, size, 2)
        world = World(model, _random_state(model), probes, references, 0)
    else:
        world = _from_folder(options, device, say)
    if options.checkpointing:
        from montessori.models.weights import enable_checkpointing

        enable_checkpointing(world.model)
    return world


def _from_folder(options: Options, device: torch.device, say: Callable[[str], None]) -> World:
    from montessori.models import chat
    from montessori.models.prepare import prepare_model
    from montessori.models.weights import load_model

    if not Path(options.model).is_dir():
        raise MontessoriError(
            f"{options.model!r} is neither a model folder nor a shape",
            expected="a folder with config.json and safetensors, or " + ", ".join(SHAPES),
            next="montessori bench influence --help",
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        prepare_model(Path(options.model), FALLBACK, folder)
        model, tokenizer = load_model(folder).to(device), chat.load_tokenizer(folder)
    size, pad = int(model.config.vocab_size), tokenizer.pad_token_id or 0
    every = _rows(options.probes, tokenizer, options) or _random_rows(
        options.rows + STEPS * BATCH, options.tokens, size, 1
    )
    references = _rows(options.references, tokenizer, options) or _random_rows(
        options.reference_rows, options.tokens, size, 2
    )
    warm = _rows(options.warmup, tokenizer, options) or every
    say(f"warm-up: {STEPS} steps of {BATCH} rows, learning rate {RATE:g}, clipped at {CLIP:g}")
    state = warm_up(model, warm, pad)
    left = every if options.warmup else every[STEPS * BATCH :] or every
    probes = _first(left, options.rows, "probes")
    return World(
        model, state, probes, _first(references, options.reference_rows, "references"), pad
    )


def _rows(
    path: Path | None, tokenizer: "PreTrainedTokenizerFast", options: Options
) -> list[Row] | None:
    """The rows of a file that have a response within the length; None without a file."""
    from montessori.sources.rows import read_rows
    from montessori.train.loss import tokenize_rows

    if path is None:
        return None
    dialogues = [row.messages for row in read_rows(path)]
    length = options.max_length
    rows = [row for row in tokenize_rows(tokenizer, dialogues, length) if row.targets]
    if not rows:
        raise MontessoriError(
            f"no row has a response within {length} tokens",
            where=str(path),
            expected="rows with text of the assistant",
            next="raise --max-length",
        )
    return rows


def _first(rows: list[Row], count: int, what: str) -> list[Row]:
    if len(rows) < count:
        raise MontessoriError(
            f"{len(rows)} {what} are fewer than the {count} asked for",
            expected="more rows in the file",
            next="lower --rows or --reference-rows, or give a larger file",
        )
    return rows[:count]


def _random_rows(count: int, tokens: int, vocabulary: int, seed: int) -> list[Row]:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randint(1, vocabulary, (count, tokens), generator=generator).tolist()
    asked = tokens // 3  # tokens of the instruction
    return [Row(ids, [IGNORED] * asked + ids[asked:]) for ids in table]


def _random_state(model: "PreTrainedModel") -> AdamWState:
    """Moments of a plausible size in the model's number format; nothing true follows from them."""
    named = trained_parameters(model)
    return AdamWState(
        exp_avg={name: 1e-4 * torch.randn_like(value) for name, value in named.items()},
        exp_avg_sq={name: 1e-8 + 1e-7 * torch.rand_like(value) for name, value in named.items()},
        step=STEPS, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, learning_rate=RATE,
    )  # fmt: skip


def warm_up(model: "PreTrainedModel", rows: Sequence[Row], pad: int) -> AdamWState:
    """Train `model` as published, STEPS steps of BATCH rows (again from the first if too few)."""
    from montessori.train.settings import WarmupParams
    from montessori.train.warmup import train_rows

    settings = WarmupParams(
        rows=len(rows), epochs=1, batch=BATCH, learning_rate=RATE, warmup=0.0,
        max_grad_norm=CLIP, max_length=0,
    )  # fmt: skip
    wanted = [rows[i % len(rows)] for i in range(STEPS * BATCH)]
    _, state = train_rows(model, wanted, pad, settings, 0)
    model.eval()
    return state


def _device(options: Options) -> torch.device:
    from montessori.pipeline.machine import Machine
    from montessori.train.device import choose_device

    return choose_device(Machine(device=options.device, threads=options.threads))  # type: ignore[arg-type]
