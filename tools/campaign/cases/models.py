"""Model folders: files that are missing, malformed, hostile, or do not belong together."""

import json
import math
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.campaign.case import ACCEPT, EITHER, REFUSE, Case, call_stage
from tools.campaign.cases.model_files import (
    change_json,
    copy_model,
    read_tensors,
    remove,
    write_in,
    write_tensors,
)
from tools.campaign.mutations import mutate_bytes, mutate_json

KIND = "models"
TEMPLATE = "montessori/templates/plain_chat.jinja"
PREPARE = call_stage("models", source="mine", template=TEMPLATE, out="out")
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
TOKENIZER_CONFIG, INDEX = "tokenizer_config.json", "model.safetensors.index.json"
Change = Callable[[Path], object]


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each file of a model that is wrong, and random faults."""
    for file, texts in _file_texts().items():
        for name, text in texts.items():
            want = EITHER if name.startswith("perhaps") else REFUSE
            change = _put_index(text) if file == INDEX else write_in(file, text)
            yield _make_case(f"{file}: {name}", change, file, want)
    for name, (change, where) in {**_missing(), **_config_changes()}.items():
        yield _make_case(name, change, where)
    for name, (change, where) in {**_tokenizer_changes(), **_weights()}.items():
        yield _make_case(name, change, where)
    for name, change in _right().items():
        yield _make_case(name, change, want=ACCEPT)
    for name, change in _may_be_read().items():
        yield _make_case(name, change, want=EITHER)
    yield from _closed_files()
    yield from _read_later()
    yield from _random_cases(rng)


def _make_case(
    name: str, change: Change, where: str = "mine", want: str = REFUSE, unprivileged: bool = False
) -> Case:
    def write(root: Path) -> None:
        change(copy_model(root))

    outputs = ("out", "pwned")
    return Case(KIND, name, write, (PREPARE,), where, want, outputs, unprivileged=unprivileged)


def _file_texts() -> dict[str, dict[str, str | bytes]]:
    """Files that are not what their names say; an optional file may be let alone ("perhaps")."""
    broken: dict[str, str | bytes] = {"not JSON": "{", "Latin-1": b'{"a": "\xe9"}'}
    shapes: dict[str, str | bytes] = {
        "empty": "",
        "list": "[]",
        "null": "null",
        "number": "5",
        "depth": "[" * 100_000,
    }
    empty: dict[str, str | bytes] = {"empty object": "{}"}
    adapter = '{"weight_map": {"a": "../../etc/passwd"}}'
    return {
        CONFIG: {**broken, **shapes, **empty},
        TOKENIZER: {**broken, **shapes, **empty},
        TOKENIZER_CONFIG: {**broken, **shapes},
        "generation_config.json": {
            **broken,
            "list": "[]",
            "null": "null",
            "end token nested": '{"eos_token_id": [[1]]}',
            "perhaps: end token a text": '{"eos_token_id": "a"}',
        },
        "special_tokens_map.json": {**broken, "perhaps: list": "[]", "perhaps: null": "null"},
        INDEX: {
            **broken,
            "list": "[]",
            "null": "null",
            "map null": '{"weight_map": null}',
            "map a list": '{"weight_map": ["a"]}',
            "file not there": '{"weight_map": {"a": "model-2.safetensors"}}',
            "file a number": '{"weight_map": {"a": 5}}',
            "file outside": adapter,
        },
        "chat_template.jinja": {"Latin-1": b"caf\xe9"},
    }


def _put_index(text: str | bytes) -> Change:
    """An index counts where there is no whole file of weights."""

    def change(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "model-1.safetensors")
        write_in(INDEX, text)(folder)

    return change


def _missing() -> dict[str, tuple[Change, str]]:
    """Files that are not there, or pickled, or links and folders in their place."""

    def swap(change: Change) -> Change:
        return lambda folder: ((folder / WEIGHTS).unlink(), change(folder / WEIGHTS))

    def rename(new: str) -> Change:
        return lambda folder: (folder / WEIGHTS).rename(folder / new)

    weights = "safetensors|weights"
    return {
        "no tokenizer": (remove(TOKENIZER), "tokenizer"),
        "no tokenizer config": (remove(TOKENIZER_CONFIG), "tokenizer"),
        "no config": (remove(CONFIG), "config"),
        "no weights": (remove(WEIGHTS), "weights"),
        "empty folder": (lambda folder: [path.unlink() for path in folder.iterdir()], "mine"),
        "pickled .bin": (rename("pytorch_model.bin"), "pytorch_model.bin"),
        "pickled .pt": (rename("model.pt"), "model.pt"),
        "pickled .ckpt": (rename("model.ckpt"), weights),
        "weights: dangling link": (swap(lambda path: path.symlink_to("gone")), weights),
        "weights: link to itself": (swap(lambda path: path.symlink_to(path.name)), weights),
        "weights: a folder": (swap(lambda path: path.mkdir()), weights),
        "config: a folder": (_config_folder, "config"),
        "adapter: config not JSON": (_adapter({"adapter_model.safetensors": b"x"}, "{"), "adapter"),
        "adapter: config a list": (_adapter({"adapter_model.safetensors": b"x"}, "[]"), "adapter"),
        "adapter: no weights": (_adapter({}, '{"peft_type": "LORA", "r": 4}'), "adapter"),
        "adapter: pickled": (_adapter({"adapter_model.bin": b"\x80\x04."}, "{}"), "adapter"),
        "link to a secret": (_link_out, "notes.txt|tokenizer|vocab"),
    }


def _config_folder(folder: Path) -> None:
    (folder / CONFIG).unlink()
    (folder / CONFIG).mkdir()


def _link_out(folder: Path) -> None:
    (folder / "vocab.txt").symlink_to("/etc/hostname")


def _adapter(files: dict[str, bytes], config: str) -> Change:
    def change(folder: Path) -> None:
        (folder / "adapter").mkdir()
        (folder / "adapter" / "adapter_config.json").write_text(config, encoding="utf-8")
        for name, content in files.items():
            (folder / "adapter" / name).write_bytes(content)

    return change


def _config_changes() -> dict[str, tuple[Change, str]]:
    """Settings of an architecture that are of no type, no size, or not of these weights."""
    config = "config|architect|model_type"
    sizes = "vocab|embed|weights|shape|size|config"
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "unknown model_type": ({"model_type": "evil"}, config),
        "no model_type": ({"model_type": None}, config),
        "model_type a list": ({"model_type": ["llama"]}, config),
        "encoder": ({"model_type": "bert", "architectures": ["BertModel"]}, "bert|architect"),
        "encoder and decoder": (
            {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
            "t5|architect|weights",
        ),
        "vocab_size a text": ({"vocab_size": "many"}, sizes),
        "vocab_size small": ({"vocab_size": 3}, "token|vocab|shape"),
        "vocab_size huge": ({"vocab_size": 10**9}, sizes),
        "vocab_size negative": ({"vocab_size": -5}, sizes),
        "hidden_size doubled": ({"hidden_size": 256}, sizes),
        "hidden_size 0": ({"hidden_size": 0}, sizes),
        "heads 0": ({"num_attention_heads": 0}, "head|config|divi"),
        "heads that do not divide": ({"num_attention_heads": 7}, "head|config|divi|shape"),
        "layers null": ({"num_hidden_layers": None}, "layers|config"),
        "layers 10**30": ({"num_hidden_layers": 10**30}, "layers|config|weights"),
        "layers one more": ({"num_hidden_layers": 99}, "layers|config|weights|tensor"),
        "dtype nonsense": ({"dtype": "float7"}, "dtype|config"),
        "positions negative": ({"max_position_embeddings": -1}, "position|config"),
        "rope a text": ({"rope_parameters": "abc"}, "rope|config"),
        "activation unknown": ({"hidden_act": "nothing"}, "act|config|nothing"),
        "8-bit": (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
            "quanti",
        ),
        "quantisation a text": ({"quantization_config": "abc"}, "quanti|config"),
        "text_config null": ({"text_config": None, "vocab_size": None}, "config|vocab"),
    }
    return {
        f"config: {name}": (change_json(CONFIG, _update(values)), where)
        for name, (values, where) in changes.items()
    }


def _update(values: dict[str, Any]) -> Callable[[Any], object]:
    return lambda value: value.update(values)


def _tokenizer_changes() -> dict[str, tuple[Change, str]]:
    """Tokenizers of a wrong shape, and end tokens that are none."""
    tokenizer: dict[str, Callable[[Any], object]] = {
        "model null": _update({"model": None}),
        "vocabulary of texts": lambda value: value["model"].update(vocab={"a": "b"}),
        "vocabulary a list": lambda value: value["model"].update(vocab=[1, 2]),
        "added tokens broken": _update({"added_tokens": [{"id": "x"}]}),
        "added tokens a text": _update({"added_tokens": "abc"}),
        "merges of numbers": lambda value: value["model"].update(merges=[1]),
        "unknown model": lambda value: value["model"].update(type="Nothing"),
        "id beyond the model": lambda value: value["model"]["vocab"].update({"zzz": 10**6}),
    }
    config: dict[str, dict[str, Any]] = {
        "end token unknown": {"eos_token": "<nope>"},
    }
    changes = {
        f"tokenizer: {name}": (change_json(TOKENIZER, change), "token")
        for name, change in tokenizer.items()
    }
    for name, values in config.items():
        changed = change_json(TOKENIZER_CONFIG, _update(values))
        changes[f"tokenizer config: {name}"] = (changed, "eos|end-of-sequence|token")
    return changes


def _weights() -> dict[str, tuple[Change, str]]:
    """Weights that only a look inside finds out."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1234567\n"
    contents: dict[str, bytes] = {
        "empty": b"",
        "header of 2**60 bytes": struct.pack("<Q", 2**60) + b"{}",
        "zeros": bytes(4096),
        "header not JSON": struct.pack("<Q", 8) + b"{nothing",
        "header a list": struct.pack("<Q", 2) + b"[]",
        "git-lfs pointer": pointer.encode(),
        "HTML": b"<!DOCTYPE html><html><body>404</body></html>",
        "zip": b"PK\x03\x04" + bytes(300),
    }
    where = "model.safetensors|weights|tensor|shape"
    changes: dict[str, tuple[Change, str]] = {
        f"weights: {name}": (write_in(WEIGHTS, content), where)
        for name, content in contents.items()
    }
    for name, change in {
        "cut": _cut,
        "names of no model": lambda folder: _rename(folder, "x."),
        "one tensor missing": _lose_tensor,
    }.items():
        changes[f"weights: {name}"] = (change, where)
    return changes


