"""Model folders: copied without code, pinned, with one template, adapters merged.

What would break: code of a model folder runs, an unpinned model changes under a run, or stages see
different templates of one model.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from montessori.artifacts.files import folder_digest, read_json
from montessori.errors import MontessoriError
from montessori.models.prepare import prepare_model
from montessori.models.settled_template import chat_environment
from tests.tiny_models import tiny_tokenizer

OWN = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
FALLBACK = Path(__file__).parents[2] / "montessori/templates/plain_chat.jinja"


def save_weights(folder: Path, vocabulary: int) -> Path:
    """Config and weights of a Llama as small as can be."""
    from transformers import LlamaConfig, LlamaForCausalLM

    settings = {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    config = LlamaConfig(vocab_size=vocabulary, hidden_size=8, **settings, **ids)
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(tmp_path_factory.mktemp("weights"), vocabulary=4)


@pytest.fixture
def source(weights: Path, tmp_path: Path) -> Path:
    """A model folder that a test may change."""
    folder = Path(shutil.copytree(weights, tmp_path / "source"))
    (folder / "modeling_own.py").write_text("raise SystemExit")
    change(folder / "config.json", auto_map={"x": "y"})
    write(folder / "tokenizer_config.json", {"eos_token": "</s>", "bos_token": {"content": "<s>"}})
    write(
        folder / "tokenizer.json",
        {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2, "content": "</s>"}]},
    )
    return folder


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def change(path: Path, **values: Any) -> None:
    write(path, {**read_json(path), **values})


def test_a_folder_is_copied_without_code_and_with_the_fallback(source: Path, tmp_path: Path):
    out = tmp_path / "data/models/student"
    prepare_model(source, FALLBACK, out)
    assert sorted(path.name for path in out.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    kept = (out / "model.safetensors").read_bytes()
    assert kept == (source / "model.safetensors").read_bytes()
    assert "auto_map" not in read_json(out / "config.json")
    manifest = read_json(out / "manifest.json")
    assert manifest["facts"] == {
        "template": "fallback",
        "eos_token": "</s>",
        "model_type": "llama",
        "vocabulary": 4,
        "template_hash": hashlib.sha256(FALLBACK.read_bytes()).hexdigest(),
    }
    assert set(manifest["inputs"]) == {"source", "template"}


@pytest.mark.parametrize("place", ["file", "config", "list", "json"])
def test_the_models_own_template_is_kept_in_one_place(source: Path, tmp_path: Path, place: str):
    if place == "file":
        (source / "chat_template.jinja").write_text(OWN)
    elif place == "json":
        write(source / "chat_template.json", {"chat_template": OWN})
    else:
        named = [{"name": "tool", "template": "x"}, {"name": "default", "template": OWN}]
        change(source / "tokenizer_config.json", chat_template=OWN if place == "config" else named)
    prepare_model(source, FALLBACK, tmp_path / "out")
    assert (tmp_path / "out/chat_template.jinja").read_text() == OWN
    assert "chat_template" not in read_json(tmp_path / "out/tokenizer_config.json")
    facts = read_json(tmp_path / "out/manifest.json")["facts"]
    assert facts["template"] == "own"
    assert facts["template_hash"] == hashlib.sha256(OWN.encode()).hexdigest()


def test_the_same_model_gives_the_same_bytes(source: Path, tmp_path: Path):
    for name in ("a", "b"):
        prepare_model(source, FALLBACK, tmp_path / name)
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_a_prepared_model_can_be_prepared_again(source: Path, tmp_path: Path):
    prepare_model(source, FALLBACK, tmp_path / "a")
    prepare_model(tmp_path / "a", FALLBACK, tmp_path / "b")
    assert read_json(tmp_path / "b/manifest.json")["facts"]["template"] == "own"


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def sharded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    write(folder / "model.safetensors.index.json", {"weight_map": {"w": "model-2.safetensors"}})


PAD = {"id": 4, "content": "<pad>", "special": True}
BROKEN = {
    "pickled": (pickled, "pickled (pytorch_model.bin)"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "shard": (sharded, "weight files are missing: model-2.safetensors"),
    "config": (lambda f: (f / "config.json").unlink(), "config is missing"),
    "config text": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
    "config list": (lambda f: write(f / "config.json", []), "not a JSON object"),
    "tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "settings": (lambda f: (f / "tokenizer_config.json").unlink(), "tokenizer's config is missing"),
    "eos": (lambda f: write(f / "tokenizer_config.json", {}), "no end-of-sequence token"),
    "eos id": (
        lambda f: write(f / "tokenizer_config.json", {"eos_token": "<end>"}),
        "'<end>' is not in the vocabulary",
    ),
    "more tokens": (
        lambda f: change(f / "tokenizer.json", model={"vocab": {"a": 0, "b": 1, "c": 7}}),
        "has 8 tokens, the model embeds 4",
    ),
    "few tokens": (
        lambda f: write(
            f / "tokenizer.json",
            {"model": {"vocab": {}}, "added_tokens": [{"id": 2, "content": "</s>"}]},
        ),
        "has only 1 tokens, the model embeds 4",
    ),
    "other end": (
        lambda f: change(f / "config.json", eos_token_id=3),
        "the model ends its texts with token 3, which is none here",
    ),
    "padding": (
        lambda f: (
            change(f / "tokenizer.json", added_tokens=[PAD, {"id": 2, "content": "</s>"}]),
            change(f / "tokenizer_config.json", pad_token="<pad>"),
        ),
        "has 5 tokens, the model embeds 4",
    ),
    "tokenizer list": (lambda f: write(f / "tokenizer.json", []), "not a JSON object"),
    "vocabulary": (
        lambda f: change(f / "tokenizer.json", model={"vocab": {"a": "b"}}),
        "is not a tokenizer: a token of its vocabulary has no whole number as id",
    ),
    "added tokens": (
        lambda f: change(f / "tokenizer.json", added_tokens=[{"id": "x"}]),
        "is not a tokenizer: an added token has no content",
    ),
    "unreadable": (
        lambda f: change(f / "tokenizer.json", version="1.0"),
        "is not a tokenizer: the library tokenizers cannot read it",
    ),
    "special tokens": (lambda f: write(f / "special_tokens_map.json", [1]), "not a JSON object"),
    "generation": (lambda f: write(f / "generation_config.json", []), "not a JSON object"),
    "end ids": (
        lambda f: write(f / "generation_config.json", {"eos_token_id": [[1]]}),
        "eos_token_id is [[1]]",
    ),
    "layers": (
        lambda f: change(f / "config.json", num_hidden_layers=10**30),
        "layers, the weights have",
    ),
    "positions": (
        lambda f: change(f / "config.json", max_position_embeddings=-1),
        "max_position_embeddings of config.json is -1",
    ),
    "activation": (lambda f: change(f / "config.json", hidden_act="nothing"), "nothing"),
    "format": (lambda f: change(f / "config.json", dtype="float7"), "float7"),
    "templates": (
        lambda f: change(f / "tokenizer_config.json", chat_template=[{"nam": "x"}]),
        "the chat templates have no names",
    ),
    "template bytes": (
        lambda f: (f / "chat_template.jinja").write_bytes(b"a\xff"),
        "not UTF-8 text",
    ),
    "pointer": (
        lambda f: (f / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1"),
        "tokenizer.json is a Git LFS pointer",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_folder_is_an_error(source: Path, tmp_path: Path, name: str):
    breaks, problem = BROKEN[name]
    breaks(source)
    with pytest.raises(MontessoriError) as caught:
        prepare_model(source, FALLBACK, tmp_path / "out")
    assert problem in str(caught.value)
    assert caught.value.next
    assert not (tmp_path / "out").exists()


def test_a_special_token_that_nothing_writes_may_lack_an_embedding(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Gemma-3's tokenizer has a place-holder for images that its 1B model does not embed."""
    image = {"id": 4, "content": "<image>", "special": True}
    change(source / "tokenizer.json", added_tokens=[image, {"id": 2, "content": "</s>"}])
    prepare_model(source, FALLBACK, tmp_path / "out")
    assert "special tokens without an embedding: ['<image>']" in caplog.text


