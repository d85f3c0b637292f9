"""Every problem of params.yaml, found together: rows, references, settings, files."""

import re
from collections.abc import Mapping
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json
from montessori.graph.load import FILE, for_row, problems_error, read_section
from montessori.graph.references import (
    BY_FOLDER,
    FOLDERS,
    LAB,
    SEED_SETS,
    Rows,
    find_circle,
    key_of,
    read_rows,
    references,
)
from montessori.graph.rows import CHANGES, ROWS, Sources
from montessori.models.hosted import HostedModel
from montessori.pipeline.machine import Machine

#: Singular sections: module and class of their settings, beside what reads them.
SETTINGS: Mapping[str, str] = {
    "model": "montessori.models.prepare:ModelParams",
    "generation": "montessori.generate.settings:GenerationParams",
    "instruction": "montessori.writing.settings:InstructionParams",
    "response": "montessori.writing.settings:ResponseParams",
    "filter": "montessori.writing.settings:FilterParams",
    "decontamination": "montessori.filters.settings:DecontaminationParams",
    "collapse": "montessori.writing.settings:CollapseParams",
    "probe": "montessori.writing.settings:ProbeParams",
    "synth": "montessori.writing.settings:SynthParams",
    "adapter": "montessori.models.adapters:AdapterParams",
    "warmup": "montessori.train.settings:WarmupParams",
    "influence": "montessori.signals.influence.settings:InfluenceParams",
    "prefs": "montessori.pairs.within_prompt:PrefsParams",
    "teacher_dpo": "montessori.train.settings:TeacherDpoParams",
    "student_sft": "montessori.train.settings:StudentSftParams",
    "benchmark": "montessori.evals.settings:BenchmarkParams",
    "judge": "montessori.evals.settings:JudgeParams",
    "judge_signal": "montessori.signals.settings:JudgeSignalParams",
    "loss": "montessori.signals.settings:LossParams",
    "uncertainty": "montessori.signals.settings:UncertaintyParams",
    "response_probe": "montessori.writing.settings:ResponseProbeParams",
    "mistakes": "montessori.datasets.mistakes:MistakesParams",
    "select": "montessori.datasets.select:SelectParams",
    "join": "montessori.datasets.join:JoinParams",
    "eval": "montessori.evals.settings:EvalParams",
    "harness": "montessori.evals.public.settings:HarnessParams",
    "compare": "montessori.compare.settings:CompareParams",
    "task": "montessori.arte.settings:TaskParams",
    "elicit": "montessori.arte.settings:ElicitParams",
    "draft": "montessori.arte.settings:DraftParams",
    "examinee": "montessori.signals.icl.settings:ExamineeParams",
    "exam": "montessori.arte.settings:ExamParams",
    "preference": "montessori.arte.settings:PreferenceParams",
    "icl": "montessori.signals.icl.settings:IclParams",
    "align": "montessori.pairs.arte:AlignParams",
    "tailor": "montessori.arte.settings:TailorParams",
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check(raw: Mapping[str, Any], root: Path | None = None, file: str = FILE) -> None:
    """Raise one MontessoriError with every problem of a params mapping, if it has any.

    With `root` the files that params name must exist below it.
    """
    found = problems(raw, root)
    if found:
        raise problems_error(found, file)


def problems(raw: Mapping[str, Any], root: Path | None = None) -> list[str]:
    """Every problem of the rows and settings, each starting with its key."""
    known = {"seed", "sources", "machine", *ROWS, *SETTINGS}
    found = [f"{name}: unknown section" for name in raw if name not in known]
    seed = raw.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool):
        found.append(
            "seed: section is missing" if seed is None else f"seed: {seed!r} is not a whole number"
        )
    rows, of_rows = read_rows(raw)
    sources, of_sources = read_section(raw, "sources", Sources)
    found += of_rows + of_sources + _settings_problems(raw)
    found += _name_problems(rows) + _reference_problems(rows) + _change_problems(raw, rows)
    circle = find_circle(rows)
    if circle:
        found.append(
            f"{key_of(circle[0])}: goes in a circle: {' needs '.join(map(key_of, circle))}"
        )
    if not (of_rows or circle):
        found += _probe_problems(rows) + _draft_problems(rows) + _preference_problems(rows)
    found += _baseline_problem(raw)
    if root is None:
        return found
    return found + _file_problems(raw, rows, sources, root) + _hosted_problems(rows, root)


def _settings_problems(raw: Mapping[str, Any]) -> list[str]:
    found = read_section(raw, "machine", Machine)[1]
    for name, place in SETTINGS.items():
        module, cls = place.split(":")
        found += read_section(raw, name, getattr(import_module(module), cls))[1]
    return found


def _change_problems(raw: Mapping[str, Any], rows: Rows) -> list[str]:
    """Of the settings that rows replace for themselves."""
    found = []
    for section, keys in CHANGES.items():
        for name, row in rows[section].items():
            for key in (key for key in keys if getattr(row, key)):
                place, module = f"{section}.{name}.{key}", SETTINGS[key].split(":")
                settings = for_row(raw, key, section, name).get(key)
                cls = getattr(import_module(module[0]), module[1])
                found += read_section({place: settings}, place, cls)[1]
    return found


#: Pairs of sections whose rows write to the same folder.
SAME_OUT = (
    *combinations(("probes", "probe_files", "response_probes"), 2),
    *combinations(FOLDERS["datasets"], 2),
    ("rounds", "alignments"),
)


def _name_problems(rows: Rows) -> list[str]:
    found = [
        f"{section}.{name}: a name has letters, digits, '-', '_' and '.' only"
        for section, named in rows.items()
        for name in named
        if not _NAME.fullmatch(name)
    ]
    for first, second in SAME_OUT:
        found += [
            f"{second}.{name}: {first} has a row of this name too"
            for name in rows[second]
            if name in rows[first]
        ]
    return found


