"""DPO of a teacher's instruction writing through trl (loss: arXiv 2305.18290, equation 7)."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.files import new_folder, read_table
from montessori.artifacts.schemas import PAIRS
from montessori.errors import MontessoriError
from montessori.formats.formats import FORMATS, Format
from montessori.formats.recorded import read_format
from montessori.formats.tokens import tokenize_pairs
from montessori.models import chat
from montessori.models.lineage import require_same_line
from montessori.models.plain_text import control_texts
from montessori.models.weights import load_model, save_model
from montessori.seeding import seed_of
from montessori.train import arguments
from montessori.train.curve import Recorder, write_curve
from montessori.train.device import choose_device
from montessori.train.memory import explain_memory
from montessori.train.order import LengthOrder
from montessori.train.passes import rows_of_pass

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast
    from trl import DPOTrainer

    from montessori.pipeline.machine import Machine
    from montessori.train.settings import TeacherDpoParams

KIND = "dpo"
TEXTS = ("prompt", "chosen", "rejected")
CURVE = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "reward_accuracy": "rewards/accuracies",
    "reward_margin": "rewards/margins",
}


@explain_memory(
    "not enough memory to tune the teacher",
    "set machine.training_rows: 1 or machine.gradient_checkpointing: on, or lower "
    "teacher_dpo.max_length",
)
def train_teacher(
    start: Path,
    pairs: Path,
    out: Path,
    plot: Path,
    settings: "TeacherDpoParams",
    seed: int,
    machine: "Machine",
    label: str = "teacher-dpo",
) -> dict[str, Any]:
    """Tune the teacher in folder `start` on `pairs`/pairs.parquet; write folder `out`.

    The reference policy is the start teacher: its log-probabilities are taken before the first
    step. `plot` gets the curve (step, loss, learning_rate, reward_accuracy, reward_margin), rewards
    in units of beta times nats. Returns metrics: pairs, steps, first and last values of the curve.
    Raises MontessoriError for fewer pairs than a batch, pairs that are too long or that the chat
    template renders differently from generation, and a broken loss.
    """
    tokenizer = chat.load_tokenizer(start)
    frame = read_table(pairs / "pairs.parquet", PAIRS)
    _require_pairs(frame, settings, pairs)
    require_same_line(start, pairs)
    device = choose_device(machine)
    facts = {"pairs": frame.height, "template_hash": chat.template_hash(tokenizer)}
    with new_folder(out, {"start": start, "pairs": pairs}, facts) as folder:
        model = load_model(start).to(device)
        recorder = Recorder(label, CURVE, "teacher_dpo.learning_rate")
        form = FORMATS[read_format(pairs)]
        data = make_data(frame, form, tokenizer)
        longest = max(pair_lengths(tokenize_pairs(form, frame, tokenizer)))
        together = rows_of_pass(settings.batch, 2 * longest, model, machine)
        with tempfile.TemporaryDirectory() as work:
            settled = arguments.common_arguments(
                settings, frame.height, seed_of(seed, KIND), machine, device, work, together
            )
            trainer = make_trainer(model, tokenizer, data, settled, settings.beta, recorder)
            _require_same_tokens(tokenizer, trainer.train_dataset, frame, settings, pairs)
            trainer.train()
        save_model(model, start, folder)
        chat.require_same_template(start, folder)
    write_curve(plot, recorder.points, ("step", *CURVE))
    tokens = pair_tokens(trainer.train_dataset)
    special = count_special_pairs(frame, form, tokenizer)
    return {
        "pairs": frame.height,
        **({"pairs_special_text": special} if special else {}),
        "steps": trainer.state.global_step,
        "tokens_trained": settings.epochs * tokens,
        "tokens_forward": tokens,  # by the reference policy
        "parameters": model.num_parameters(),
    } | _curve_ends(recorder.points)


def as_conversations(frame: pl.DataFrame) -> dict[str, list[list[dict[str, str]]]]:
    """The columns prompt, chosen and rejected as lists of messages, as trl takes them."""
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {
        column: [[{"role": role, "content": text}] for text in frame[column]]
        for column, role in roles.items()
    }


def make_data(
    frame: pl.DataFrame, form: Format, tokenizer: "PreTrainedTokenizerFast"
) -> dict[str, list[Any]]:
    """The pairs as trl takes them: dialogues, or token ids.

    Ids where the format is no dialogue, and where a pair holds the text of a special token: trl
    would tokenize that as the token.
    """
    if form.in_dialogue and not count_special_pairs(frame, form, tokenizer):
        return as_conversations(frame)
    texts = {name: frame[name].to_list() for name in TEXTS}
    return texts | tokenize_pairs(form, frame, tokenizer)


def count_special_pairs(
    frame: pl.DataFrame, form: Format, tokenizer: "PreTrainedTokenizerFast"
) -> int:
    """Pairs of which a text, a row of one's own or a prompt, holds that of a special token.

    A prompt that the chat template rendered holds its tokens, and does not count.
    """
    controls = control_texts(tokenizer)
    texts = frame.select(TEXTS[1:] if form.rendered else TEXTS).iter_rows()
    return sum(any(map(controls.held_by, pair)) for pair in texts)


def make_trainer(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    data: dict[str, list[Any]],
    settled: dict[str, Any],
    beta: float,
    recorder: Recorder,
) -> "DPOTrainer":
    """A trainer over pairs, as `make_data` gives them; each step is on the mean of their losses."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import DPOConfig, DPOTrainer

    arguments.silence_libraries()

    class Trainer(DPOTrainer):
        """Takes pairs in our order, and token ids as they are."""

        def _prepare_dataset(self, dataset: Dataset, *rest: Any) -> Dataset:
            tokenized = "prompt_ids" in dataset.column_names
            return dataset if tokenized else super()._prepare_dataset(dataset, *rest)

        def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthOrder:
            lengths = pair_lengths(self.train_dataset)
            return LengthOrder(lengths, arguments.step_rows(self.args), self.args.seed)

        def get_batch_samples(self, *given: Any) -> tuple[list[Any], Any]:
            self.parts, items = super().get_batch_samples(*given)
            return self.parts, items

        def compute_loss(self, model: Any, inputs: Any, *options: Any, **more: Any) -> Any:
            # The mean over a step's pairs. The trainer takes that of its passes' means, and the
            # last pass of an epoch may have fewer pairs.
            loss = super().compute_loss(model, inputs, *options, **more)
            pairs = sum(map(_count_pairs, self.parts))
            return loss * (len(self.parts) * _count_pairs(inputs) / pairs)

    # Without a reference model and before training, the policy's own log-probabilities are those
    # of the start weights in memory; a reference model would be read from the config's name.
    config = DPOConfig(
        beta=beta,
        precompute_ref_log_probs=True,
        precompute_ref_batch_size=2 * settled["per_device_train_batch_size"],
        **settled,
    )
    arguments.keep_one_device(config)
    trainer = Trainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_dict(data),
        processing_class=tokenizer,
        callbacks=[recorder],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _count_pairs(inputs: Any) -> int:
    return len(inputs["ref_chosen_logps"])


