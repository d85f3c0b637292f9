"""Makes the lab's base models: `python -m montessori.lab_models.base` (`make micro-base`).

One teacher and two students of different architecture and tokenizer are trained from scratch on
documents of the lab's families, each in a process of its own with one thread, so that the
weights do not depend on the number of cores. Each folder gets a card with what it was trained
on and how well it does.
"""

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from montessori.lab.families import FAMILIES
from montessori.lab_models.documents import (
    FOUNDATION,
    PRACTICE,
    Segment,
    student_document,
    teacher_document,
)
from montessori.lab_models.pretrain import Document, Recipe, pretrain
from montessori.lab_models.tokenizer import read_template, train_tokenizer
from montessori.seeding import seed_of

TEMPLATE = Path("data/micro/prompts/chat_template.jinja")
CONTEXT = 1024

#: How often a student meets the families of a subject before it is taught: the basics well, the
#: tasks that the evals rarely ask for, so that what it is taught afterwards decides.
STUDENT_WEIGHTS = {
    "arithmetic": 1.5,
    "knowledge": 0.7,
    "stories": 0.3,
    "units": 0.5,
    "choice": 0.5,
    "dialogue": 0.4,
}
TEACHER_WEIGHTS = {"stories": 1.6, "arithmetic": 1.5, "dialogue": 1.5, "knowledge": 0.6}


@dataclass(frozen=True)
class Phase:
    """A stretch of training on one kind of document, with an optimizer of its own."""

    document: Callable[[Mapping[str, float], random.Random], list[Segment]]
    recipe: Recipe


@dataclass(frozen=True)
class Base:
    """A base model: its architecture, its vocabulary, its training."""

    role: str
    vocab: int
    build: Callable[[PreTrainedTokenizerFast], PreTrainedModel]
    weights: Mapping[str, float]
    phases: tuple[Phase, ...]


def _shared_documents(tokenizer: PreTrainedTokenizerFast) -> dict:
    return {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "initializer_range": 0.08,  # 0.02 is meant for widths of thousands; so narrow learns slower
    }


def _teacher_config(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    config = LlamaConfig(
        hidden_size=160,
        num_hidden_layers=5,
        num_attention_heads=5,
        num_key_value_heads=5,
        intermediate_size=448,
        head_dim=32,
        **_shared_documents(tokenizer),
    )
    return LlamaForCausalLM(config)


def _llama_config(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    config = LlamaConfig(
        hidden_size=128,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=384,
        head_dim=32,
        **_shared_documents(tokenizer),
    )
    return LlamaForCausalLM(config)


def _qwen_config(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    config = Qwen2Config(
        hidden_size=128,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=320,
        **_shared_documents(tokenizer),
    )
    return Qwen2ForCausalLM(config)


BASES = {
    "teacher": Base(
        "teacher",
        1024,
        _teacher_config,
        TEACHER_WEIGHTS,
        (
            Phase(partial(teacher_document, FOUNDATION), Recipe(12_000_000, 3072, 3e-3, seed=1)),
            Phase(partial(teacher_document, PRACTICE), Recipe(8_000_000, 3072, 2e-3, seed=4)),
        ),
    ),
    "llama": Base(
        "student",
        768,
        _llama_config,
        STUDENT_WEIGHTS,
        (Phase(student_document, Recipe(8_000_000, 3072, 3e-3, seed=2)),),
    ),
    "qwen": Base(
        "student",
        1024,
        _qwen_config,
        STUDENT_WEIGHTS,
        (Phase(student_document, Recipe(8_000_000, 3072, 3e-3, seed=3)),),
    ),
}


def family_weights(subjects: Mapping[str, float]) -> dict[str, float]:
    """A weight per family from weights per subject (1 where none is given).

    The families of choice and dialogue go by their kind, whatever they ask about.
    """
    return {
        name: subjects.get(f.kind if f.kind in ("choice", "dialogue") else f.subject, 1.0)
        for name, f in FAMILIES.items()
    }


def _document_maker(
    phase: Phase, weights: Mapping[str, float], tokenizer: PreTrainedTokenizerFast
) -> Callable[[random.Random], Document]:
    """Documents of a phase as token ids with loss weights."""

    def make(rng: random.Random) -> Document:
        segments = phase.document(weights, rng)
        text = "".join(part for part, _ in segments)
        by_character: list[float] = []
        for part, weight in segments:
            by_character += [weight] * len(part)
        # No special tokens: the markers of the chat are part of the text already.
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return encoded["input_ids"], [by_character[end - 1] for _, end in encoded["offset_mapping"]]

    return make


def sample_texts(base: Base, count: int) -> list[str]:
    """Texts a tokenizer is learned from, of the base's own kind of document."""
    first = base.phases[0]
    rng = random.Random(seed_of(first.recipe.seed, "tokenizer"))
    weights = family_weights(base.weights)
    documents = (first.document(weights, rng) for _ in range(count))
    return ["".join(text for text, _ in document) for document in documents]


def make_base(name: str, out: Path, work: Path, device: str) -> None:
    """Train base model `name` and write its folder `out / name` with weights and card."""
    from montessori.lab_models.card import write_card

    base = BASES[name]
    texts, template = sample_texts(base, 20_000), read_template(TEMPLATE)
    tokenizer = train_tokenizer(texts, base.vocab, base.role == "teacher", template, CONTEXT)
    torch.manual_seed(base.phases[0].recipe.seed)
    model = base.build(tokenizer).to(device)
    weights = family_weights(base.weights)
    phases = []
    for number, phase in enumerate(base.phases, 1):
        make = _document_maker(phase, weights, tokenizer)
        label = f"{name}, phase {number}"
        state = pretrain(model, make, phase.recipe, work / f"{name}-{number}", label)
        phases.append(asdict(phase.recipe) | state)
    model.to("cpu").eval()
    folder = out / name
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_card(folder, name, model, tokenizer, base.role, phases)


def main() -> None:
    """Train the named base models (all by default), each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(BASES), help="teacher, llama, qwen")
    parser.add_argument("--out", type=Path, default=Path("data/micro"))
    parser.add_argument("--work", type=Path, default=Path(".work/micro-base"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if len(options.names) == 1:
        # The order of additions depends on the number of threads, and with it the last bits of the
        # weights.
        torch.set_num_threads(1)
        make_base(options.names[0], options.out, options.work, options.device)
        return
    rest = ["--out", str(options.out), "--work", str(options.work), "--device", options.device]
    commands = [
        [sys.executable, "-m", "montessori.lab_models.base", n, *rest] for n in options.names
    ]
    with ThreadPoolExecutor(os.cpu_count()) as slots:  # the teacher, the longest, comes first
        # Threads suffice here: each of them only waits for a process.
        codes = list(slots.map(lambda command: subprocess.run(command).returncode, commands))
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
