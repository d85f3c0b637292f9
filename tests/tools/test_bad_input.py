"""The generator of bad input: what it counts as a fault, and that its cases can be run again.

What would break: a crash or a half-written output counts as a pass, a seed gives other cases the
next day, or a run of one class wipes the record of the others.
"""

import json
import random
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from tools.campaign.bad_input import choose_cases, parse_options
from tools.campaign.case import ACCEPT, EITHER, REFUSE, Case, put
from tools.campaign.child import TIMED_OUT
from tools.campaign.judging import Result, judge_end
from tools.campaign.mutations import mutate_bytes, mutate_json
from tools.campaign.record import describe_record, read_record, write_record
from tools.campaign.runner import Place, run_case

ROOT = Path(__file__).parents[2]
GOOD = "x.json: 3 is not a text\nnext: fix x.json"


@pytest.mark.parametrize(
    ("want", "status", "text", "verdict"),
    [
        (REFUSE, 2, GOOD, "pass"),
        (REFUSE, 0, "", "accepted"),
        (ACCEPT, 0, "", "pass"),
        (ACCEPT, 2, GOOD, "refused"),
        (EITHER, 0, "", "pass"),
        (EITHER, 2, GOOD, "pass"),
        (EITHER, 2, GOOD.replace("next", "then"), "message"),
        (REFUSE, 2, GOOD.replace("x.json", "a file"), "message"),
        (REFUSE, 2, GOOD + "x" * 20_000, "message"),
        (EITHER, 1, "Traceback (most recent call last):\nKeyError: 1", "crash"),
        (EITHER, -9, "", "crash"),
        (EITHER, TIMED_OUT, "", "crash"),
    ],
)
def test_a_status_and_a_message_have_a_verdict(want: str, status: int, text: str, verdict: str):
    assert judge_end(want, "x.json", status, text).word == verdict


def test_there_are_thousands_of_cases_each_with_a_name_of_its_own():
    options = parse_options(["--seed", "3"])
    titles = [case.title for case in choose_cases(options)]
    assert len(titles) == len(set(titles)) > 4000
    assert titles == [case.title for case in choose_cases(options)]
    assert titles != [case.title for case in choose_cases(parse_options(["--seed", "4"]))]


def test_random_damage_is_that_of_its_seed():
    value = {"a": [1, {"b": "c"}], "d": None}
    first = list(mutate_json(value, random.Random(1), 30))
    assert first == list(mutate_json(value, random.Random(1), 30))
    assert all(json.loads(text) != value for _, text in first if "null" not in text)
    damaged = dict(mutate_bytes(b"abcdefgh", random.Random(1), 30))
    assert damaged == dict(mutate_bytes(b"abcdefgh", random.Random(1), 30))


SCRIPTS = {
    "import sys; sys.exit('x: 1 is not 2\\nnext: write 2')": "pass",
    "1 / 0": "crash",
    "open('out', 'w'); import sys; sys.exit('x: 1 is not 2\\nnext: write 2')": "litter",
    "open('.out.partial', 'w'); import sys; sys.exit('x: 1 is not 2\\nnext: write 2')": "litter",
    "open('pwned', 'w'); import sys; sys.exit('x: 1 is not 2\\nnext: write 2')": "crash",
    "open('params.yaml', 'w'); import sys; sys.exit('x: 1 is not 2\\nnext: write 2')": "litter",
    "print('fine')": "accepted",
    "print(open('x').read()); import sys; sys.exit('x: is not 2\\nnext: write 2')": "pass",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_command_leaves_behind_counts(script: str, tmp_path: Path):
    case = Case("mine", "a case", put("x", "1"), (("python", "-c", script),), where="x")
    result = run_case(case, Place(ROOT, tmp_path))
    assert (result.verdict, result.notes if result.verdict == "pass" else ()) == (
        SCRIPTS[script],
        (),
    )
    assert not list(tmp_path.iterdir())


def test_a_check_stands_for_a_command(tmp_path: Path):
    def refuse() -> None:
        raise MontessoriError("x: 1 is not 2", next="write 2")

    def crash() -> None:
        raise KeyError("x")

    for check, verdict in ((refuse, "pass"), (crash, "crash"), (lambda: None, "accepted")):
        case = Case("mine", "a case", put("x", "1"), (), where="x", check=check)
        assert run_case(case, Place(ROOT, tmp_path)).verdict == verdict


def test_a_record_keeps_the_classes_that_were_not_run(tmp_path: Path):
    path = tmp_path / "record.json"
    write_record(path, [Result("rows", "a", REFUSE, 1, "crash"), _passed("rows")], 3)
    write_record(path, [_passed("tasks")], 4)
    found = read_record(path)
    assert found["classes"]["rows"]["crash"] == found["classes"]["tasks"]["pass"] == 1
    assert found["failed"][0]["again"].endswith("--class rows --seed 3 --only a")
    assert "| **all** | 3 | 2 | 1 |" in describe_record(path)
    write_record(path, [_passed("rows")], 3)
    assert not read_record(path)["failed"]


def _passed(kind: str) -> Result:
    return Result(kind, "b", REFUSE, 2, "pass")
