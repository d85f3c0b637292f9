"""Probing data and datasets, written by a scripted teacher.

What would break: rows are filtered against the wrong earlier rows, counts in the metrics are not
those of the table, or a collapsed teacher goes unnoticed.
"""

import json
from dataclasses import replace

import polars as pl
import pytest

from montessori.artifacts.dialogue import user_turns
from montessori.artifacts.files import read_json, read_table, write_json
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.filters.eval_items import read_evals
from montessori.filters.fingerprint import fingerprint
from montessori.filters.settings import DecontaminationParams
from montessori.formats.tags import tag_turns
from montessori.writing.examples import draw_examples
from montessori.writing.produce import write_dataset, write_probe
from montessori.writing.settings import (
    CollapseParams,
    FilterParams,
    InstructionParams,
    ProbeParams,
    SynthParams,
)
from tests.writing.scripted import ScriptedEngine, make_inputs, make_order


@pytest.fixture
def inputs(tmp_path):
    return make_inputs(tmp_path)


def probe_of(folder, inputs, engine=None, prompts=12, **changes):
    order, settings = make_order(folder, inputs, engine or ScriptedEngine(), **changes)
    metrics = write_probe(order, settings, ProbeParams(prompts), folder / "probe")
    return metrics, read_table(folder / "probe" / "rows.parquet", PROBE)


def dataset_of(folder, inputs, engine=None, rows=30, attempts=3.0, **changes):
    order, settings = make_order(folder, inputs, engine or ScriptedEngine(), **changes)
    metrics = write_dataset(
        order, settings, SynthParams(rows, attempts), folder / "out", folder / "s.csv"
    )
    return metrics, read_table(folder / "out" / "rows.parquet", PROBE)


def test_a_probe_holds_every_sample_in_order(tmp_path, inputs):
    metrics, table = probe_of(tmp_path, inputs)
    assert table.height == metrics["samples"] == 48
    assert table["sample"].to_list() == [0, 1, 2, 3] * 12
    assert table["prompt_id"].n_unique() == 12
    assert table["row_id"].n_unique() == 48
    dropped = table.filter(pl.col("dropped").is_not_null())
    assert dropped.height == sum(metrics["dropped"].values()) > 0
    assert dropped["instruction"].unique().to_list() == [""]
    assert all(len(messages) == 0 for messages in dropped["messages"].to_list())
    kept = table.filter(pl.col("dropped").is_null())
    assert metrics["rows"] == kept.height
    for row in kept.iter_rows(named=True):
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert "\n\n".join(user_turns(row["messages"])) == row["instruction"]
        assert row["prompt"].startswith("Write one new instruction.\n<instruction>")
        assert row["skill"] is not None


def test_both_turns_of_a_dialogue_are_answered(tmp_path, inputs):
    from montessori.lab.families import FAMILIES

    names = [name for name, family in FAMILIES.items() if family.kind == "dialogue"]
    engine = ScriptedEngine(names, untagged=0, endless=0, wrong=0)
    metrics, table = probe_of(tmp_path, inputs, engine, prompts=2)
    kept = table.filter(pl.col("dropped").is_null())
    assert kept.height > 0
    assert {len(messages) for messages in kept["messages"].to_list()} == {4}
    assert metrics["valid"] == metrics["correct"] == 1.0


def test_metrics_say_what_happened(tmp_path, inputs):
    metrics, table = probe_of(tmp_path, inputs)
    reasons = table["dropped"].drop_nulls().value_counts()
    assert metrics["dropped"] == dict(reasons.sort("dropped").iter_rows())
    assert metrics["kept"] == pytest.approx(metrics["rows"] / 48)
    assert 0 < metrics["invalid"] < 0.5
    assert metrics["valid"] == 1.0
    assert 0.5 < metrics["correct"] < 1.0
    assert sum(metrics["skills"].values()) == metrics["rows"]
    assert set(read_json(tmp_path / "probe" / "manifest.json")["inputs"]) == {
        "teacher",
        "seeds",
        "evals",
        "template",
    }


def test_thoughts_are_no_text_of_a_row_and_are_counted(tmp_path, inputs):
    """And a thought without an answer is said to be one, with what to do."""

    class Thinker(ScriptedEngine):
        def generate(self, requests, sampling, on_done=None):
            made = super().generate(requests, sampling, on_done)
            return [self.think(one) for one in made]

        def think(self, one):
            cut = one.sample == 1
            return replace(one, thought="Hm.", text="" if cut else one.text, finished=not cut)

    metrics, table = probe_of(tmp_path, inputs, Thinker(untagged=0, endless=0))
    assert metrics["dropped"]["thinking only"] == 12
    assert metrics["thinking"] == 48 + sum(
        len(messages) // 2 for messages in table["messages"].to_list()
    ) + sum(count for why, count in metrics["dropped"].items() if why.startswith("response"))
    assert "thinking" not in probe_of(tmp_path / "plain", inputs)[0]
    Thinker.think = lambda self, one: replace(one, thought="Hm.", text="", finished=False)
    with pytest.raises(MontessoriError, match="model.template_options"):
        probe_of(tmp_path / "all", inputs, Thinker())


