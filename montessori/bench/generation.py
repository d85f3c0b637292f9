"""`montessori bench generate`: tokens per second of each engine, and what our code costs vLLM."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from montessori.errors import MontessoriError
from montessori.formats.prompts import render_instruction_prompt
from montessori.formats.tags import tag_turns
from montessori.generate import Engine, Request, Sampling
from montessori.generate.engines import open_engine
from montessori.generate.settings import ENGINES, GenerationParams
from montessori.graph.load import require_section
from montessori.pipeline.machine import Machine
from montessori.worlds import open_world

if TYPE_CHECKING:
    from montessori.generate.vllm_engine import VllmEngine

ROUNDS = 5  # of each measurement; the median counts
EXAMPLES = 4  # of a prompt, as in the lab
Dialogue = list[dict[str, str]]


@dataclass(frozen=True)
class Rate:
    """Tokens per second by the clock, and per second of this process's processor time.

    Processor time is the reliable one on a busy machine without a GPU; it is meaningless for
    servers.
    """

    wall: float
    processor: float


class Watch:
    """Both clocks, started when the watch is made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def rate_of(self, tokens: int) -> Rate:
        """The rate of `tokens` since the start."""
        spent = time.perf_counter() - self.wall, time.process_time() - self.processor
        return Rate(tokens / spent[0], tokens / spent[1])


@dataclass(frozen=True)
class Options:
    """What is measured: `prompts` instruction prompts of the lab, `samples` of each."""

    model: Path
    engines: tuple[str, ...]
    prompts: int
    samples: int
    new_tokens: int
    machine: Machine

    def check(self) -> None:
        """Raise MontessoriError for an unknown engine or a missing model folder."""
        unknown = [name for name in self.engines if name not in ENGINES]
        if unknown:
            raise MontessoriError(
                f"unknown engine {', '.join(unknown)}",
                where="--engine",
                expected=f"some of {','.join(ENGINES)}",
                next="montessori bench generate --help",
            )
        if not self.model.is_dir():
            raise MontessoriError(
                f"no such model folder: {self.model}", next="montessori bench generate --help"
            )