def _reference_problems(rows: Rows) -> list[str]:
    found = []
    for (section, name), key, text, nodes in references(rows):
        place = f"{section}.{name}.{key}"
        if not nodes:
            forms = ", ".join(_form(folder) for folder in BY_FOLDER[section, key])
            found.append(f"{place}: {text!r} is not one of {forms}")
        elif not any(target in rows[part] for part, target in nodes):
            where = " or ".join(part for part, _ in nodes)
            names = sorted({known for part, _ in nodes for known in rows[part]})
            found.append(
                f"{place}: {text!r} does not exist; {where} has {', '.join(names) or 'no rows'}"
            )
    return found


def _form(folder: str) -> str:
    if folder == LAB:
        return f"{folder}/FILE.json"
    return f"{folder}/{{{','.join(SEED_SETS)}}}" if folder == "seed" else f"{folder}/NAME"


def _probe_problems(rows: Rows) -> list[str]:
    """Scores must be of the row's own probe: the rows of another probe have other ids."""
    found = []
    for section, what in (("rounds", "round"), ("selections", "selection")):
        for name, row in rows[section].items():
            scored = _scored_probe(rows, row.scores)
            if scored is not None and scored != row.probe:
                found.append(
                    f"{section}.{name}.scores: {row.scores} scores the probe {scored}, "
                    f"but the {what}'s probe is {row.probe}"
                )
    return found


def _scored_probe(rows: Rows, scores: str) -> str | None:
    folder, _, name = scores.partition("/")
    for section in FOLDERS.get(folder, ()):
        row = rows[section].get(name)
        if row is not None:
            if section == "shuffles":
                return _scored_probe(rows, row.scores)
            named = getattr(row, "rows", "").removeprefix("probe/")  # other kinds keep their folder
            return getattr(row, "probe", named or None)
    return None


def _draft_problems(rows: Rows) -> list[str]:
    """An alignment pairs the very drafts that its scores are of."""
    found = []
    for name, row in rows["alignments"].items():
        icl = rows["icls"].get(row.scores.removeprefix("icl/"))
        if icl is not None and icl.rows != f"drafts/{row.drafts}":
            found.append(
                f"alignments.{name}.scores: {row.scores} scores {icl.rows}, "
                f"but the alignment's drafts are drafts/{row.drafts}"
            )
    return found


def _preference_problems(rows: Rows) -> list[str]:
    """Without examinees all questions look the same."""
    taken = {row.tasks for row in rows["examinees"].values()}
    return [
        f"preferences.{name}.tasks: no row of examinees takes the tasks {row.tasks!r}; add one, "
        f"such as examinees.mine: {{model: models/student, tasks: {row.tasks}}}"
        for name, row in rows["preferences"].items()
        if row.tasks not in taken
    ]


def _baseline_problem(raw: Mapping[str, Any]) -> list[str]:
    compare, runs = raw.get("compare"), raw.get("runs")
    if not isinstance(compare, Mapping) or not isinstance(runs, Mapping):
        return []
    baseline = compare.get("baseline")
    if baseline is None or baseline in runs:
        return []
    return [f"compare.baseline: {baseline!r} does not exist; runs has {', '.join(runs)}"]


def _file_problems(
    raw: Mapping[str, Any], rows: Rows, sources: Sources | None, root: Path
) -> list[str]:
    named = {f"models.{name}.path": row.path for name, row in rows["models"].items()}
    for name, row in rows["judge_signals"].items():
        if row.judge.startswith(f"{LAB}/"):
            named[f"judge_signals.{name}.judge"] = f"data/{row.judge}"
    for section in ("probe_files", "dataset_files"):
        named |= {f"{section}.{name}.rows": row.rows for name, row in rows[section].items()}
    if sources is not None:
        named |= {f"sources.{key}": path for key, path in vars(sources).items()}
    named |= {f"tasks.{name}.source": row.source for name, row in rows["tasks"].items()}
    for section, key in (
        ("model", "fallback_template"),
        ("instruction", "template"),
        ("judge_signal", "template"),
        ("elicit", "templates"),
        ("icl", "templates"),
    ):
        value = raw.get(section)
        if isinstance(value, Mapping) and isinstance(value.get(key), str):
            named[f"{section}.{key}"] = value[key]
    judge = raw.get("judge")
    if isinstance(judge, Mapping):
        named |= {f"judge.{key}": str(judge[key]) for key in ("model", "prompts") if key in judge}
    return [
        f"{key}: {path} does not exist"
        for key, path in named.items()
        if not ((root / path).exists() or _is_made(path, rows))
    ]


def _is_made(path: str, rows: Rows) -> bool:
    """Whether a path is a base model that the stage models makes."""
    return Path(path).parent == Path("data/models") and Path(path).name in rows["models"]


def _hosted_problems(rows: Rows, root: Path) -> list[str]:
    """A model that only a server has writes data; it has no weights to train or to evaluate."""
    found, hosted = [], set()
    for name, row in rows["models"].items():
        path = root / row.path
        described = read_json(path) if path.suffix == ".json" and path.is_file() else {}
        if isinstance(described, Mapping) and "server" in described:
            hosted.add(("models", name))
            problems = read_section({name: described}, name, HostedModel)[1]
            found += [f"models.{problem} (in {row.path})" for problem in problems]
    for node, key, text, nodes in references(rows):
        if key not in ("teacher", "judge") and hosted & set(nodes):
            found.append(f"{key_of(node)}.{key}: {text!r} is hosted; only a teacher or a judge can")
    return found
