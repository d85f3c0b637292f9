"""What SFT and DPO have in common as trainer settings: schedule, optimizer, number format."""

import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

from montessori.train.curve import log_every
from montessori.train.device import uses_bf16, uses_checkpointing

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

    from montessori.pipeline.machine import Machine
    from montessori.train.settings import StudentSftParams, TeacherDpoParams


def count_steps(rows: int, settings: "StudentSftParams | TeacherDpoParams") -> int:
    """Optimizer steps of a training: epochs times batches, the last of which may be smaller."""
    return settings.epochs * -(-rows // settings.batch)


def schedule_arguments(
    settings: "StudentSftParams | TeacherDpoParams", steps: int
) -> dict[str, Any]:
    """Warm-up/stable/decay (arXiv 2404.06395): linear rise, flat, half cosine down to the least.

    Trainer arguments for `steps` optimizer steps. The first step runs at the least rate.
    """
    return {
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "warmup_stable_decay",
        "warmup_steps": round(settings.warmup * steps),
        "lr_scheduler_kwargs": {
            "num_decay_steps": round(settings.decay * steps),
            "min_lr_ratio": settings.min_learning_rate,
        },
    }


def common_arguments(
    settings: "StudentSftParams | TeacherDpoParams",
    rows: int,
    seed: int,
    machine: "Machine",
    device: "torch.device",
    work: str,
    together: int,
) -> dict[str, Any]:
    """Trainer arguments of both trainings: fp32 weights, AdamW, bf16 products where fast.

    `together` rows or pairs of a step share a pass.
    """
    steps = count_steps(rows, settings)
    return schedule_arguments(settings, steps) | {
        "output_dir": work,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": together,
        "gradient_accumulation_steps": settings.batch // together,
        "max_length": settings.max_length,
        "seed": seed % 2**32,
        "use_cpu": device.type == "cpu",
        "bf16": uses_bf16(device),
        "gradient_checkpointing": uses_checkpointing(machine, device),
        "weight_decay": 0.0,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": log_every(steps),
        "logging_nan_inf_filter": False,
        # trl would add the load-balancing loss of a model's experts, which warm-up and influence
        # do not have: what is trained is what is measured.
        "router_aux_loss_coef": 0.0,
        "dataloader_pin_memory": device.type == "cuda",
    }


def step_rows(args: "TrainingArguments") -> int:
    """Rows or pairs of an optimizer step."""
    return args.per_device_train_batch_size * args.gradient_accumulation_steps


def keep_one_device(config: "TrainingArguments") -> None:
    """Let a process train on one GPU where it sees several.

    transformers would spread the model by torch's DataParallel, which trl refuses. A process that a
    launcher started has one GPU already.
    """
    config._n_gpu = min(1, config.n_gpu)


def silence_libraries() -> None:
    """Keep the libraries' own notices and bars off the terminal; errors still come through."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    for name in ("transformers", "trl", "accelerate", "datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="trl")
    import datasets

    datasets.disable_progress_bars()
