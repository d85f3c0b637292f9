"""A DVC project of the same shape as this one, whose stages take a moment."""

import subprocess
import sys
from pathlib import Path

STAGE = """
import hashlib, json, os, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
kind, name, seed = (options[f"--{option}"] for option in ("kind", "name", "seed"))
out, metrics = options["--out"], options["--metrics"]
deps = [value for option, value in options.items() if option.startswith("--in-")]
with open(os.environ.get("TOY_LOG", os.devnull), "a") as log:
    log.write(f"{kind} {name} {seed} {deps}\\n")
time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
failing = os.environ.get("TOY_FAIL", "")  # a file that names a seed
if kind == "eval" and os.path.exists(failing) and open(failing).read() == seed:
    sys.exit("the toy breaks")
os.makedirs(out, exist_ok=True)
text = kind + name + seed + "".join(open(os.path.join(d, "x")).read() for d in deps)
open(os.path.join(out, "x"), "w").write(hashlib.blake2b(text.encode()).hexdigest())
os.makedirs(os.path.dirname(metrics), exist_ok=True)
bonus = 5.0 if "montessori" in name else 0.0
names = ("micro_alpaca_eval", "micro_mmlu", "micro_gsm8k", "mean")
values = {n: 40.0 + int(seed) + bonus for n in names} | {"micro_mt_bench": 5.0}
json.dump(values if kind == "eval" else {"rows": 7, "valid": 0.5}, open(metrics, "w"))
"""

GRAPH = """
stages:
  models:
    foreach: ${models}
    do:
      cmd: >-
        python -m stages.toy --kind models --name ${key} --seed 0 --out data/models/${key}
        --metrics metrics/models/${key}.json --in-path ${item.path}
      deps:
        - stages/toy.py
        - ${item.path}
      outs:
        - data/models/${key}
      metrics:
        - metrics/models/${key}.json: {cache: false}
  synth:
    foreach: ${datasets}
    do:
      cmd: >-
        python -m stages.toy --kind synth --name ${key} --seed ${seed} --out data/datasets/${key}
        --metrics metrics/synth/${key}.json --in-teacher data/${item.teacher}
      params: [seed]
      deps:
        - stages/toy.py
        - data/${item.teacher}
      outs:
        - data/datasets/${key}
      metrics:
        - metrics/synth/${key}.json: {cache: false}
  student-sft:
    foreach: ${students}
    do:
      cmd: >-
        python -m stages.toy --kind sft --name ${key} --seed ${seed} --out data/students/${key}
        --metrics metrics/student-sft/${key}.json
        --in-dataset data/datasets/${item.dataset} --in-student data/models/${item.student}
      params: [seed]
      deps:
        - stages/toy.py
        - data/datasets/${item.dataset}
        - data/models/${item.student}
      outs:
        - data/students/${key}
      metrics:
        - metrics/student-sft/${key}.json: {cache: false}
  eval:
    foreach: ${runs}
    do:
      cmd: >-
        python -m stages.toy --kind eval --name ${key} --seed ${seed} --out data/verdicts/${key}
        --metrics metrics/eval/${key}.json --in-model data/${item.model}
      params: [seed]
      deps:
        - stages/toy.py
        - data/${item.model}
      outs:
        - data/verdicts/${key}
      metrics:
        - metrics/eval/${key}.json: {cache: false}
"""

PARAMS = """
seed: 0   # a comment
models:
  teacher: {path: data/micro/teacher}
  student: {path: data/micro/a}
  student-2: {path: data/micro/b}
datasets:
  self-instruct: {teacher: models/teacher}
  montessori-1: {teacher: models/teacher}
students:
  self-instruct: {dataset: self-instruct, student: student}
  montessori-1: {dataset: montessori-1, student: student}
runs:
  base: {model: models/student, against: self-instruct}
  self-instruct: {model: students/self-instruct, against: self-instruct}
  montessori-1: {model: students/montessori-1, against: self-instruct}
machine: {threads: 0}
"""

PROFILE = """
datasets:
  placebo: {teacher: models/teacher}
students:
  placebo: {dataset: placebo, student: student}
runs:
  placebo: {model: students/placebo, against: self-instruct}
"""

PAGE = "# Toy\n\nbefore\n\n<!-- proof:begin controls {} -->\n<!-- proof:end -->\n\nafter\n"


def write(root: Path) -> Path:
    """Write the files of the toy project; returns its folder."""
    texts = {
        "stages/toy.py": STAGE,
        "dvc.yaml": GRAPH,
        "params.yaml": PARAMS,
        "profiles/controls.yaml": PROFILE,
        "README.md": PAGE.format("summary"),
        "docs/results/proof.md": PAGE.format("details"),
        ".gitignore": ".work\n",
    }
    texts |= {f"data/micro/{name}/x": name for name in ("teacher", "a", "b")}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def make(root: Path) -> Path:
    """Write the toy project as a DVC repository with one commit; returns its folder."""
    write(root)
    run(root, "git", "init", "-q", ".")
    run(root, sys.executable, "-m", "dvc", "init", "-q")
    run(root, sys.executable, "-m", "dvc", "config", "core.autostage", "true")
    commit(root)
    return root


def commit(root: Path) -> None:
    """Commit everything."""
    run(root, "git", "add", "-A")
    identity = ["-c", "user.name=toy", "-c", "user.email=toy@localhost"]
    run(root, "git", *identity, "commit", "-qm", "toy")


def run(root: Path, *command: str) -> str:
    """The output of a command that must succeed."""
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
