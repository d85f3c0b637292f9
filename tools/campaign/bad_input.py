"""`python -m tools.campaign bad-input`: does each bad input end in a clear error?

Each case runs in a scratch folder of its own. It passes if an input that is wrong is refused by a
message that names the place, what would be right and the next step, with nothing half-written left
behind, and one that is right is taken. `--only TEXT` runs the cases whose name holds TEXT and
prints what they print; that is how a fault is seen again.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.campaign.case import Case
from tools.campaign.cases import CLASSES, make_all_cases
from tools.campaign.judging import PASS, Result
from tools.campaign.record import RECORD, count_verdicts, format_table, write_record

SAVED = 50  # results after which the record is written again: a campaign takes long
#: As for a user without a network, a terminal or a key.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "DVC_NO_ANALYTICS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "COLUMNS": "200",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def main(arguments: Sequence[str]) -> int:
    """Run the cases, print a table, and write the record; 1 if a case did not pass."""
    options = parse_options(arguments)
    cases = choose_cases(options)
    if options.list:
        print("\n".join(case.title for case in cases))
        return 0
    results = _run(cases, options)
    print(format_table(count_verdicts(results)))
    return int(any(result.verdict != PASS for result in results))


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.campaign bad-input", description=__doc__)
    parser.add_argument("--class", dest="classes", action="append", choices=CLASSES, default=[])
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds it")
    parser.add_argument("--list", action="store_true", help="print the names, run nothing")
    parser.add_argument("--seed", type=int, default=0, help="of the random cases")
    parser.add_argument("--jobs", type=int, default=1, help="cases at once")
    parser.add_argument("--json", type=Path, help=f"the record to bring up to date ({RECORD})")
    parser.add_argument(
        "--real", action="store_true", help="start each command anew, as a user does (slow)"
    )
    return parser.parse_args(arguments)


def choose_cases(options: argparse.Namespace) -> list[Case]:
    """The cases that the options ask for."""
    cases = make_all_cases(options.seed, options.classes or CLASSES)
    return [case for case in cases if options.only in case.title]


def _run(cases: Sequence[Case], options: argparse.Namespace) -> list[Result]:
    """The results; faults are printed, and the record is written, as they come."""
    os.environ |= ENVIRONMENT
    for name in [name for name in os.environ if name.startswith(("OPENAI", "PYTEST", "DVC_STAGE"))]:
        del os.environ[name]
    results = []
    with tempfile.TemporaryDirectory(prefix="bad-input-") as top:
        os.environ["HF_HOME"] = str(Path(top, "hf"))
        from tools.campaign.runner import Place, run_cases  # after what its imports read is set

        place = Place(Path.cwd(), Path(top), options.real)
        for result in run_cases(cases, place, options.jobs):
            results.append(result)
            if options.json and len(results) % SAVED == 0:
                write_record(options.json, results, options.seed)
            if result.verdict != PASS or options.only:
                print(_describe(result), flush=True)
            if options.only:
                print(result.text, flush=True)
    if options.json:
        write_record(options.json, results, options.seed)
    return results


def _describe(result: Result) -> str:
    notes = "; ".join(result.notes)
    return f"{result.verdict:9}{result.kind}: {result.name} (status {result.status}) {notes}"