def measure_generation(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the engines one after the other; `say` gets lines for the user.

    Tokens are those of the samples. The time includes rendering prompts and decoding text, but not
    opening the engine.
    """
    options.check()
    figures: dict[str, Any] = {
        "prompts": options.prompts,
        "samples": options.samples,
        "new_tokens": options.new_tokens,
    }
    dialogues = lab_dialogues(options.prompts)
    for name in options.engines:
        with TemporaryDirectory() as folder:
            figures[name] = _measure_engine(name, options, dialogues, Path(folder), say)
    return figures


def lab_dialogues(count: int) -> list[Dialogue]:
    """Write instruction prompts of the lab, each with EXAMPLES tasks as examples."""
    import random

    lab = open_world("lab", "montessori bench generate")
    rng, names = random.Random(0), sorted(lab.families())

    def example() -> str:
        task = lab.draw_task(rng.choice(names), "train", rng)
        return tag_turns([turn.instruction for turn in task.turns])

    texts = [render_instruction_prompt([example() for _ in range(EXAMPLES)]) for _ in range(count)]
    return [[{"role": "user", "content": text}] for text in texts]


def _measure_engine(
    name: str, options: Options, dialogues: list[Dialogue], folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure one engine, after a warm-up on other samples of the same prompts."""
    started = time.perf_counter()
    engine = open_engine(
        options.model,
        GenerationParams(name),  # type: ignore[arg-type]
        options.machine,
        lambda _: None,
        folder / "ledger.jsonl",
    )
    opening = time.perf_counter() - started
    sampling = Sampling(options.new_tokens, temperature=1.0, top_p=0.95)
    _write_samples(engine, dialogues[:8], options.samples, sampling, 0)
    raw = ""
    if name == "vllm":
        figures = _beside_raw(engine, options, dialogues, sampling)  # type: ignore[arg-type]
        raw = (
            f", {figures['vllm_of_raw']:.1%} of vLLM alone "
            f"({figures['vllm_of_raw_by_processor_time']:.1%} by processor time)"
        )
    else:
        rates = []
        for turn in range(1, ROUNDS + 1):
            rates.append(_write_samples(engine, dialogues, options.samples, sampling, turn))
        figures = _median_rates(rates)
    say(
        f"{name}: {figures['tokens_per_second']:.0f} tokens/s, "
        f"{figures['tokens_per_processor_second']:.0f} a second of processor time{raw}; "
        f"opened in {opening:.1f} s"
    )
    # The next engine needs this one's memory.
    del engine
    gc.collect()
    return figures | {"opening_seconds": opening}


def _write_samples(
    engine: Engine, dialogues: Sequence[Dialogue], samples: int, sampling: Sampling, turn: int
) -> Rate:
    """Write `samples` samples of each dialogue with the seeds of `turn`; returns the rate."""
    watch = Watch()
    requests = _make_requests(engine, dialogues, samples, turn)
    written = engine.generate(requests, sampling)
    return watch.rate_of(sum(completion.tokens for completion in written))


def _median_rates(rates: Sequence[Rate]) -> dict[str, float]:
    return {
        "tokens_per_second": statistics.median(rate.wall for rate in rates),
        "tokens_per_processor_second": statistics.median(rate.processor for rate in rates),
    }


def _make_requests(
    engine: Engine, dialogues: Sequence[Dialogue], samples: int, turn: int
) -> list[Request]:
    # Each round has other seeds, so that no engine can repeat samples it has kept.
    first = turn * len(dialogues) * samples
    return [
        Request(prompt, tuple(first + i * samples + k for k in range(samples)))
        for i, prompt in enumerate(engine.render_prompts(dialogues))
    ]


def _beside_raw(
    engine: "VllmEngine", options: Options, dialogues: list[Dialogue], sampling: Sampling
) -> dict[str, float]:
    """Run our engine and vLLM's own `generate` in turns, on equal prompts and seeds.

    The raw engine gets token ids and prepared settings and decodes no text, so it is the fastest
    possible use of vLLM. Caches are emptied before each run, and each round starts with the other
    one. `vllm_of_raw` is the median of the rounds' ratios.
    """
    rates: dict[str, list[Rate]] = {"ours": [], "raw": []}
    for turn in range(1, ROUNDS + 1):
        for who in ("ours", "raw") if turn % 2 else ("raw", "ours"):
            # Both runs have the same prompts: the second would find the first one's in the cache.
            engine.llm.reset_prefix_cache()
            measure = _write_samples if who == "ours" else _write_raw
            rates[who].append(measure(engine, dialogues, options.samples, sampling, turn))
    pairs = list(zip(rates["ours"], rates["raw"], strict=True))
    return {
        **_median_rates(rates["ours"]),
        **{f"raw_{name}": rate for name, rate in _median_rates(rates["raw"]).items()},
        "vllm_of_raw": statistics.median(a.wall / b.wall for a, b in pairs),
        "vllm_of_raw_by_processor_time": statistics.median(
            a.processor / b.processor for a, b in pairs
        ),
    }


def _write_raw(
    engine: "VllmEngine", dialogues: Sequence[Dialogue], samples: int, sampling: Sampling, turn: int
) -> Rate:
    """Write the same samples by vLLM alone; returns the rate."""
    requests = _make_requests(engine, dialogues, samples, turn)
    prompts: list[Mapping[str, Any]] = []
    settings = []
    for request in requests:
        for seed in request.seeds:
            prompts.append({"prompt_token_ids": list(request.ids)})
            settings.append(engine.sampling_params(sampling, seed))
    watch = Watch()
    outputs = engine.llm.generate(prompts, settings, use_tqdm=False)
    # vLLM counts the token that ends a sample, our engines do not.
    ended = sum(output.outputs[0].finish_reason == "stop" for output in outputs)
    return watch.rate_of(sum(len(output.outputs[0].token_ids) for output in outputs) - ended)


def machine_of(device: str, threads: int, server: str, requests: int) -> Machine:
    """Build the machine settings that the command line describes."""
    values = {"device": device, "threads": threads, "server": server, "server_requests": requests}
    return require_section({"machine": values}, "machine", Machine, "the command line")
