"""Prepare what a benchmark of influence works on: a warmed-up model, probes, reference rows."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from montessori.bench.measures import device_clock
from montessori.bench.shapes import SHAPES, random_model
from montessori.errors import MontessoriError
from montessori.train.adamw import AdamWState, trained_parameters
from montessori.train.loss import IGNORED, Row, sum_mean_losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

RATE = 5e-6  # of the probing step and of the warm-up, as published
BATCH, CLIP = 8, 1.0  # of the warm-up
#: What is chosen where time allows.
MOST_ROWS, MOST_REFERENCES, MOST_STEPS = 64, 256, 60
#: Shares of the time. A warm-up step has BATCH rows; the estimate and the bare passes take REPEATS
#: turns, LEAST_REPEATS where the time is up before, and the parts three more.
WARMUP_SHARE, REFERENCE_SHARE, MEASURED_SHARE = 0.25, 0.1, 0.5
REPEATS, LEAST_REPEATS = 5, 3
FALLBACK = Path("montessori/templates/plain_chat.jinja")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
RIVALS = ("oracle", "published")


@dataclass(frozen=True)
class RowFiles:
    """JSONL files of rows; None means random rows, for `warmup` the first probes."""

    probes: Path | None
    references: Path | None
    warmup: Path | None


@dataclass(frozen=True)
class Sizes:
    """How many rows each measurement takes, and how long they are; 0 = as many as time allows."""

    rows: int  # probes that are timed
    reference_rows: int
    warmup_steps: int
    minutes: float  # for warm-up, reference gradients, estimate and bare passes together
    audit_rows: int  # probes of the oracle
    published_rows: int  # probes of the published procedure
    max_length: int  # tokens of a row from a file
    tokens: int  # of a random row


@dataclass(frozen=True)
class Compute:
    """How and where gradients are computed."""

    precision: str  # a key of DTYPES
    batch: int  # rows of a backward pass; 0 = by the model's size
    checkpointing: bool
    compiled: bool | None
    device: str
    threads: int


@dataclass(frozen=True)
class Options:
    """What is measured: a model on rows, and what it is compared with."""

    model: str  # a folder, or a name of SHAPES
    files: RowFiles
    sizes: Sizes
    compute: Compute
    against: tuple[str, ...]  # of RIVALS

    def check(self) -> None:
        """Raise MontessoriError for an unknown value of an option."""
        _check_choice("precision", self.compute.precision, tuple(DTYPES))
        _check_choice("device", self.compute.device, ("auto", "cpu", "cuda"))
        for rival in self.against:
            _check_choice("against", rival, RIVALS)


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise MontessoriError(
            f"--{option} {value}: unknown",
            expected=" or ".join(choices),
            next="montessori bench influence --help",
        )


@dataclass
class World:
    """A warmed-up model and tokenized rows.

    Weights and moments are fp32; a shape's are drawn in the measured precision to save memory.
    """

    model: "PreTrainedModel"
    state: AdamWState
    probes: list[Row]
    references: list[Row]
    pad: int


def world_of(options: Options, say: Callable[[str], None]) -> World:
    """Load or draw the model and the rows that the options name; warm the model up.

    Raises MontessoriError for an unusable model or unusable rows.
    """
    device = _device_of(options)
    if options.model in SHAPES:
        model = random_model(options.model, device, DTYPES[options.compute.precision])
        size, sizes = model.config.vocab_size, settle_sizes(model, options.sizes)
        probes = draw_rows(sizes.rows, sizes.tokens, size, 1)
        references = draw_rows(sizes.reference_rows, sizes.tokens, size, 2)
        world = World(model, _random_state(model), probes, references, 0)
    else:
        world = _from_folder(options, device, say)
    if options.compute.checkpointing:
        from montessori.models.weights import enable_checkpointing

        enable_checkpointing(world.model)
    return world


def _from_folder(options: Options, device: torch.device, say: Callable[[str], None]) -> World:
    model, tokenizer = open_folder(options.model, device, "influence")
    size, pad = int(model.config.vocab_size), tokenizer.pad_token_id or 0
    sizes = settle_sizes(model, options.sizes)
    steps = sizes.warmup_steps
    probe_pool = _read_file_rows(options.files.probes, tokenizer, options) or draw_rows(
        sizes.rows + steps * BATCH, sizes.tokens, size, 1
    )
    references = _read_file_rows(options.files.references, tokenizer, options) or draw_rows(
        sizes.reference_rows, sizes.tokens, size, 2
    )
    warm = _read_file_rows(options.files.warmup, tokenizer, options) or probe_pool
    say(f"warm-up: {steps} steps of {BATCH} rows, learning rate {RATE:g}, clipped at {CLIP:g}")
    state = warm_up(model, warm, pad, steps)
    remaining = probe_pool if options.files.warmup else probe_pool[steps * BATCH :] or probe_pool
    probes = _take_rows(remaining, sizes.rows, options.sizes.rows, "probes")
    references = _take_rows(
        references, sizes.reference_rows, options.sizes.reference_rows, "references"
    )
    return World(model, state, probes, references, pad)


def open_folder(
    name: str, device: torch.device, command: str
) -> tuple["PreTrainedModel", "PreTrainedTokenizerFast"]:
    """The model and tokenizer of a user's folder, brought into the layout of the stages.

    Raises MontessoriError where there is no such folder; `command` is that of `montessori bench`.
    """
    from montessori.models import chat
    from montessori.models.prepare import prepare_model
    from montessori.models.weights import load_model

    if not Path(name).is_dir():
        raise MontessoriError(
            f"{name!r} is neither a model folder nor a shape",
            expected="a folder with config.json and safetensors, or " + ", ".join(SHAPES),
            next=f"montessori bench {command} --help",
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        prepare_model(Path(name), FALLBACK, folder)
        return load_model(folder).to(device), chat.load_tokenizer(folder)


def settle_sizes(model: "PreTrainedModel", sizes: Sizes) -> Sizes:
    """The sizes with a number for each that is left to the time, from the time of one row."""
    seconds = time_row(model, min(sizes.tokens, sizes.max_length))
    total = 60 * sizes.minutes
    rows = int(MEASURED_SHARE * total / ((2 * REPEATS + 3) * seconds))
    references = int(REFERENCE_SHARE * total / seconds)
    steps = int(WARMUP_SHARE * total / (BATCH * seconds))
    return replace(
        sizes,
        rows=sizes.rows or min(max(rows, 2), MOST_ROWS),
        reference_rows=sizes.reference_rows or min(max(references, 1), MOST_REFERENCES),
        warmup_steps=sizes.warmup_steps or min(max(steps, 2), MOST_STEPS),
    )


def time_row(model: "PreTrainedModel", tokens: int) -> float:
    """Seconds of a forward and backward pass of a random row, the best of three."""
    row = draw_rows(1, tokens, int(model.config.vocab_size), 0)
    times = []
    for _ in range(3):
        started = device_clock(model.device)
        sum_mean_losses(model, row, 0).backward()
        times.append(device_clock(model.device) - started)
        model.zero_grad(set_to_none=True)
    return min(times)


def _read_file_rows(
    path: Path | None, tokenizer: "PreTrainedTokenizerFast", options: Options
) -> list[Row] | None:
    """Read a file's rows that have a response within the length; None without a file."""
    from montessori.sources.rows.read import read_rows
    from montessori.train.loss import tokenize_rows

    if path is None:
        return None
    dialogues = [row.messages for row in read_rows(path).rows]
    length = options.sizes.max_length
    rows = [row for row in tokenize_rows(tokenizer, dialogues, length) if row.targets]
    if not rows:
        raise MontessoriError(
            f"no row has a response within {length} tokens",
            where=str(path),
            expected="rows with text of the assistant",
            next="raise --max-length",
        )
    return rows


