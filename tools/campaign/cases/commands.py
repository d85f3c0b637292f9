"""Command lines, profiles and the records that commands read."""

import random
from collections.abc import Iterator, Mapping

from tools.campaign.case import (
    EITHER,
    REFUSE,
    ROW,
    ROWS,
    Case,
    Write,
    all_of,
    call_stage,
    in_place_of,
    nothing,
    put,
)

KIND = "commands"
PARAMS = "params.yaml"
#: Reads seeds as `montessori proof` does.
SEEDS = """
import sys
from montessori.errors import MontessoriError
from montessori.proof.experiments import parse_seeds
try:
    print(len(parse_seeds(sys.argv[1])))
except MontessoriError as error:
    sys.exit(str(error))
"""
PROFILES: Mapping[str, str | bytes] = {
    "not YAML": "a: [",
    "a list": "- a\n",
    "a number": "5\n",
    "unknown section": "nothing: {a: 1}\n",
    "unknown key": "probe: {promts: 3}\n",
    "wrong type": "probe: {prompts: many}\n",
    "NaN": "warmup: {learning_rate: .nan}\n",
    "infinite": "warmup: {learning_rate: .inf}\n",
    "10**30": "probe: {prompts: 1000000000000000000000000000000}\n",
    "includes itself": "include: [bad]\n",
    "includes nobody": "include: [nobody]\n",
    "include a text": "include: bad\n",
    "include a number": "include: [5]\n",
    "include a path": "include: ['../params']\n",
    "a text for a section": "probe: abc\n",
    "circle": "rounds: {montessori-1: {start: teachers/montessori-2}}\n",
    "not UTF-8": b"a: \xff\n",
    "a date": "seed: 2026-11-30\n",
    "a date in a section": "probe: {prompts: 2026-11-30}\n",
    "bytes": "seed: !!binary aGVsbG8=\n",
    "a set": "seed: !!set {a, b}\n",
    "null key": "probe: {prompts: null}\n",
    "half a character": 'probe_files: {mine: {rows: "\\ud800"}}\n',
    "code": "seed: !!python/object/apply:os.system ['touch pwned']\n",
    "depth": "extra: " + "[" * 3000 + "]" * 3000 + "\n",
    "number as a key": "5: {a: 1}\n",
    "list as a key": "probe_files: {[a, b]: {rows: x}}\n",
}


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each command with options that are wrong or files that it cannot use."""
    yield from _add_cases()
    yield from _profile_cases()
    yield from _record_cases()
    yield from _seed_cases()
    yield from _bench_cases()
    yield from _shard_cases()
    yield from _stage_cases()
    yield from _random_lines(rng)


def _make_case(
    name: str,
    command: tuple[str, ...],
    where: str,
    want: str = REFUSE,
    write: Write = nothing,
    outputs: tuple[str, ...] = (),
) -> Case:
    return Case(KIND, name, write, (command,), where, want, outputs)


def _add_cases() -> Iterator[Case]:
    """Rows that cannot be added."""
    names = {
        **{"a/b": "a/b", "..": r"\.\.", ".": "name", "a: b": "a: b|name", "a}": "a}|name"},
        **{"a #": "a #|name", "": "name", "größe": "größe", "a\nb: {x: 1}": "name|YAML"},
        **{
            "\ud800": "name",
            "x" * 300: "xxx|name",
            "a b": "a b|name",
            "montessori-2": "montessori-2",
        },
        **{"a@b": "a@b", "${seed}": "seed|name", "a\x1b[31m": "name|a"},
    }
    for name, where in names.items():
        if name != "\ud800":  # no shell can give it
            yield _add_round(f"name {name[:20]!r}", name, where=where)
    for name in ("7", "true", "null", "1e3", "2026-11-30", "0x1"):
        yield _add_round(f"name {name}", name, where=name, want=EITHER)
    yield _add_round("from nobody", "x", "nobody", "nobody")
    for word, content in {
        "broken": "a: [\n",
        "not UTF-8": b"a: \xff\n",
        "a list": "- a\n",
        "empty": "",
    }.items():
        yield _add_round(f"params {word}", "x", where=PARAMS, write=put(PARAMS, content))
    gone = in_place_of(PARAMS, lambda path: None)
    yield _add_round("no params", "x", where=PARAMS, write=gone)
    for word, options, where in (
        ("no such run", ("gsm8k", "--runs", "nobody"), "nobody"),
        ("shots -2", ("gsm8k", "--shots", "-2"), "shots"),
        ("shots a text", ("gsm8k", "--shots", "x"), "shots"),
        ("shots 10**30", ("gsm8k", "--shots", str(10**30)), "shots"),
        ("task with a slash", ("a/b", "--shots", "0"), "a/b"),
        ("empty task", ("",), "task|name"),
    ):
        yield _make_case(
            f"add benchmark: {word}", ("montessori", "add", "benchmark", *options), where
        )


def _add_round(
    word: str,
    name: str,
    old: str = "montessori-1",
    where: str = "",
    want: str = REFUSE,
    write: Write = nothing,
) -> Case:
    command = ("montessori", "add", "round", f"--from={old}", "--", name)
    return _make_case(f"add round: {word}", command, where, want, write)


def _profile_cases() -> Iterator[Case]:
    for name in ("nothing", "../params", "/etc/passwd", "a\x01b", "", "x" * 300):
        where = name.rpartition("/")[2][:20] if name.isprintable() and name else "profile"
        yield _make_case(f"profile {name[:20]!r}", ("montessori", "profile", name), where)
    own = in_place_of("profiles", lambda path: path.mkdir())
    places = "bad|params|prob|rounds|models|include|seed|learning_rate|nothing|nobody|extra"
    for name, content in PROFILES.items():
        write = all_of(own, put("profiles/bad.yaml", content))
        yield _make_case(f"profile: {name}", ("montessori", "profile", "bad"), places, write=write)
    for name, content in {
        "empty": "",
        "no models": "models: {}\n",
        "include null": "include: null\n",
    }.items():
        write = all_of(own, put("profiles/bad.yaml", content))
        command = ("montessori", "profile", "bad")
        yield _make_case(f"profile: {name}", command, places, EITHER, write)


def _record_cases() -> Iterator[Case]:
    """Records of metrics that are not what a command reads."""
    texts = {
        "garbage": "{",
        "list": "[]",
        "null": "null",
        "empty object": "{}",
        "wrong types": '{"runs": {"a": 5}, "over": "items"}',
        "depth": "[" * 100_000,
        "empty": "",
    }
    yield _make_case("table: nothing there", ("montessori", "table"), "compare")
    yield _make_case("report: nothing there", ("montessori", "report", "--out", "o"), "", EITHER)
    yield _make_case("budgets: nothing there", ("montessori", "budgets"), "", EITHER)
    for name, text in texts.items():
        write = put("metrics/compare.json", text)
        yield _make_case(f"table: {name}", ("montessori", "table"), "compare", write=write)
        command = ("montessori", "report", "--out", "o")
        page = ("o/index.html",)
        yield _make_case(f"report: {name}", command, "compare", REFUSE, write, page)
        write = put("metrics/probe/montessori-1.json", text)
        yield _make_case(f"budgets: {name}", ("montessori", "budgets"), "", EITHER, write)


def _seed_cases() -> Iterator[Case]:
    for text in (
        *("x", "4-0", "", "-1", "0-", "1.5", "0-99999999999", "9" * 5000, "\u00b2", "0-1-2", ","),
        *("0-" + "9" * 5000, "1e3", "\u0661-\u0662"),
    ):
        want = EITHER if text == "\u0661-\u0662" else REFUSE
        command = ("python", "-c", SEEDS, text)
        yield _make_case(f"proof: seeds {text[:20]!r}", command, "seeds", want)


def _bench_cases() -> Iterator[Case]:
    rows, model = put("x.jsonl", ROWS), "data/micro/llama"
    filters = ("montessori", "bench", "filters", "--rows", "x.jsonl")
    yield _make_case("bench filters: missing", filters, "x.jsonl")
    for name, content in {
        "garbage": "{\n",
        "half a character": '{"instruction": "\\ud800 a"}\n{"instruction": "b"}\n',
        "one row": ROW,
        "empty": "",
    }.items():
        want = REFUSE if name in ("garbage", "empty") else EITHER
        case = f"bench filters: {name}"
        yield _make_case(case, filters, r"x\.jsonl|row", want, put("x.jsonl", content))
    for limit in ("nan", "7", "-1", "x", "inf"):
        command = (*filters, f"--limit={limit}")
        yield _make_case(f"bench filters: limit {limit}", command, "limit", write=rows)
    for options, where in (
        (("generate", "nowhere"), "nowhere"),
        (("generate", "data/micro/teacher", "--engine", "x"), "x"),
        (("influence", "nowhere"), "nowhere"),
        (("influence", model, "--precision", "fp7"), "fp7|precision"),
        (("influence", model, "--device", "tpu"), "tpu|device"),
        (("influence", model, "--seconds", "nan"), "seconds|nan"),
        (("train", "nowhere"), "nowhere"),
        (("train", model, "--only", "nothing"), "nothing"),
        (("harness", model, "--data", "nowhere"), "nowhere|gsm8k"),
        (("icl", model, "--rows", "nowhere", "--questions", "nowhere"), "nowhere"),
    ):
        name = f"bench {' '.join(options)}"
        yield _make_case(name, ("montessori", "bench", *options), where)


def _shard_cases() -> Iterator[Case]:
    for text in (
        "x",
        "0/2",
        "3/2",
        "-1/2",
        "1/" + "9" * 5000,
        "1/\u00b2",
        "",
        "1/0",
        "1/2/3",
        "nan/2",
    ):
        command = ("montessori", "shard", "influence@montessori-1", "--", text)
        where = "shard|" + (text[:4].replace("/", ".") or "shard")
        yield _make_case(f"shard {text[:20]!r}", command, where)


def _stage_cases() -> Iterator[Case]:
    none = call_stage("warmup", "nobody", student="x", probe="y", out="out", metrics="m.json")
    outputs = ("out", "m.json")
    yield _make_case("stage: no such inputs", none, "nobody|x|y", outputs=outputs)
    yield _make_case(
        "stage: no options", ("python", "-m", "stages.models", "--name", "x"), "source"
    )
    gone = in_place_of(PARAMS, lambda path: None)
    rows = call_stage("dataset_file", rows="x", evals="y", out="out", metrics="m.json")
    yield _make_case("stage: no params", rows, PARAMS, write=gone, outputs=outputs)
    yield _make_case("unknown command", ("montessori", "chek"), "chek")
    yield _make_case("unknown option", ("montessori", "check", "--all"), "--all")
    for text in ("a/b", "..", "x" * 300, ""):
        call = call_stage("task", text, source="t.json", out="out", metrics="m.json")
        yield _make_case(f"stage: name {text[:9]!r}", call, "", EITHER, outputs=outputs)
    for options in (("nowhere",), ("data/micro/llama", "--as", "nobody")):
        yield _make_case(f"try {' '.join(options)}", ("montessori", "try", *options), options[-1])


def _random_lines(rng: random.Random) -> Iterator[Case]:
    """A command with an option or argument that is random text."""
    letters = "abz019-/.@:#{}[]()'\"\\ \t\n*&$%\u00e9\u202e\U0001f600"
    bases = (
        *(("profile", "--"), ("shard", "influence@montessori-1", "--"), ("add", "benchmark", "--")),
        ("add", "round", "--from=montessori-1", "--dry-run", "--"),
    )
    for number in range(40):
        text = "".join(rng.choice(letters) for _ in range(rng.randrange(1, 12)))
        base = bases[number % len(bases)]
        name = f"{' '.join(base)} {number}: {text!r}"
        yield _make_case(name, ("montessori", *base, text), "", EITHER)
