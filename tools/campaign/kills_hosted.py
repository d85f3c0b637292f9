"""Hosted teachers and judges: stages that ask a scripted server on loopback while they are killed.

Beside bytes and litter, what is paid for counts: a stage that was killed asks again only for what
was in flight.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.campaign.kills_process import Command, start_forked
from tools.campaign.kills_targets import read_stages
from tools.campaign.kills_tree import Tree, remove_path
from tools.campaign.kills_trial import Target, Trial

NAME = "hosted"  # of the rows, and the name of the model
FILE = "hosted.json"
IN_FLIGHT = 4  # requests at once at most
PAUSE = 0.002  # seconds of an answer


def open_hosted_trials(mini: Path, work: Path) -> list[Trial]:
    """Trials of the stages that ask a server, in a copy of the small pipeline below `work`."""
    asked, place, log = work / "asked.txt", work / "hosted", work / "log"
    prepare_hosted(mini, place, start_server(asked))
    line = shlex.split(read_stages(mini)["models@student"]["cmd"])
    for option, value in {"name": NAME, "source": FILE, "out": f"data/models/{NAME}"}.items():
        line[line.index(f"--{option}") + 1] = value
    if start_forked(Command(tuple(line)), place, log).wait().status:
        raise RuntimeError(log.read_text())
    targets = list_hosted_targets(mini, asked)
    for target in targets:  # what the small pipeline wrote there has other bytes
        for out in target.outs:
            remove_path(place / out)
    tree = Tree(place, work / "keep-hosted")
    tree.keep_copy()
    return [Trial(target, tree, log) for target in targets]


def prepare_hosted(mini: Path, place: Path, port: int) -> None:
    """A copy of the small pipeline in which a server's model is a teacher and the judge."""
    from montessori.graph.edit import merge_changes

    tree = Tree(mini, place)
    shutil.rmtree(place, ignore_errors=True)
    tree.keep_copy()
    facts = {"server": f"http://127.0.0.1:{port}/v1", "model": NAME, "key_env": ""}
    (place / FILE).write_text(json.dumps(facts))
    changes = {
        "models": {NAME: {"path": FILE}},
        "machine": {"server_requests": IN_FLIGHT},
        "judge": {"model": f"data/models/{NAME}"},
    }
    params = place / "params.yaml"
    params.write_text(merge_changes(params.read_text(), changes))


def list_hosted_targets(mini: Path, log: Path) -> list[Target]:
    """A probe and a dataset that a server's model writes, and verdicts that it gives."""
    stages = read_stages(mini)
    changed = {"teacher": f"data/models/{NAME}", "model": f"data/models/{NAME}"}
    return [
        hosted_target(stages["probe@montessori-1"], changed, log),
        hosted_target(stages["synth@self-instruct"], changed, log),
        hosted_target(stages["judge@montessori-1"], changed, log),
    ]


def hosted_target(stage: Mapping[str, Any], changed: Mapping[str, str], log: Path) -> Target:
    """A stage whose model is a server's; nothing is paid for twice but what was in flight."""
    line = shlex.split(stage["cmd"])
    for option, value in changed.items():
        if f"--{option}" in line:
            line[line.index(f"--{option}") + 1] = value
    command = Command(tuple(line))
    outs = tuple(out["path"] for out in stage.get("outs", ()))
    name = f"hosted {line[2].removeprefix('stages.')}"
    return Target(
        name,
        outs,
        (command,),
        (command,),
        begin=lambda: log.write_text(""),
        check=lambda: find_paid_twice(log),
    )


def find_paid_twice(log: Path) -> list[str]:
    """A fault where more answers were asked for again than can have been in flight."""
    asked = Counter(log.read_text().split())
    again = sum(asked.values()) - len(asked)
    return [f"{again} answers were asked for again"] if again > IN_FLIGHT else []


def start_server(log: Path) -> int:
    """Fork a server that ends with this process; returns its port."""
    reading, writing = os.pipe()
    owner = os.getpid()
    if os.fork() == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            _serve(log, writing, owner)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        return int(answer.readline())


def _serve(log: Path, writing: int, owner: int) -> None:
    from tests.generate.fake_server import FakeServer

    with FakeServer(_replies(log), models=(NAME,)) as server:
        server.latency = lambda flight: PAUSE
        server.http.handle_error = lambda *_: None  # connections of killed stages
        os.write(writing, f"{server.http.server_address[1]}\n".encode())
        while os.getppid() == owner:
            time.sleep(1)


def _replies(log: Path) -> Any:
    """Replies of the scripted teacher and judge, by prompt and seed alone; each is noted."""
    from tests.writing.scripted import ScriptedEngine

    scripted = ScriptedEngine(endless=0.02)

    def reply(turns: Sequence[str], seed: int) -> tuple[str, bool]:
        text = json.dumps([list(turns), seed])
        with log.open("a") as handle:
            handle.write(hashlib.sha256(text.encode()).hexdigest() + "\n")
        if "m or M" in turns[-1]:
            return "m", True
        if "[[rating]]" in text or "[[A]]" in text:
            return "[[6]]", True
        return scripted._text(list(turns), random.Random(text))

    return reply
