"""The formats in which a teacher is asked to write, with a teacher that writes given texts.

What would break: a teacher that writes no tags gives no rows, samples run on into the next example,
or DPO trains other tokens than the teacher wrote.
"""

from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import read_json, read_table, write_json
from montessori.artifacts.schemas import PAIRS, PROBE
from montessori.errors import MontessoriError
from montessori.formats.formats import FORMATS
from montessori.formats.prompts import load_template
from montessori.formats.recorded import read_format
from montessori.formats.tokens import tokenize_pairs, tokenize_prompts
from montessori.generate import Generated
from montessori.generate.engine import UNBOUNDED
from montessori.writing.produce import write_dataset, write_probe
from montessori.writing.settings import (
    CollapseParams,
    FilterParams,
    InstructionParams,
    ProbeParams,
    SynthParams,
)
from tests.tiny_models import tiny_tokenizer
from tests.writing.scripted import ROOT, ScriptedEngine, make_inputs, make_order

LIST = ROOT / "montessori" / "templates" / "list.jinja"
PLAIN = ROOT / "montessori" / "templates" / "plain_chat.jinja"
LENIENT = FilterParams(1, 10_000, 1.0, (), False, 0.0, False)
ANYTHING = CollapseParams(1.0, 1.0, 1.0)


class Reciting(ScriptedEngine):
    """Continues each prompt that asks for an instruction with the next of `texts`, and answers.

    A text without its last character "|" was cut off by the most new tokens.
    """

    def __init__(self, *texts: str, limit: int = UNBOUNDED) -> None:
        super().__init__()
        self.texts, self.limit = texts, limit
        self.asked: list[list[int]] = []
        self.stops: tuple[str, ...] = ()
        self.number = 0

    def generate(self, requests, sampling, on_done=None):
        results = []
        for i, request in enumerate(requests):
            for k, _ in enumerate(request.seeds):
                text, finished = "An answer.", True
                if sampling.max_new_tokens == 96:  # of instructions
                    text = self.texts[self.number % len(self.texts)]
                    finished, text = text.endswith("|"), text.removesuffix("|")
                    self.number += 1
                    self.stops = sampling.stop
                    self.asked.append(list(request.prompt))
                results.append(Generated(text, len(text), finished, i, k))
        return results


def settings_of(name: str, seeds: int = 3, kept: int = 1, samples: int = 2) -> dict:
    """Changes of the order: a format, and filters that let everything through."""
    params = InstructionParams("", seeds, kept, samples, 5, 96, 1.0, 0.95, 0.0, name)
    return {"instruction": params, "filter": LENIENT, "collapse": ANYTHING}


def write(folder: Path, engine, name: str, prompts: int = 1, **changes) -> pl.DataFrame:
    """The rows of a probe that is written in a format."""
    inputs = make_inputs(folder)
    if name == "list":
        inputs["template"] = LIST
    order, settings = make_order(folder, inputs, engine, **(settings_of(name) | changes))
    write_probe(order, settings, ProbeParams(prompts), folder / "probe")
    return read_table(folder / "probe" / "rows.parquet", PROBE)


def test_prefill_puts_the_open_tag_into_the_prompt_and_ends_behind_the_closing_one(tmp_path):
    engine = Reciting("Add 1 and 2.</instruction> And more, without an e", "Sort 3, 1.")
    table = write(tmp_path, engine, "prefill")
    assert table["dropped"].to_list() == [None, "endless"]
    assert table["instruction"].to_list() == ["Add 1 and 2.", ""]
    assert table["raw"][0] == "<instruction>Add 1 and 2.</instruction>"
    shown = engine.tokenizer.decode(engine.asked[0])
    assert shown.startswith("<|user|>Write one new instruction.")
    assert shown.endswith("<|end|><|assistant|><instruction>")
    assert (
        engine.asked[0]
        == tokenize_prompts(FORMATS["prefill"], [table["prompt"][0]], engine.tokenizer)[0]
    )


def test_a_led_text_that_ends_without_its_closing_tag_is_closed():
    cut = FORMATS["prefill"].cut_sample
    assert cut("Add.\n", True, ()) == ("<instruction>Add.</instruction>", True)
    assert cut("Add.\n", False, ()) == ("<instruction>Add.\n", False)
    assert FORMATS["prefill"].read_instruction(cut("", True, ())[0]).problem == "empty"


def test_a_led_answer_begins_where_an_answer_without_a_thought_does():
    tokenizer = tiny_tokenizer()
    # As Qwen 3: an answer that is asked for opens with a thought, a finished one has none.
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m['role'] }}|>"
        "{% if m['role'] == 'assistant' %}<think></think>{% endif %}{{ m['content'] }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}"
    )
    opened = "<|user|>Ask.<|end|><|assistant|><think></think><instruction>"
    form, raw = FORMATS["prefill"], "<instruction>Add.</instruction>"
    assert form.open_text("Ask.", tokenizer) == opened
    assert form.split_text("Ask.", raw, tokenizer) == (opened, "Add.</instruction><|end|>")


