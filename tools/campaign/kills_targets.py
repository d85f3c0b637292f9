"""What is killed: every stage, shards of one, `dvc repro`, and commands that edit params.yaml."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.campaign.kills_process import Command
from tools.campaign.kills_trial import Target

SHARDED = "influence@montessori-1"
SHARDS = 2
#: Stages that `dvc repro` is killed in: one that trains, one that writes, light ones.
REPRO = ("teacher-dpo@montessori-1", "synth@montessori-1", "prefs@montessori-1", "compare")
EDITS = (
    ("montessori", "add", "round", "montessori-2", "--from", "montessori-1"),
    ("montessori", "profile", "signals"),
)
#: `dvc` takes ten times as long as a stage, so it is killed less often.
RARELY = 0.5


def read_stages(place: Path) -> dict[str, dict[str, Any]]:
    """The stages of dvc.lock by name: `cmd`, and `outs` with a `path` each."""
    from ruamel.yaml import YAML

    stages: dict[str, dict[str, Any]] = YAML(typ="safe").load(place / "dvc.lock")["stages"]
    return stages


def list_targets(place: Path) -> list[Target]:
    """All targets in the small pipeline itself."""
    stages = read_stages(place)
    found = [stage_target(name, stage) for name, stage in stages.items()]
    found.append(shard_target(stages[SHARDED]))
    found += [edit_target(line) for line in EDITS]
    found += [repro_target(name, stages[name], False) for name in REPRO]
    found += [repro_target(name, stages[name], True) for name in REPRO]
    return found


def stage_target(name: str, stage: Mapping[str, Any]) -> Target:
    """The command of one stage, by itself."""
    command = Command(tuple(shlex.split(stage["cmd"])))
    outs = tuple(out["path"] for out in stage.get("outs", ()))
    return Target(name, outs, (command,), (command,))


def shard_target(stage: Mapping[str, Any]) -> Target:
    """Processes that share the parts of a stage, of which one is killed; then the stage."""
    whole = stage_target(f"shards of {SHARDED}", stage)
    line = whole.killed[0].line
    shards = tuple(
        Command((*line, "--shard", f"{index}/{SHARDS}")) for index in range(1, SHARDS + 1)
    )
    return replace(whole, killed=shards, rerun=(*shards, *whole.rerun))


def edit_target(line: tuple[str, ...]) -> Target:
    """A command that edits params.yaml, which must be the old or the new one at any time."""
    command = Command(line)
    return Target(" ".join(line[:3]), ("params.yaml",), (command,), (command,), once=True)


def repro_target(name: str, stage: Mapping[str, Any], alone: bool) -> Target:
    """`dvc repro` of a stage: the whole group is killed, or `dvc` alone and its stage goes on."""
    command = Command(("dvc", "repro", "--no-run-cache", name))
    target = stage_target(name, stage)
    return replace(
        target,
        name=f"dvc repro {name}, {'dvc alone' if alone else 'with its stage'}",
        killed=(command,),
        rerun=(command, Command(("dvc", "status", name))),
        looked_at=True,
        alone=alone,
        weight=RARELY,
    )
