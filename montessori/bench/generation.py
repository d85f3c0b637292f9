"""`montessori bench generate`: tokens a second of each engine, and vLLM through us against vLLM."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from montessori.errors import MontessoriError
from montessori.generate import Engine, Request, Sampling
from montessori.generate.engines import open_engine
from montessori.generate.settings import ENGINES, GenerationParams
from montessori.graph.load import section
from montessori.pipeline.machine import Machine
from montessori.worlds import open_world
from montessori.writing.prompts import render_instruction_prompt, tag_turns

if TYPE_CHECKING:
    from montessori.generate.vllm_engine import VllmEngine

ROUNDS = 5  # of each measurement; the median counts
EXAMPLES = 4  # of a prompt, as in the lab
Dialogue = list[dict[str, str]]


@dataclass(frozen=True)
class Rate:
    """Tokens a second by the clock, and by the processor time of this process.

    The second is what counts on a busy machine without a GPU; it says nothing of servers.
    """

    wall: float
    processor: float


class Watch:
    """Both clocks, from when it is made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def rate(self, tokens: int) -> Rate:
        """The rate of `tokens` since then."""
        spent = time.perf_counter() - self.wall, time.process_time() - self.processor
        return Rate(tokens / spent[0], tokens / spent[1])


@dataclass(frozen=True)
class Options:
    """What is measured: `prompts` instruction prompts of the lab, `samples` each."""

    model: Path
    engines: tuple[str, ...]
    prompts: int
    samples: int
    new_tokens: int
    machine: Machine

    def check(self) -> None:
        """Raise MontessoriError for what cannot be measured."""
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


def bench(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the engines one after the other; lines for a person go to `say`.

    Tokens are those of the samples written. Rendering of prompts and of text is part of the time,
    opening the engine is not.
    """
    options.check()
    figures: dict[str, Any] = {
        "prompts": options.prompts, "samples": options.samples, "new_tokens": options.new_tokens,
    }  # fmt: skip
    asked = dialogues(options.prompts)
    for name in options.engines:
        with TemporaryDirectory() as folder:
            figures[name] = _engine(name, options, asked, Path(folder), say)
    return figures


def dialogues(count: int) -> list[Dialogue]:
    """Instruction prompts of the lab, each with EXAMPLES tasks as examples."""
    import random

    lab = open_world("lab", "montessori bench generate")
    rng, names = random.Random(0), sorted(lab.families())

    def example() -> str:
        task = lab.draw_task(rng.choice(names), "train", rng)
        return tag_turns([turn.instruction for turn in task.turns])

    texts = [render_instruction_prompt([example() for _ in range(EXAMPLES)]) for _ in range(count)]
    return [[{"role": "user", "content": text}] for text in texts]


def _engine(
    name: str, options: Options, asked: list[Dialogue], folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """The figures of one engine; its warm-up writes other samples of the same prompts."""
    started = time.perf_counter()
    engine = open_engine(
        options.model, GenerationParams(name), options.machine, lambda _: None,  # type: ignore[arg-type]
        folder / "ledger.jsonl",
    )  # fmt: skip
    opening = time.perf_counter() - started
    sampling = Sampling(options.new_tokens, temperature=1.0, top_p=0.95)
    _write(engine, asked[:8], options.samples, sampling, 0)
    if name == "vllm":
        figures = _beside_raw(engine, options, asked, sampling)  # type: ignore[arg-type]
    else:
        turns = range(1, ROUNDS + 1)
        figures = _medians([_write(engine, asked, options.samples, sampling, k) for k in turns])
    raw = (
        f", {figures['vllm_of_raw']:.1%} of vLLM alone "
        f"({figures['vllm_of_raw_by_processor_time']:.1%} by processor time)"
        if "vllm_of_raw" in figures
        else ""
    )
    say(
        f"{name}: {figures['tokens_per_second']:.0f} tokens/s, "
        f"{figures['tokens_per_processor_second']:.0f} a second of processor time{raw}; "
        f"opened in {opening:.1f} s"
    )
    del engine
    gc.collect()
    return figures | {"opening_seconds": opening}


def _write(
    engine: Engine, asked: Sequence[Dialogue], samples: int, sampling: Sampling, turn: int
) -> Rate:
    """The rate of writing `samples` samples of each dialogue, with the seeds of `turn`."""
    watch = Watch()
    requests = _requests(engine, asked, samples, turn)
    written = engine.generate(requests, sampling)
    return watch.rate(sum(one.tokens for one in written))


def _medians(rates: Sequence[Rate]) -> dict[str, float]:
    return {
        "tokens_per_second": statistics.median(rate.wall for rate in rates),
        "tokens_per_processor_second": statistics.median(rate.processor for rate in rates),
    }


def _requests(engine: Engine, asked: Sequence[Dialogue], samples: int, turn: int) -> list[Request]:
    first = turn * len(asked) * samples
    return [
        Request(prompt, tuple(first + i * samples + k for k in range(samples)))
        for i, prompt in enumerate(engine.render_prompts(asked))
    ]


def _beside_raw(
    engine: "VllmEngine", options: Options, asked: list[Dialogue], sampling: Sampling
) -> dict[str, float]:
    """Ours and vLLM's own `generate` by turns, on the same prompts and seeds, caches emptied.

    The raw engine gets token ids, ready settings, and makes no text: the fastest there is. Each
    round has both, the first one changing; `vllm_of_raw` is the median of the rounds' ratios.
    """
    found: dict[str, list[Rate]] = {"ours": [], "raw": []}
    for turn in range(1, ROUNDS + 1):
        for who in ("ours", "raw") if turn % 2 else ("raw", "ours"):
            engine.llm.reset_prefix_cache()
            measure = _write if who == "ours" else _raw
            found[who].append(measure(engine, asked, options.samples, sampling, turn))
    pairs = list(zip(found["ours"], found["raw"], strict=True))
    return {
        **_medians(found["ours"]),
        **{f"raw_{name}": rate for name, rate in _medians(found["raw"]).items()},
        "vllm_of_raw": statistics.median(a.wall / b.wall for a, b in pairs),
        "vllm_of_raw_by_processor_time": statistics.median(
            a.processor / b.processor for a, b in pairs
        ),
    }


def _raw(
    engine: "VllmEngine", asked: Sequence[Dialogue], samples: int, sampling: Sampling, turn: int
) -> Rate:
    """The rate of vLLM alone."""
    requests = _requests(engine, asked, samples, turn)
    places = [(request.ids, seed) for request in requests for seed in request.seeds]
    prompts: list[Mapping[str, Any]] = [{"prompt_token_ids": list(ids)} for ids, _ in places]
    settings = [engine.sampling_params(sampling, seed) for _, seed in places]
    watch = Watch()
    outputs = engine.llm.generate(prompts, settings, use_tqdm=False)
    ended = sum(output.outputs[0].finish_reason == "stop" for output in outputs)
    return watch.rate(sum(len(output.outputs[0].token_ids) for output in outputs) - ended)


def machine_of(device: str, threads: int, server: str, requests: int) -> Machine:
    """The machine that the command line describes."""
    values = {"device": device, "threads": threads, "server": server, "server_requests": requests}
    return section({"machine": values}, "machine", Machine, "the command line")