def _read_later() -> Iterator[Case]:
    """Numbers that stage `models`, which reads headers alone, leaves to the next stage."""
    answer = call_stage("answers", model="out", evals="data/seed/evals", out="out2")
    for name, value in {"NaN": math.nan, "infinite": math.inf}.items():

        def write(root: Path, value: float = value) -> None:
            _fill(copy_model(root), value)

        commands = (PREPARE, answer)
        yield Case(KIND, f"weights: all {name}", write, commands, "out|weight", outputs=("out2",))


def _cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def _fill(folder: Path, value: float) -> None:
    head, body = read_tensors(folder / WEIGHTS)
    write_tensors(folder / WEIGHTS, head, struct.pack("<f", value) * (len(body) // 4))


def _rename(folder: Path, prefix: str) -> None:
    head, body = read_tensors(folder / WEIGHTS)
    renamed = {name if name == "__metadata__" else prefix + name: at for name, at in head.items()}
    write_tensors(folder / WEIGHTS, renamed, body)


def _lose_tensor(folder: Path) -> None:
    head, body = read_tensors(folder / WEIGHTS)
    lost = max(
        (name for name in head if "layers.0" in name), key=lambda name: head[name]["data_offsets"]
    )
    start, end = head.pop(lost)["data_offsets"]
    for name, entry in head.items():
        if name != "__metadata__" and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [at - (end - start) for at in entry["data_offsets"]]
    write_tensors(folder / WEIGHTS, head, body[:start] + body[end:])


def _right() -> dict[str, Change]:
    auto = {"auto_map": {"AutoModelForCausalLM": "evil.Evil"}}
    return {
        "whole": lambda folder: None,
        "pickle beside the weights": write_in("pytorch_model.bin", b"\x80\x04."),
        "training_args.bin": write_in("training_args.bin", b"\x80\x04."),
        "auto_map": change_json(CONFIG, _update(auto)),
    }


def _may_be_read() -> dict[str, Change]:
    def with_template(template: object) -> Change:
        def change(folder: Path) -> None:
            (folder / "chat_template.jinja").unlink()
            change_json(TOKENIZER_CONFIG, _update({"chat_template": template}))(folder)

        return change

    evil = {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
    return {
        "template a number": with_template(5),
        "template an object": with_template({"a": 1}),
        "templates without a default": with_template([{"name": "tool", "template": "x"}]),
        "templates broken": with_template([{"nam": "x"}]),
        "templates of texts": with_template(["abc"]),
        # the model's own eos_token_id says the same
        "end token null": change_json(TOKENIZER_CONFIG, _update({"eos_token": None})),
        "end token a number": change_json(TOKENIZER_CONFIG, _update({"eos_token": 5})),
        "end token a list": change_json(TOKENIZER_CONFIG, _update({"eos_token": ["a"]})),
        "tokenizer of unknown code": change_json(TOKENIZER_CONFIG, _update(evil)),
        "adapter folder empty": lambda folder: (folder / "adapter").mkdir(),
        "link in a file of notes": lambda folder: (folder / "notes.txt").symlink_to(
            "/etc/hostname"
        ),
        "remote code": _evil_model,
    }


def _evil_model(folder: Path) -> None:
    code = "open('pwned', 'w')\nfrom transformers import LlamaForCausalLM as Evil\n"
    (folder / "evil.py").write_text(code, encoding="utf-8")
    auto = {"auto_map": {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Evil"}}
    change_json(CONFIG, _update({**auto, "model_type": "evil"}))(folder)


def _closed_files() -> Iterator[Case]:
    for file in (CONFIG, WEIGHTS, TOKENIZER):

        def close(folder: Path, file: str = file) -> None:
            (folder / file).chmod(0)

        yield _make_case(f"{file}: no permission", close, file, unprivileged=True)


def _random_cases(rng: random.Random) -> Iterator[Case]:
    folder = Path("data/micro/llama")
    for file in (CONFIG, TOKENIZER_CONFIG, "generation_config.json"):
        value = json.loads((folder / file).read_bytes())
        for name, text in mutate_json(value, rng, 25):
            yield _make_case(f"{file} {name}", write_in(file, text), want=EITHER)
    for file in (TOKENIZER, WEIGHTS):
        for name, data in mutate_bytes((folder / file).read_bytes(), rng, 10):
            yield _make_case(f"{file} damage {name}", write_in(file, data), want=EITHER)