def _take_rows(rows: list[Row], count: int, asked: int, what: str) -> list[Row]:
    """The first `count` rows; fewer only where the number was not asked for."""
    if len(rows) < asked:
        raise MontessoriError(
            f"{len(rows)} {what} are fewer than the requested {asked}",
            expected="more rows in the file",
            next="lower --rows or --reference-rows, or give a larger file",
        )
    return rows[:count]


def draw_rows(count: int, tokens: int, vocabulary: int, seed: int) -> list[Row]:
    """Random rows of one length; a third of each is its prompt."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randint(1, vocabulary, (count, tokens), generator=generator).tolist()
    instruction = tokens // 3
    return [Row(ids, [IGNORED] * instruction + ids[instruction:]) for ids in table]


def _random_state(model: "PreTrainedModel") -> AdamWState:
    """Draw moments of a plausible size in the model's number format: good for timing only."""
    named = trained_parameters(model)
    return AdamWState(
        # In place: freed temporaries would stay in the heap and count as memory of influence.
        exp_avg={name: torch.empty_like(v).normal_(0.0, 1e-4) for name, v in named.items()},
        exp_avg_sq={name: torch.empty_like(v).uniform_(1e-8, 1e-7) for name, v in named.items()},
        step=MOST_STEPS,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        learning_rate=RATE,
    )


def warm_up(model: "PreTrainedModel", rows: Sequence[Row], pad: int, steps: int) -> AdamWState:
    """Train `model` as published, in steps of BATCH rows; too few rows are repeated in order."""
    from montessori.train.settings import WarmupParams
    from montessori.train.warmup import train_rows

    settings = WarmupParams(
        rows=len(rows),
        epochs=1,
        batch=BATCH,
        learning_rate=RATE,
        warmup=0.0,
        max_grad_norm=CLIP,
        max_length=0,
    )
    wanted = [rows[i % len(rows)] for i in range(steps * BATCH)]
    _, state = train_rows(model, wanted, pad, settings, 0)
    model.eval()
    return state


def _device_of(options: Options) -> torch.device:
    from montessori.pipeline.machine import Machine
    from montessori.train.device import choose_device

    return choose_device(Machine(device=options.compute.device, threads=options.compute.threads))  # type: ignore[arg-type]