def test_a_dataset_has_exactly_the_rows_asked_for(tmp_path, inputs):
    metrics, table = dataset_of(tmp_path, inputs)
    assert table.height == metrics["rows"] == 30
    assert table["dropped"].null_count() == 30
    turns = [fingerprint(user_turns(messages)) for messages in table["messages"].to_list()]
    assert len(set(turns)) == 30
    skills = pl.read_csv(tmp_path / "s.csv")
    assert skills.columns == ["skill", "rows"]
    assert skills["rows"].sum() == 30
    assert not list((tmp_path / "work").iterdir())


def test_the_same_work_gives_the_same_bytes_and_another_seed_others(tmp_path, inputs):
    dataset_of(tmp_path, inputs)
    first = (tmp_path / "out" / "rows.parquet").read_bytes()
    dataset_of(tmp_path, inputs)
    assert (tmp_path / "out" / "rows.parquet").read_bytes() == first
    _, other = dataset_of(tmp_path, inputs, seed=1)
    assert (tmp_path / "out" / "rows.parquet").read_bytes() != first


def test_eval_items_are_dropped_by_text_and_by_content(tmp_path, inputs):
    from montessori.lab.grader import recognise_task

    _, table = dataset_of(tmp_path, inputs)
    victim, other = table.row(0, named=True), table.row(1, named=True)
    key = recognise_task(user_turns(other["messages"])).key
    file = inputs["evals"] / "dev" / "items.jsonl"
    file.parent.mkdir()
    file.write_text(_lines(list(user_turns(victim["messages"])), key), encoding="utf-8")
    metrics, again = dataset_of(tmp_path, inputs)
    assert metrics["dropped"]["eval item"] >= 2
    raws = set(again["raw"].to_list())
    assert victim["raw"] not in raws
    assert other["raw"] not in raws


def test_a_probe_holds_no_eval_item(tmp_path, inputs):
    _, table = probe_of(tmp_path, inputs)
    victim = table.filter(pl.col("dropped").is_null()).row(0, named=True)
    (inputs["evals"] / "items.jsonl").write_text(
        json.dumps({"item_id": "a", "turns": list(user_turns(victim["messages"]))}) + "\n"
    )
    metrics, again = probe_of(tmp_path, inputs)
    assert metrics["dropped"]["eval item"] == (again["dropped"] == "eval item").sum() >= 1
    same = again.row(by_predicate=pl.col("raw") == victim["raw"], named=True)
    assert same["dropped"] == "eval item"


def _lines(turns, key):
    items = [{"item_id": "a", "turns": turns}, {"item_id": "b", "key": key, "turns": ["Other"]}]
    return "".join(json.dumps(item) + "\n" for item in items)


class Reciting(ScriptedEngine):
    """Writes and answers with given texts; each instruction gets a word of its own at its end."""

    def __init__(self, instruction, response):
        super().__init__(untagged=0, endless=0)
        self.instruction, self.response = instruction, response

    def _text(self, turns, rng):
        if turns[0].startswith("Write one new instruction."):
            return tag_turns([f"{self.instruction} {rng.randrange(10**9)}"]), True
        return self.response, True


ANYTHING = CollapseParams(1.0, 1.0, 1.0)
LONG = "Anna has three red boats, buys two more and sells one: how many boats does she have left?"


def long_item(inputs):
    """An eval item of 18 words, and how such items are told."""
    file = inputs["evals"] / "dev" / "items.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps({"item_id": "boats", "turns": [LONG]}) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("instruction", "response", "reason"),
    [(f"Solve. {LONG}", "4", "eval item"), ("Tell me of", f"Once: {LONG}", "response eval item")],
)
def test_rows_that_hold_a_long_eval_item_are_dropped_and_counted(
    tmp_path, inputs, instruction, response, reason
):
    long_item(inputs)
    engine = Reciting(instruction, response)
    options = {"filter": FilterParams(6, 400, 1.0, (), True, 0.0, False), "collapse": ANYTHING}
    clean = DecontaminationParams(ngram=0, limit=1.0)
    metrics, _ = dataset_of(tmp_path, inputs, engine, rows=20, decontamination=clean, **options)
    assert metrics["dropped"] == {}
    strict = DecontaminationParams(ngram=13, limit=1.0)
    with pytest.raises(MontessoriError, match=f"dropped: {reason} 60"):
        dataset_of(tmp_path, inputs, engine, rows=20, decontamination=strict, **options)


