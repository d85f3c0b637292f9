"""What .json files that params.yaml names say: models, recipes, judges and tasks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.json_lines import read_file_text
from montessori.artifacts.records.repeated_keys import load_json
from montessori.errors import MontessoriError
from montessori.graph.lines import find_lines, number_problems
from montessori.graph.load import read_section
from montessori.graph.references import Rows
from montessori.models.hosted import HostedModel

#: The kinds of recipe that each key of section `sources` may name.
_ROWS = ("lab", "hub")
SOURCES = {
    "seeds": _ROWS,
    "reference": _ROWS,
    "other_reference": _ROWS,
    "heldout": (*_ROWS, "none"),
    "evals": ("lab-evals",),
}
_MODEL_FORMS = (
    '{"hub": id, "revision": commit}, {"gguf": file, "sha256": digest} or '
    '{"server": address, "model": name}'
)


def description_problems(raw: Mapping[str, Any], rows: Rows, root: Path) -> list[str]:
    """Every problem of the .json files that params name, each with its key, file and line."""
    problems: list[str] = []
    for name, row in rows["models"].items():
        problems += _read_problems(f"models.{name}.path", row.path, root, _model_problems)
    sources = raw.get("sources")
    for key, kinds in SOURCES.items():
        path = sources.get(key) if isinstance(sources, Mapping) else None
        if isinstance(path, str):
            problems += _read_problems(f"sources.{key}", path, root, _RecipeProblems(kinds))
    judge = raw.get("judge")
    model = judge.get("model") if isinstance(judge, Mapping) else None
    if isinstance(model, str):
        problems += _read_problems("judge.model", model, root, _judge_problems)
    for name, row in rows["tasks"].items():
        problems += _read_problems(f"tasks.{name}.source", row.source, root, _task_problems)
    return problems


def read_description(path: Path) -> Mapping[str, Any]:
    """The JSON object of a .json file; empty for anything else."""
    try:
        value = json.loads(read_file_text(path)) if _is_description(path) else {}
    except (MontessoriError, ValueError, RecursionError):
        value = {}
    return value if isinstance(value, Mapping) else {}


def _is_description(path: Path) -> bool:
    return path.suffix == ".json" and path.is_file()


def _read_problems(key: str, path: str, root: Path, problems_of: Any) -> list[str]:
    """The problems that `problems_of(value, folder)` finds, behind key, file and line."""
    if not _is_description(root / path):
        return []
    try:
        text = read_file_text(root / path)
        value = load_json(text)
    except MontessoriError as error:
        return [f"{key}: {path}: {error.what}"]
    except (ValueError, RecursionError) as error:
        if key.startswith("sources.") and text.count("\n{"):  # JSON Lines under another name
            return []
        return [f"{key}: {path}: not valid JSON ({error})"]
    found = list(problems_of(value, (root / path).parent))
    lines = find_lines(text) if found else {}
    return [
        f"{key}: {path}{', ' if problem.startswith('line ') else ': '}{problem}"
        for problem in number_problems(found, lines)
    ]


def _settings_problems(value: Any, cls: type[Any]) -> list[str]:
    """The problems of a JSON object as a class, each starting with its key in the file."""
    found = read_section({"it": value}, "it", cls)[1]
    return [problem.removeprefix("it.").removeprefix("it: ") for problem in found]


# ------------------------------------------------------------------------------------ models
def _model_problems(value: Any, folder: Path) -> Iterator[str]:
    from montessori.models.gguf_source import GgufModel
    from montessori.models.source import HubModel

    kinds = {"server": HostedModel, "gguf": GgufModel, "hub": HubModel}
    named = [kind for kind in kinds if isinstance(value, Mapping) and kind in value]
    if not named:
        yield f"names no model; expected {_MODEL_FORMS}"
        return
    yield from _settings_problems(value, kinds[named[0]])
    template = value.get("chat_template")
    if isinstance(template, str) and not (folder / template).is_file():
        yield f"chat_template: {template} does not exist beside the .json"
    file = value.get("gguf")
    if isinstance(file, str) and not value.get("package") and not (folder / file).is_file():
        yield f"gguf: {file} does not exist beside the .json"


# ----------------------------------------------------------------------------------- recipes
class _RecipeProblems:
    """Finds the problems of a recipe of one of some kinds."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds

    def __call__(self, value: Any, folder: Path) -> list[str]:
        """What is wrong with a recipe; nothing for a file of rows."""
        from montessori.sources.recipe import EvalsRecipe, HubRecipe, LabRecipe

        classes = {"lab": LabRecipe, "hub": HubRecipe, "lab-evals": EvalsRecipe}
        if not isinstance(value, Mapping) or not _is_recipe(value):
            return []
        kind = value.get("kind")
        if kind not in self.kinds:
            return [f"kind: {kind!r} is not one of {', '.join(self.kinds)}"]
        if kind == "none":
            return [f"{key}: unknown key (known: kind)" for key in value if key != "kind"]
        found = _settings_problems(value, classes[kind])
        return found + ([] if kind == "hub" else _family_problems(value))


def _is_recipe(value: Mapping[str, Any]) -> bool:
    """Whether an object is meant as a recipe, not as a row or as something that holds rows."""
    return not {"kind", "dataset", "weights", "bucket"}.isdisjoint(value)


def _family_problems(recipe: Mapping[str, Any]) -> list[str]:
    """Families of a recipe that the lab does not have."""
    from montessori.sources.drawn import find_unknown_families

    weights = recipe.get("weights")
    if not isinstance(weights, Mapping):
        return []
    problems = []
    for name, value in weights.items():
        nested = isinstance(value, Mapping)
        try:
            unknown = find_unknown_families(value if nested else [name])
        except MontessoriError as error:  # without the lab's folder
            return [error.what]
        place = f"weights.{name}." if nested else "weights."
        problems += [f"{place}{family}: {problem}" for family, problem in unknown.items()]
    return problems


# ---------------------------------------------------------------------------- judges and tasks
def _judge_problems(value: Any, folder: Path) -> list[str]:
    if value == {"kind": "grader"}:
        return []
    return [
        'is no judge; expected {"kind": "grader"}, or data/models/NAME in params.yaml with a row '
        "of models for the judging model"
    ]


def _task_problems(value: Any, folder: Path) -> list[str]:
    from montessori.arte.sources import LabTasks

    if isinstance(value, Mapping) and "kind" in value:
        if value["kind"] != "lab-tasks":
            return [f"kind: {value['kind']!r} is not lab-tasks"]
        return _settings_problems(value, LabTasks)
    return []