def pair_lengths(dataset: Any) -> list[int]:
    """Tokens of the longer text of each pair, prompt included."""
    columns = (dataset["prompt_ids"], dataset["chosen_ids"], dataset["rejected_ids"])
    return [len(p) + max(len(c), len(r)) for p, c, r in zip(*columns, strict=True)]


def pair_tokens(dataset: Any) -> int:
    """Tokens of all pairs: the prompt with each of its two texts."""
    columns = (dataset["prompt_ids"], dataset["chosen_ids"], dataset["rejected_ids"])
    return sum(2 * len(p) + len(c) + len(r) for p, c, r in zip(*columns, strict=True))


def _require_pairs(frame: pl.DataFrame, settings: "TeacherDpoParams", pairs: Path) -> None:
    if frame.height < settings.batch:
        raise MontessoriError(
            f"{frame.height} pairs are fewer than one batch of {settings.batch}",
            where=str(pairs / "pairs.parquet"),
            expected="at least teacher_dpo.batch pairs",
            next="get more pairs (probe.prompts and prefs, or draft.questions and align, in "
            "params.yaml), or lower teacher_dpo.batch, then `dvc repro`",
        )


def _require_same_tokens(
    tokenizer: "PreTrainedTokenizerFast",
    dataset: Any,
    frame: pl.DataFrame,
    settings: "TeacherDpoParams",
    pairs: Path,
) -> None:
    """Raise unless DPO sees each prompt as generation saw it, and every pair whole."""
    too_long = sum(length > settings.max_length for length in pair_lengths(dataset))
    if too_long or len(dataset) < frame.height:
        raise MontessoriError(
            f"{max(too_long, frame.height - len(dataset))} of {frame.height} pairs are longer than "
            f"{settings.max_length} tokens",
            where="params.yaml, key teacher_dpo.max_length",
            expected="every pair whole, prompt and answer",
            next="raise teacher_dpo.max_length, then `dvc repro`",
        )
    if not FORMATS[read_format(pairs)].in_dialogue:
        return  # the ids are those of generation
    dialogues = as_conversations(frame)["prompt"]
    prompts: Sequence[list[int]] = chat.render_prompts(tokenizer, dialogues)
    for found, wanted, pair in zip(dataset["prompt_ids"], prompts, frame["pair_id"], strict=True):
        if found != wanted:
            raise MontessoriError(
                "the chat template renders a prompt otherwise once it is answered, so DPO would "
                "train on other tokens than generation sees",
                where=f"{pairs / 'pairs.parquet'}, pair {pair}",
                expected="a template whose generation prompt is how an assistant turn begins",
                next="fix chat_template.jinja of the base teacher, then `dvc repro`",
            )


def _curve_ends(points: Sequence[dict[str, float]]) -> dict[str, float]:
    """First and last loss, and the mean rewards over the last tenth of the curve."""
    tail = points[-max(1, len(points) // 10) :]
    means = {
        name: sum(point[name] for point in tail) / len(tail)
        for name in ("reward_accuracy", "reward_margin")
    }
    return {"loss_first": points[0]["loss"], "loss_last": points[-1]["loss"]} | means
