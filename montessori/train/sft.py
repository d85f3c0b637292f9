"""SFT of a student through trl, with the loss on assistant tokens only."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.artifacts.files import new_folder, read_table
from montessori.artifacts.schemas import ROWS
from montessori.models import chat
from montessori.models.adapters import NO_ADAPTERS, AdapterParams, add_adapters, merge_adapters
from montessori.models.weights import load_model, save_model
from montessori.seeding import seed_of
from montessori.train import arguments
from montessori.train.curve import Recorder, write_curve
from montessori.train.device import choose_device
from montessori.train.loss import Row, count_changed_rows, require_targets, tokenize_rows
from montessori.train.memory import explain_memory
from montessori.train.order import LengthOrder
from montessori.train.passes import rows_of_pass

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast
    from trl import SFTTrainer

    from montessori.pipeline.machine import Machine
    from montessori.train.settings import StudentSftParams

KIND = "sft"


@explain_memory(
    "not enough memory to train the student",
    "set machine.training_rows: 1, machine.gradient_checkpointing: on or adapter.rank, or "
    "lower student_sft.max_length",
)
def train_student(
    student: Path,
    dataset: Path,
    out: Path,
    plot: Path,
    settings: "StudentSftParams",
    seed: int,
    machine: "Machine",
    label: str = "student-sft",
    adapter: AdapterParams = NO_ADAPTERS,
) -> dict[str, Any]:
    """Train the student in folder `student` on `dataset`/rows.parquet; write folder `out`.

    Adapters are merged into the weights at the end. `plot` gets the curve (step, loss,
    learning_rate); loss is the mean over a step's assistant tokens in nats. Returns metrics: rows,
    rows without a trainable token, rows that are not read as they stand (`count_changed_rows`) if
    there are any, steps, tokens, assistant tokens, first and last loss. Raises MontessoriError for
    an unusable dataset or a broken loss.
    """
    tokenizer = chat.load_tokenizer(student)
    frame = read_table(dataset / "rows.parquet", ROWS)
    every = tokenize_rows(tokenizer, frame["messages"].to_list(), settings.max_length)
    rows = require_targets(every, dataset, "student_sft.max_length", settings.max_length)
    device = choose_device(machine)
    facts = {"rows": len(rows), "template_hash": chat.template_hash(tokenizer)}
    with new_folder(out, {"student": student, "dataset": dataset}, facts) as folder:
        order = seed_of(seed, KIND)
        model = add_adapters(load_model(student), adapter, order).to(device)
        recorder = Recorder(
            label, {"loss": "loss", "learning_rate": "learning_rate"}, "student_sft.learning_rate"
        )
        longest = max(len(row.ids) for row in rows)
        together = rows_of_pass(settings.batch, longest, model, machine)
        with tempfile.TemporaryDirectory() as work:
            settled = arguments.common_arguments(
                settings, len(rows), order, machine, device, work, together
            )
            trainer = make_trainer(model, tokenizer, rows, settled, recorder)
            trainer.train()
        save_model(merge_adapters(model), student, folder)
    write_curve(plot, recorder.points, ("step", "loss", "learning_rate"))
    return {
        "rows": len(rows),
        "rows_without_response": len(every) - len(rows),
        **count_changed_rows(rows),
        "steps": trainer.state.global_step,
        "tokens": sum(len(row.ids) for row in rows),
        "tokens_trained": settings.epochs * sum(len(row.ids) for row in rows),
        "parameters": model.num_parameters(),
        "assistant_tokens": sum(row.targets for row in rows),
        "loss_first": recorder.points[0]["loss"],
        "loss_last": recorder.points[-1]["loss"],
    }


def make_trainer(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    rows: list[Row],
    settled: dict[str, Any],
    recorder: Recorder,
) -> "SFTTrainer":
    """A trainer over rows that are tokenised, cut and labelled already."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    arguments.silence_libraries()

    class Trainer(SFTTrainer):
        """Takes rows in our order."""

        def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthOrder:
            lengths = [len(row.ids) for row in rows]
            return LengthOrder(lengths, arguments.step_rows(self.args), self.args.seed)

    config = SFTConfig(dataset_kwargs={"skip_prepare_dataset": True}, **settled)
    arguments.keep_one_device(config)
    columns = {"input_ids": [row.ids for row in rows], "labels": [row.labels for row in rows]}
    trainer = Trainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        callbacks=[recorder],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