def test_pickled_weights_come_with_the_command_that_converts_them(source: Path, tmp_path: Path):
    pickled(source)
    with pytest.raises(MontessoriError) as caught:
        prepare_model(source, FALLBACK, tmp_path / "out")
    command = caught.value.next.split('"')[1]
    compile(command, "command", "exec")
    assert f"M.from_pretrained('{source}'" in command


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% for %}", "does not render"),
        ("{{ raise_exception('no') }}", "does not render (TemplateError: no)"),
        ("{{ nothing.here }}", "does not render"),
        ("always the same", "does not show what the user says"),
        (OWN.replace("<assistant>", ""), "no generation prompt"),
        (OWN.replace("{{ eos_token }}", "<end>"), "does not end with a token the model stops at"),
        (OWN.replace("in messages", "in messages[-1:]"), "does not show"),
        (OWN.replace("m['content']", "m['content'][:3]"), "does not show what the user says"),
    ],
)
def test_an_unusable_template_is_an_error(
    source: Path, tmp_path: Path, template: str, problem: str
):
    (source / "chat_template.jinja").write_text(template)
    with pytest.raises(MontessoriError) as caught:
        prepare_model(source, FALLBACK, tmp_path / "out")
    assert problem in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_stop_token_of_the_model_may_end_a_turn(source: Path, tmp_path: Path):
    (source / "chat_template.jinja").write_text(OWN.replace("{{ eos_token }}", "b"))
    write(source / "generation_config.json", {"eos_token_id": [2, 1]})
    prepare_model(source, FALLBACK, tmp_path / "out")