@pytest.mark.parametrize("follow_ups", [False, True])
def test_a_led_sample_ends_at_the_closing_tag_where_no_example_has_a_follow_up(
    tmp_path, follow_ups
):
    inputs = make_inputs(tmp_path)
    if not follow_ups:
        file = inputs["seeds"] / "rows.parquet"
        pl.read_parquet(file).filter(pl.col("messages").list.len() == 2).write_parquet(file)
    engine = Reciting("Add 1 and 2.</instruction>|")
    order, settings = make_order(tmp_path, inputs, engine, **settings_of("prefill"))
    write_probe(order, settings, ProbeParams(1), tmp_path / "probe")
    assert engine.stops == (() if follow_ups else ("</instruction>",))


def test_prefill_keeps_a_follow_up(tmp_path):
    text = "Add 1 and 2.</instruction>\n<follow-up>Now add 3.</follow-up>\n|"
    table = write(tmp_path, Reciting(text), "prefill")
    assert [m["content"] for m in table["messages"][0]][::2] == ["Add 1 and 2.", "Now add 3."]


@pytest.mark.parametrize(
    ("text", "instruction", "dropped"),
    [
        (" Name a river.\n6. Name a lake", "Name a river.", None),
        (" Name a river.\n\nThese are all", "Name a river.", None),
        (" Name two:\n- a river\n- a lake\n6.", "Name two:\n- a river\n- a lake", None),
        (" Name a river.|", "Name a river.", None),
        (" Name a river and", "", "endless"),
        ("\n\n6. Name", "", "empty"),
        (" \n|", "", "empty"),
    ],
)
def test_a_list_is_continued_by_one_item(tmp_path, text, instruction, dropped):
    engine = Reciting(text)
    params = {"instruction": settings_of("list", samples=1)["instruction"]}
    if dropped:
        with pytest.raises(MontessoriError, match=f"dropped: {dropped} 1"):
            write(tmp_path, engine, "list", **params)
        return
    table = write(tmp_path, engine, "list", **params)
    assert table["instruction"].to_list() == [instruction]
    assert table["dropped"].to_list() == [None]
    prompt = table["prompt"][0]
    assert engine.tokenizer.decode(engine.asked[0]) == prompt  # no chat template
    assert prompt.startswith("Come up with a series of tasks")
    lines = prompt.splitlines()[2:]
    assert [line.split(" ")[0] for line in lines] == ["1.", "2.", "3.", "4.", "5."]
    assert engine.stops == ("\n\n", "\n6.")


def test_an_example_of_several_lines_is_one_line_of_a_list():
    example = [{"role": "user", "content": "Read:\n\n1. a\n2. b"}]
    text = FORMATS["list"].write_prompt([example], load_template(LIST), tiny_tokenizer())
    assert text.endswith("\n1. Read: 1. a 2. b\n2.")


def test_a_template_that_goes_on_behind_its_examples_is_refused_for_a_list():
    paper = ROOT / "montessori" / "templates" / "instruction.jinja"
    with pytest.raises(MontessoriError, match="goes on behind its examples"):
        load_template(paper, ends_with_examples=True)


def test_a_turn_of_the_user_follows_examples_with_their_answers(tmp_path):
    engine = Reciting("Name a river.|", "Name a lake")
    table = write(tmp_path, engine, "turn")
    assert table["dropped"].to_list() == [None, "endless"]
    assert table["messages"][0].to_list() == [
        {"role": "user", "content": "Name a river."},
        {"role": "assistant", "content": "An answer."},
    ]
    shown = engine.tokenizer.decode(engine.asked[0])
    assert shown == table["prompt"][0]
    assert shown.count("<|user|>") - 1 == shown.count("<|assistant|>") >= 4
    assert shown.endswith("<|end|><|user|>")
    assert engine.stops == ("<|end|>",)


def test_a_turn_needs_no_examples(tmp_path):
    changes = {"instruction": settings_of("turn", 0, 0)["instruction"]}
    table = write(tmp_path, Reciting("Name a river.|", "Name a lake.|"), "turn", **changes)
    assert table["prompt"].to_list() == ["<|user|>"] * 2
    assert InstructionParams("", 0, 1, 4, 5, 96, 1.0, 0.95, 0.0, "list").check()


def test_the_end_of_a_user_turn_without_a_token_is_the_text_that_stands_there():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = PLAIN.read_text()
    turn = FORMATS["turn"]
    stops = turn.find_stops(0, False, tokenizer)
    assert stops == ("\nAssistant:",)
    assert turn.cut_sample("Name a river.\nAssistant:\nThe", False, stops) == (
        "Name a river.",
        True,
    )


