"""The kill test: stages and commands are killed at random points, run again, and compared.

After each kill the same command runs again, and every file of the small pipeline of the tests must
have the bytes of the undisturbed run, with nothing left beside them. Points are drawn uniformly
over the processor time of the undisturbed run, so a busy machine does not move them. Most commands
are forked from a process that has imported the large libraries; one in `REAL` kills, and all with
--real, starts them as a user does. Each kill is a line of the record, which a later call continues.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.campaign.kills_hosted import open_hosted_trials
from tools.campaign.kills_place import import_libraries, prepare_place, read_code_version
from tools.campaign.kills_record import (
    RECORD,
    SUMMARY,
    Kill,
    append_kill,
    describe_kills,
    read_kills,
    summarize_kills,
)
from tools.campaign.kills_targets import list_targets
from tools.campaign.kills_trial import Outcome, Trial

KILLS = 1000
REAL = 25  # one kill in so many is of a command that is started as a user does
ROUND = 2  # kills of a target before the next target has its turn


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tools.campaign kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="of all targets together")
    parser.add_argument("--signal", choices=["KILL", "TERM", "INT"], default="KILL")
    parser.add_argument("--only", action="append", default=[], help="part of a target's name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--summary", type=Path, default=SUMMARY)
    parser.add_argument("--work", type=Path, default=Path(".work/campaign/kills"))
    parser.add_argument("--real", action="store_true", help="start all commands as a user does")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long; 0: never")
    parser.add_argument("--table", action="store_true", help="write the summary and print it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill until the record has as many kills as are wanted; 1 if there were faults."""
    options = read_options(arguments)
    if not options.table:
        options.work.mkdir(parents=True, exist_ok=True)
        with (options.work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _run(options)
    kills = read_kills(options.record)
    options.summary.parent.mkdir(parents=True, exist_ok=True)
    options.summary.write_text(json.dumps(summarize_kills(kills), indent=1) + "\n")
    print(describe_kills(options.summary))
    return int(any(kill.faults for kill in kills))


def _run(options: argparse.Namespace) -> None:
    trials = {trial.target.name: trial for trial in _list_trials(options.work.resolve())}
    chosen = [name for name in trials if _is_chosen(name, options.only)]
    code, started, rehearsed = read_code_version(), time.monotonic(), set[str]()
    for name in _draw_targets(options, {name: trials[name].target.weight for name in chosen}):
        trial = trials[name]
        if name not in rehearsed:
            rehearsed.add(name)
            _rehearse(trial, options, code)
        _kill(trial, options, code)
        if options.minutes and time.monotonic() - started > options.minutes * 60:
            return


def _rehearse(trial: Trial, options: argparse.Namespace, code: str) -> None:
    """Run a target undisturbed; if its bytes are not those of the pipeline, that is on record."""
    if faults := tuple(f"undisturbed: {fault}" for fault in trial.rehearse()):
        outcome = Outcome(0, 0, False, faults, 0)
        _note(trial.target.name, -1, outcome, options, code)


def _is_chosen(name: str, parts: Sequence[str]) -> bool:
    return not parts or any(part in name for part in parts)


def _list_trials(work: Path) -> list[Trial]:
    """Every target in its tree; the hosted ones in a copy of the small pipeline."""
    tree = prepare_place(work)
    import_libraries()
    trials = [Trial(target, tree, work / "log") for target in list_targets(tree.root)]
    return trials + open_hosted_trials(tree.root, work)


def _draw_targets(options: argparse.Namespace, weights: dict[str, float]) -> Iterator[str]:
    """Names of targets, some kills of each in turn, until there are enough kills of all."""
    kills = read_kills(options.record)
    counts = Counter(kill.target for kill in kills if kill.hit and kill.target in weights)
    while sum(counts.values()) < options.kills:
        name = min(weights, key=lambda name: counts[name] / weights[name])
        for _ in range(ROUND):
            if sum(counts.values()) >= options.kills:
                return
            yield name
            counts[name] += 1


def _kill(trial: Trial, options: argparse.Namespace, code: str) -> None:
    """Kill a target for the next time, and put it on record."""
    name = trial.target.name
    earlier = [kill for kill in read_kills(options.record) if kill.target == name]
    number = 1 + max((kill.number for kill in earlier), default=-1)
    draw = random.Random(f"{options.seed} {name} {options.signal} {number}")
    real = options.real or draw.randrange(REAL) == 0
    outcome = trial.kill(draw, signal.Signals[f"SIG{options.signal}"], real)
    _note(name, number, outcome, options, code, real)


def _note(
    name: str,
    number: int,
    outcome: Outcome,
    options: argparse.Namespace,
    code: str,
    real: bool = False,
) -> None:
    kill = Kill(
        target=name,
        number=number,
        signal=options.signal,
        seed=options.seed,
        real=real,
        moment=round(outcome.moment, 4),
        whole=round(outcome.whole, 4),
        hit=outcome.hit,
        faults=outcome.faults,
        seconds=round(outcome.seconds, 3),
        code=code,
    )
    append_kill(options.record, kill)
    _show(kill)


def _show(kill: Kill) -> None:
    word = "FAULT" if kill.faults else "ok" if kill.hit else "ended"
    where = f"{kill.moment:.2f} of {kill.whole:.2f} s{', real' if kill.real else ''}"
    print(f"{word:5} {kill.target} {kill.number} at {where} {'; '.join(kill.faults)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