def test_an_end_that_only_the_model_has_is_named_in_the_tokenizers_config(
    source: Path, tmp_path: Path
):
    """GPT-2's files name none."""
    write(source / "tokenizer_config.json", {})
    change(source / "config.json", eos_token_id=2)
    prepare_model(source, FALLBACK, tmp_path / "out")
    assert read_json(tmp_path / "out/tokenizer_config.json") == {"eos_token": "</s>"}
    assert read_json(tmp_path / "out/manifest.json")["facts"]["eos_token"] == "</s>"


def test_generation_blocks_and_the_usual_functions_render(source: Path, tmp_path: Path):
    text = "{% if false %}{{ raise_exception('x') }}{{ strftime_now('%d') }}{% endif %}" + (
        OWN.replace("{{ m['content'] }}", "{% generation %}{{ m['content'] }}{% endgeneration %}")
    )
    (source / "chat_template.jinja").write_text("{{ tools | tojson }}{{ bos_token }}" + text)
    prepare_model(source, FALLBACK, tmp_path / "out")


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ({"hub": "a/b", "revision": "main"}, "not a commit of 40 hex digits"),
        ({"hub": "a/b"}, "revision: key is missing"),
        ({"hub": "a/b", "revision": "0" * 40, "more": 1}, "more: unknown key"),
    ],
)
def test_a_hub_model_must_be_pinned(tmp_path: Path, recipe: dict[str, Any], problem: str):
    write(tmp_path / "model.json", recipe)
    with pytest.raises(MontessoriError) as caught:
        prepare_model(tmp_path / "model.json", FALLBACK, tmp_path / "out")
    assert problem in str(caught.value)