def test_too_many_eval_items_stop_the_stage(tmp_path, inputs):
    long_item(inputs)
    limit = DecontaminationParams(ngram=13, limit=0.5)
    with pytest.raises(MontessoriError, match="200 of 200 samples hold eval items") as error:
        dataset_of(
            tmp_path,
            inputs,
            Reciting(LONG, "4"),
            rows=200,
            decontamination=limit,
            collapse=ANYTHING,
        )
    assert "decontamination.limit" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_code_and_lists_stay_as_they_were_written(tmp_path, inputs):
    text = "Mend THIS code:\n\n```python\ndef f(X):\n    return  X\t# Größe\n```\n\n- a\n  1. B ·"
    answer = "Here:\n\n```python\nreturn X\n```\n\n* One\n    * Two"
    filters = FilterParams(6, 400, 0.7, ("image",), True, 0.9, True)
    _, table = probe_of(
        tmp_path, inputs, Reciting(text, answer), prompts=1, filter=filters, collapse=ANYTHING
    )
    assert table["dropped"].to_list() == [None, *["near-duplicate"] * 3]
    row = table.row(0, named=True)
    assert row["instruction"].rpartition(" ")[0] == text
    assert row["messages"][0]["content"] == row["instruction"]
    assert row["response"] == answer


def test_no_eval_items_or_a_bad_line_is_an_error(tmp_path):
    with pytest.raises(MontessoriError, match="no eval items"):
        read_evals(tmp_path, 0)
    (tmp_path / "x.jsonl").write_text('{"turns": ["a"]}\n{"turn": 1}\n')
    with pytest.raises(MontessoriError, match="cannot be read") as error:
        read_evals(tmp_path, 0)
    assert "line 2" in str(error.value)


def test_later_waves_show_rows_kept_before(tmp_path, inputs):
    _, table = probe_of(tmp_path, inputs)
    kept = table.filter(pl.col("dropped").is_null())
    first = set(kept["prompt_id"].unique(maintain_order=True).to_list()[:5])
    early = {user_turns(m)[0] for m, p in kept.select("messages", "prompt_id").rows() if p in first}
    prompts = table["prompt"].unique(maintain_order=True).to_list()
    assert not any(text in prompt for text in early for prompt in prompts[:5])
    assert all(any(text in prompt for text in early) for prompt in prompts[5:10])
    assert all(prompt.count("<instruction>") == 4 for prompt in prompts)


def test_seeds_take_the_place_of_kept_rows_and_are_drawn_alike():
    seeds = [(f"seed {i}",) for i in range(20)]
    alone = draw_examples(seeds, [], (3, 1), (0, "probe", 7))
    mixed = draw_examples(seeds, [("kept",)], (3, 1), (0, "probe", 7))
    assert len(alone) == len(mixed) == 4
    assert set(mixed) - set(alone) == {("kept",)}
    assert draw_examples(seeds, [], (3, 1), (0, "probe", 7)) == alone
    assert draw_examples(seeds, [], (3, 1), (1, "probe", 7)) != alone
    with pytest.raises(MontessoriError, match="seed pool has 2 rows"):
        draw_examples(seeds[:2], [], (3, 1), (0, "probe", 7))


def test_too_few_rows_within_the_attempts_is_an_error(tmp_path, inputs):
    engine = ScriptedEngine(untagged=0.4)
    with pytest.raises(MontessoriError, match="of 30 rows after 32 samples") as error:
        dataset_of(tmp_path, inputs, engine, attempts=1.0)
    assert "no tags" in str(error.value)
    assert "synth.attempts" in str(error.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("engine", "limits", "found"),
    [
        (ScriptedEngine(untagged=0.9), CollapseParams(0.5, 1, 1), "invalid"),
        (ScriptedEngine(["capitals"], untagged=0), CollapseParams(1, 0.2, 1), "duplicate"),
        (ScriptedEngine(["add"], untagged=0), CollapseParams(1, 1, 0.05), "largest_family"),
    ],
)
def test_a_collapsed_teacher_stops_the_stage(tmp_path, inputs, engine, limits, found):
    write_json(inputs["teacher"] / "manifest.json", {"inputs": {"start": "", "pairs": ""}})
    with pytest.raises(MontessoriError, match=f"collapsed: {found} 0") as error:
        probe_of(tmp_path, inputs, engine, prompts=60, collapse=limits)
    assert "teacher_dpo.learning_rate" in str(error.value)
    assert engine.calls < 2 * 12  # it stopped before the last wave
    assert not (tmp_path / "probe").exists()


def test_special_tokens_in_text_are_dropped(tmp_path, inputs):
    class Leaky(ScriptedEngine):
        def _text(self, turns, rng):
            text, finished = super()._text(turns, rng)
            return text + "<|user|>", finished

    with pytest.raises(MontessoriError, match="cause: end token .8 of 8") as error:
        probe_of(tmp_path, inputs, Leaky(endless=0), prompts=2, collapse=CollapseParams(1, 1, 1))
    assert "dropped: special token 8" in error.value.where


def test_a_pool_without_enough_rows_is_an_error(tmp_path, inputs):
    params = InstructionParams("", 60, 1, 4, 5, 96, 1.0, 0.95, 0.0)
    with pytest.raises(MontessoriError, match="the seed pool has 40 rows"):
        probe_of(tmp_path, inputs, instruction=params)