@pytest.mark.parametrize(
    ("template", "opened", "completion"),
    [
        ("[INST] {} [/INST]", "[INST]", " Name a river. [/INST]"),  # as Llama 2 and Mistral
        ("<|user|>\n{}<|end|>\n", "<|user|>\n", "Name a river.<|end|>"),  # as Phi, Qwen, Llama 3
    ],
)
def test_a_user_turn_is_trained_as_the_template_writes_it(template, opened, completion):
    tokenizer = tiny_tokenizer()
    start, end = template.split("{}")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ " + f"{start!r} + m['content'] + {end!r}" + " }}{% endfor %}"
    )
    turn = FORMATS["turn"]
    prompt = turn.write_prompt([], "", tokenizer)
    stop = turn.find_stops(0, False, tokenizer)[0]
    raw, finished = turn.cut_sample(f"Name a river.{stop}", False, (stop,))
    assert (raw, finished) == ("Name a river.", True)
    assert turn.split_text(prompt, raw, tokenizer) == (opened, completion.replace(" [/", "[/"))


PAIR = {
    "prefill": ("<instruction>Add.</instruction>", "Add.</instruction><|end|>"),
    "list": (" Add.", " Add.\n"),
    "turn": ("Add.", "Add.<|end|>"),
}


@pytest.mark.parametrize("name", PAIR)
def test_dpo_trains_what_a_format_wrote_behind_the_tokens_that_generation_saw(tmp_path, name):
    engine = Reciting(*(f"{raw}|".removeprefix("<instruction>") for raw, _ in PAIR.values()))
    table = write(tmp_path, engine, name)
    raw, completion = PAIR[name]
    rejected = raw.replace("Add", "Sort")
    row = ("p", "i", table["prompt"][0], raw, rejected, "a", "b", 1.0, 0.0)
    pairs = pl.DataFrame([row], schema=dict(PAIRS), orient="row")
    found = tokenize_pairs(FORMATS[name], pairs, engine.tokenizer)
    assert found["prompt_ids"] == [engine.asked[0]]
    assert engine.tokenizer.decode(found["chosen_ids"][0]) == completion
    assert engine.tokenizer.decode(found["rejected_ids"][0]) == completion.replace("Add", "Sort")
    assert read_format(tmp_path / "probe") == name


def test_questions_of_arte_are_trained_behind_their_opening_and_rationales_as_they_are():
    form, tokenizer = FORMATS["prefill"], tiny_tokenizer()
    question = "<Question_4><input>2 + 2?</input><target>4</target></Question_4>"
    assert form.split_text("Ask.", question, tokenizer) == (
        "<|user|>Ask.<|end|><|assistant|><Question_4><input>",
        "2 + 2?</input><target>4</target></Question_4><|end|>",
    )
    assert form.split_text("Think.", "So <ans>4</ans>", tokenizer) == (
        "<|user|>Think.<|end|><|assistant|>",
        "So <ans>4</ans><|end|>",
    )


def test_a_list_begins_as_the_tokenizer_begins_a_text():
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    bos = tokenizer.convert_tokens_to_ids("<|pad|>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", bos)]
    )
    ids = tokenize_prompts(FORMATS["list"], ["1. Add.\n2."], tokenizer)[0]
    assert ids[0] == bos
    assert tokenizer.decode(ids[1:]) == "1. Add.\n2."


def test_a_pair_has_the_tokens_of_prompt_and_text_together():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # A tokenizer of characters that puts a blank before each text, as Llama 2's does.
    letters = sorted(set("\u2581\n$Ask.Add.<instruction></instruction>"))
    backend = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="$")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    raws = ("<instruction>Add.</instruction>", "<instruction>Ask.</instruction>")
    row = ("p", "i", "Ask.", *raws, "a", "b", 1.0, 0.0)
    pairs = pl.DataFrame([row], schema=dict(PAIRS), orient="row")
    found = tokenize_pairs(FORMATS["prefill"], pairs, tokenizer)
    whole = tokenizer(f"Ask.\n{raws[0]}$", add_special_tokens=False)["input_ids"]
    assert found["prompt_ids"][0] + found["chosen_ids"][0] == whole


def test_texts_of_a_pair_that_were_begun_differently_are_refused():
    """One prompt cannot lead to both; DPO would train one of them behind the other's tokens."""
    row = ("p", "i", "Ask.", "<instruction>Add.</instruction>", "Sort.", "a", "b", 1.0, 0.0)
    pairs = pl.DataFrame([row], schema=dict(PAIRS), orient="row")
    with pytest.raises(MontessoriError, match="do not begin with the same opening"):
        tokenize_pairs(FORMATS["prefill"], pairs, tiny_tokenizer())