def test_a_hub_model_is_fetched_without_code(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = []

    def snapshot_download(name: str, **options: Any) -> str:
        calls.append((name, options["revision"], options["allow_patterns"]))
        return str(source)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    (tmp_path / "chat.jinja").write_text(OWN)
    recipe = {"hub": "a/b", "revision": "0" * 40, "chat_template": "chat.jinja"}
    write(tmp_path / "model.json", recipe)
    prepare_model(tmp_path / "model.json", FALLBACK, tmp_path / "out")
    assert (tmp_path / "out/chat_template.jinja").read_text() == OWN
    assert calls[0][:2] == ("a/b", "0" * 40)
    assert not any(pattern in ("*", "*.py", "*.bin") for pattern in calls[0][2])


def test_a_model_that_is_not_there(tmp_path: Path):
    with pytest.raises(MontessoriError, match="no such model"):
        prepare_model(tmp_path / "none", FALLBACK, tmp_path / "out")
    with pytest.raises(MontessoriError, match="no such model") as caught:
        prepare_model(Path("owner/name"), FALLBACK, tmp_path / "out")
    assert '{"hub": "owner/name", "revision": ' in caught.value.next


# ------------------------------------------------------------------------------------- hosted
def test_a_hosted_model_becomes_a_folder_without_weights(tmp_path: Path):
    row = {"server": "https://api.example.org/v1", "model": "big-2026-01-01"}
    write(tmp_path / "big.json", row)
    out = tmp_path / "data/models/big"
    prepare_model(tmp_path / "big.json", FALLBACK, out)
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "server.json"]
    assert read_json(out / "server.json") == row | {
        "key_env": "OPENAI_API_KEY",
        "limit": "max_tokens",
        "omit": [],
        "usd_per_million": {"input": 0.0, "output": 0.0},
    }
    assert read_json(out / "manifest.json")["facts"] == row


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"model": ""}, "model: '' is blank"),
        ({"server": "api.example.org"}, "server: is not an address"),
        ({"server": "http://[::1"}, "server: is not an address"),
        ({"usd_per_million": {"input": -1.0}}, "usd_per_million.input: -1.0 is below 0"),
        ({"price": 1}, "price: unknown key"),
    ],
)
def test_what_is_wrong_with_a_hosted_model_is_said(tmp_path: Path, change: dict, text: str):
    row = {"server": "https://api.example.org/v1", "model": "big"}
    write(tmp_path / "big.json", row | change)
    with pytest.raises(MontessoriError) as error:
        prepare_model(tmp_path / "big.json", FALLBACK, tmp_path / "out")
    assert text in str(error.value)
    assert "big.json" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_adapters_are_added_to_the_weights(student: Path, tmp_path: Path):
    import torch

    from montessori.models.adapters import AdapterParams, add_adapters, load_merged, save_adapters
    from montessori.models.weights import load_model

    model = add_adapters(load_model(student), AdapterParams(rank=2, alpha=4.0), seed=0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(generator=torch.Generator().manual_seed(len(name)))
    folder, out = tmp_path / "with", tmp_path / "models" / "teacher"
    folder.mkdir()
    save_adapters(model, student, folder)
    prepare_model(folder, FALLBACK, out)
    ids = torch.arange(1, 9)[None]
    made, meant, base = (
        load(path)(ids).logits
        for load, path in (
            (load_model, out),
            (load_merged, folder),
            (load_model, student),
        )
    )
    assert torch.allclose(made, meant, atol=1e-5)
    assert not torch.allclose(made, base, atol=1e-2)
    assert not (out / "adapter").exists()


def test_options_and_the_date_are_settled_in_the_template(source: Path, tmp_path: Path):
    """And named in the manifest; a template that reads neither stays as it is."""
    (source / "chat_template.jinja").write_text(OWN)
    prepare_model(source, FALLBACK, tmp_path / "plain", {"thoughts": False})
    assert (tmp_path / "plain/chat_template.jinja").read_text() == OWN
    assert "template_options" not in read_json(tmp_path / "plain/manifest.json")["facts"]
    (source / "chat_template.jinja").write_text("{{ thoughts }}{{ strftime_now('%Y') }}" + OWN)
    prepare_model(source, FALLBACK, tmp_path / "set", {"thoughts": False, "other": 1})
    facts = read_json(tmp_path / "set/manifest.json")["facts"]
    assert facts["template_options"] == {"thoughts": False}
    assert facts["template_date"] == "2024-07-26"
    environment = chat_environment()
    environment.globals["strftime_now"] = lambda form: "tomorrow"
    settled = environment.from_string((tmp_path / "set/chat_template.jinja").read_text())
    assert settled.render(messages=[user("Hi")], eos_token="</s>") == "False2024<user>Hi"
    assert (
        facts["template_hash"]
        == hashlib.sha256((tmp_path / "set/chat_template.jinja").read_bytes()).hexdigest()
    )


@pytest.mark.parametrize("puts_one", [True, False])
def test_the_fallback_begins_as_the_tokenizer_begins_a_text(tmp_path: Path, puts_one: bool):
    """Base models fall apart without the beginning of text that they were trained with."""
    from tokenizers.processors import TemplateProcessing

    from montessori.models import chat

    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    if puts_one:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
        )
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "source")
    save_weights(tmp_path / "source", vocabulary=len(tokenizer))
    prepare_model(tmp_path / "source", FALLBACK, tmp_path / "out")
    (prompt,) = chat.render_prompts(chat.load_tokenizer(tmp_path / "out"), [[user("Why?")]])
    assert prompt.count(tokenizer.bos_token_id) == (prompt[0] == tokenizer.bos_token_id) == puts_one


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