def test_the_manifest_names_a_format_other_than_tags_and_parts_of_it_are_its_own(tmp_path):
    inputs = make_inputs(tmp_path)
    folders = {}
    for name in ("tags", "turn"):
        engine = Reciting("Name a river.|", "<instruction>Name a lake.</instruction>|")
        order, settings = make_order(tmp_path, inputs, engine, **settings_of(name))
        write_probe(order, settings, ProbeParams(1), tmp_path / name)
        folders[name] = read_json(tmp_path / name / "manifest.json")["facts"]
    assert "format" not in folders["tags"]
    assert folders["turn"]["format"] == "turn"


# ------------------------------------------------------------------- a stage that keeps too little
def failed(tmp_path, engine, name="tags", tuned=False, **changes) -> MontessoriError:
    """The error of a dataset of which nothing is kept."""
    inputs = make_inputs(tmp_path)
    if tuned:
        write_json(inputs["teacher"] / "manifest.json", {"inputs": {"start": "", "pairs": ""}})
    limits = {"collapse": CollapseParams(0.5, 0.7, 0.9)}
    order, settings = make_order(tmp_path, inputs, engine, **(settings_of(name) | limits | changes))
    with pytest.raises(MontessoriError) as error:
        write_dataset(order, settings, SynthParams(4, 2.0), tmp_path / "out", tmp_path / "s.csv")
    assert not (tmp_path / "out").exists()
    return error.value


@pytest.mark.parametrize(
    ("text", "cause", "step"),
    [
        ("Sure! Here is a\nquestion.|", "format", "set instruction.format to prefill"),
        ("Sure! I would say that", "format", "set instruction.format to prefill"),
        ("<instruction>Once upon a", "length", "raise instruction.max_new_tokens"),
        ("<instruction>Hi</instruction><|user|>|", "end token", "eos_token_id"),
        ("<instruction></instruction>|", "format", "set instruction.format"),
    ],
)
def test_an_untuned_teacher_has_not_collapsed_and_the_likely_cause_is_named(
    tmp_path, text, cause, step
):
    error = failed(tmp_path, Reciting(text))
    assert "collapsed" not in str(error)
    assert f"likely cause: {cause} (8 of 8 samples)" in error.what
    assert f"{cause}: " in error.next
    assert step in error.next
    shown = text.removesuffix("|").encode("unicode_escape").decode()
    assert error.where.count(shown[:20]) == 3
    assert "\n" not in error.where


def test_a_tuned_teacher_that_writes_nothing_has_collapsed(tmp_path):
    error = failed(tmp_path, Reciting("aaa|"), tuned=True)
    assert error.what.startswith("the teacher has collapsed: invalid 1.00 (limit 0.5)")
    assert "likely cause: tuned teacher" in error.what
    assert "lower teacher_dpo.learning_rate" in error.next


def test_rows_that_only_a_filter_drops_are_an_error_when_none_is_left(tmp_path):
    strict = {"filter": FilterParams(6, 7, 1.0, (), False, 0.0, False)}
    engine = Reciting("Name a river.|")
    with pytest.raises(MontessoriError, match="nothing that the teacher wrote is kept") as error:
        write(tmp_path, engine, "turn", **strict)
    assert "likely cause: filter (2 of 2 samples)" in error.value.what
    assert not (tmp_path / "probe").exists()


def test_prompts_that_leave_no_room_are_told_before_anything_is_written(tmp_path):
    engine = Reciting("<instruction>Hi</instruction>|", limit=20)
    error = failed(tmp_path, engine, tuned=True)
    assert engine.number == 0
    assert "no prompt fits the teacher's context of 20 tokens: of 4 prompts" in error.what
    assert "instruction.seed_examples" in error.next


def test_prompts_that_leave_little_room_give_a_warning_and_a_reason_of_their_own(tmp_path, caplog):
    class Cut(Reciting):
        def generate(self, requests, sampling, on_done=None):
            self.limit = max(len(request.prompt) for request in requests) + 3
            return super().generate(requests, sampling, on_done)

    error = failed(tmp_path, Cut("<inst", limit=200), tuned=True)
    assert "4 of 4 prompts leave less than instruction.max_new_tokens (96)" in caplog.text
    assert "context" in error.where


def test_a_server_of_dialogues_can_only_be_asked_in_tags(tmp_path):
    class Hosted(Reciting):
        def __init__(self) -> None:
            super().__init__("Hi|")
            self.tokenizer = None

    error = failed(tmp_path, Hosted(), "turn")
    assert "turn cannot be asked for at a server that only answers dialogues" in error.what
    assert "set instruction.format: tags" in error.next
