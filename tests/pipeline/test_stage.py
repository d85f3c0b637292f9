"""How a stage script runs: params, errors, signals, times, start-up.

What would break: a stage reads another section than its own, a problem shows as a traceback, or
every start costs seconds more.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from montessori.pipeline import runtime
from montessori.pipeline.startup import OLDEST, WAITING, set_environment

ROOT = Path(__file__).parents[2]
SCRIPT = '''
from dataclasses import dataclass
from montessori.pipeline.stage import Job, run


@dataclass(frozen=True)
class Toy:
    rate: float


def main(job: Job) -> None:
    """A toy."""
    {body}


if __name__ == "__main__":
    run(main, "rows", "out-here", "metrics")
'''
OPTIONS = ["--name", "mine", "--rows", "in", "--out-here", "out", "--metrics", "m/mine.json"]


def start(
    folder: Path, body: str, options: list[str] = OPTIONS, isolated: bool = False
) -> subprocess.Popen[str]:
    script = folder / "toy_stage.py"
    script.write_text(SCRIPT.format(body=body))
    if not (folder / "params.yaml").exists():
        (folder / "params.yaml").write_text("seed: 7\ntoy: {rate: 1}\nmachine: {threads: 1}\n")
    command = [sys.executable, *(["-S"] if isolated else []), str(script), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_a_stage_gets_its_paths_params_and_seed(tmp_path: Path):
    body = """job.metrics({"name": job.name, "kind": job.kind, "rows": str(job.paths.rows),
        "out": str(job.paths.out_here), "seed": job.seed, "work": str(job.work),
        "rate": job.section("toy", Toy).rate, "threads": job.machine.threads})"""
    assert finish(start(tmp_path, body)) == (0, "")
    assert json.loads((tmp_path / "m/mine.json").read_text()) == {
        "name": "mine",
        "kind": "toy-stage",
        "rows": "in",
        "out": "out",
        "seed": 7,
        "work": ".work/toy-stage",
        "rate": 1.0,
        "threads": 1,
    }
    runtime = json.loads((tmp_path / "metrics/runtime/toy-stage/mine.json").read_text())
    facts = {"seconds", "device_seconds", "starts", "peak_memory_mib", "host", "date"}
    assert set(runtime) == facts
    assert (runtime["starts"], runtime["device_seconds"]) == (1, 0.0)
    assert 5 < runtime["peak_memory_mib"] < 1000


def test_a_problem_is_shown_without_a_traceback(tmp_path: Path):
    (tmp_path / "params.yaml").write_text("seed: 7\ntoy: {rte: 1}\n")
    code, errors = finish(start(tmp_path, 'job.section("toy", Toy)'))
    assert code == 2
    assert "Traceback" not in errors
    assert "toy.rte: unknown key (did you mean rate?)" in errors
    assert "toy.rate: key is missing" in errors
    assert not (tmp_path / "metrics").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("seed: x\n", "seed: 'x' is not"), ("{}\n", "seed: None is not"), ("seed: [\n", "YAML")],
)
def test_a_bad_seed_is_an_error(tmp_path: Path, text: str, expected: str):
    (tmp_path / "params.yaml").write_text(text)
    code, errors = finish(start(tmp_path, "job.seed"))
    assert code == 2
    assert expected in errors


def test_a_missing_library_is_one_line(tmp_path: Path):
    code, errors = finish(start(tmp_path, "import polras"))
    assert code == 2
    assert errors.count("\n") == 1
    assert "'polras' not found; run `make repro`" in errors


def test_outside_the_environment_it_says_so_in_one_line(tmp_path: Path):
    code, errors = finish(start(tmp_path, "job.seed", isolated=True))
    assert code == 2
    assert errors.count("\n") == 1
    assert "ruamel" in errors
    assert "make repro" in errors


def test_a_missing_module_of_the_project_is_a_bug_and_shows(tmp_path: Path):
    code, errors = finish(start(tmp_path, "import montessori.nowhere"))
    assert code == 1
    assert "Traceback" in errors


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('import errno; raise OSError(errno.ENOSPC, "No space left on device")', "no space left"),
        ('raise ValueError("io error: No space left (os error 28)")', "no space left"),
        ('open(".").read()', ". is a folder, where a file is expected"),
        (
            'import polars; polars.DataFrame({"a": [1]}).write_parquet("toy_stage.py/x")',
            "Not a dir",
        ),
    ],
)
def test_what_the_system_refuses_is_one_error(tmp_path: Path, body: str, expected: str):
    code, errors = finish(start(tmp_path, body))
    assert code == 2
    assert errors.startswith("toy-stage mine: ")
    assert expected in errors
    assert "next: " in errors
    assert "Traceback" not in errors


def test_what_a_killed_start_left_is_swept(tmp_path: Path):
    gone, alive = "4194400", str(os.getpid())  # no system has a process of the first number
    for process in (gone, alive):
        (tmp_path / f".in.{process}.partial").write_text("half")
    (tmp_path / f".out.{gone}.partial").mkdir()
    assert finish(start(tmp_path, "pass")) == (0, "")
    assert [path.name for path in tmp_path.glob(".*.partial")] == [f".in.{alive}.partial"]


def test_two_processes_of_a_stage_do_not_run_at_once(tmp_path: Path):
    """The second one is told which is the first; when that has ended, all is as before."""
    body = """
    import pathlib, time
    pathlib.Path("running").touch()
    time.sleep(60)"""
    first = start(tmp_path, body)
    while not (tmp_path / "running").exists():
        time.sleep(0.02)
    status, errors = finish(start(tmp_path, body))
    assert status == 2
    assert f"toy-stage@mine is already running: process {first.pid}, since 2" in errors
    assert f"kill {first.pid}" in errors
    assert finish(start(tmp_path, "pass", [*OPTIONS[2:], "--name", "other"])) == (0, "")
    first.kill()
    finish(first)
    assert finish(start(tmp_path, "pass")) == (0, "")


def test_a_missing_option_is_named(tmp_path: Path):
    code, errors = finish(start(tmp_path, "pass", OPTIONS[:-2]))
    assert code == 2
    assert "--metrics" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals):
    body = """
    import time
    from montessori.artifacts.files import new_folder
    with new_folder(job.paths.out_here, {}) as folder:
        (folder / "x").write_text("x")
        time.sleep(60)"""
    process = start(tmp_path, body)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".out.*.partial/x")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    code, errors = finish(process)
    assert code == 128 + number
    assert "Traceback" not in errors
    assert sorted(p.name for p in tmp_path.iterdir() if "out" in p.name) == []


def test_starts_that_were_cut_off_and_shards_count(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runtime.keep_unfinished("influence", "a", 3.0, 1)
    runtime.keep_unfinished("influence", "a", 4.0, 2)
    runtime.keep_unfinished("influence", "b", 50.0, 0)
    runtime.record_run("influence", "a", 1.5, 1)
    found = json.loads((tmp_path / "metrics/runtime/influence/a.json").read_text())
    assert (found["seconds"], found["device_seconds"], found["starts"]) == (8.5, 12.5, 3)
    runtime.record_run("influence", "a", 2.0, 1)
    again = json.loads((tmp_path / "metrics/runtime/influence/a.json").read_text())
    assert (again["seconds"], again["starts"]) == (2.0, 1)


def test_a_stage_that_is_cut_off_keeps_its_seconds_for_the_next_start(tmp_path: Path):
    wait = "import time; (job.paths.out_here.parent / 'on').touch(); time.sleep(60)"
    process = start(tmp_path, wait)
    deadline = time.monotonic() + 30
    while not (tmp_path / "on").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1.2)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 128 + signal.SIGTERM
    assert not (tmp_path / "metrics").exists()
    assert finish(start(tmp_path, "pass")) == (0, "")
    found = json.loads((tmp_path / "metrics/runtime/toy-stage/mine.json").read_text())
    assert found["starts"] == 2
    assert found["seconds"] > 1
    assert not list((tmp_path / ".work").rglob("*.json"))


def test_trouble_with_the_record_of_time_does_not_hide_what_ended_the_stage(tmp_path: Path):
    body = """
    import errno, time
    from pathlib import Path
    time.sleep(1.1)
    Path(".work/runtime").write_text("in the way")
    raise OSError(errno.ENOSPC, "full")"""
    code, errors = finish(start(tmp_path, body))
    assert code == 2
    assert "Traceback" not in errors
    assert "no space left on the disk" in errors


def test_starting_a_stage_loads_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import montessori.pipeline.stage; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split()) - {"montessori"}
    assert loaded <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "imports",
    [
        "from transformers import AutoModelForCausalLM, LlamaForCausalLM",
        "import trl.trainer.sft_trainer",
        "from montessori.evals.lab_benchmarks.run_lm_eval import HarnessModel",
    ],
)
def test_transformers_brings_neither_scikit_learn_nor_scipy(tmp_path: Path, imports: str):
    body = f"""{imports}
    import sys
    job.metrics({{"loaded": sorted({{"scipy", "sklearn"}} & set(sys.modules))}})"""
    assert finish(start(tmp_path, body)) == (0, "")
    assert json.loads((tmp_path / "m/mine.json").read_text()) == {"loaded": []}


def test_without_the_stage_runner_transformers_brings_both():
    """Else hiding them saves nothing, and pipeline/startup.py should lose that part."""
    code = (
        "import sys; from transformers import AutoModelForCausalLM, LlamaForCausalLM; "
        "print(*sorted({'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["scipy", "sklearn"]


def test_a_stage_itself_may_use_them(tmp_path: Path):
    body = """from transformers import AutoModelForCausalLM
    import scipy.special, sklearn.metrics
    from sklearn.linear_model import LogisticRegression"""
    assert finish(start(tmp_path, body)) == (0, "")
    body = "import scipy, sklearn\n    from transformers import AutoModelForCausalLM"
    assert finish(start(tmp_path, body)) == (0, "")


def test_idle_threads_look_for_work_for_a_moment_and_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    set_environment("synth")
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    assert os.environ["GOMP_SPINCOUNT"] == WAITING["GOMP_SPINCOUNT"]


@pytest.mark.parametrize(("kind", "offline"), [("synth", "1"), ("models", "0"), ("seed", "0")])
def test_only_stages_that_fetch_models_or_data_may_ask_a_hub(monkeypatch, kind: str, offline: str):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "0")
    set_environment(kind)
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_DATASETS_OFFLINE"] == offline


@pytest.mark.parametrize("end", ["", "raise ValueError(1)"])
def test_the_collector_leaves_alone_what_libraries_leave_for_good(tmp_path: Path, end: str):
    body = f"""import atexit, gc
    Job.left = [[] for _ in range(9)]
    note = lambda: open("end", "w").write(str(gc.get_freeze_count() > 9))
    atexit.register(note)
    job.metrics({{"thresholds": gc.get_threshold()}})
    {end}"""
    status, _ = finish(start(tmp_path, body))
    assert status == (1 if end else 0)
    ask = "import gc; print(*gc.get_threshold()[:2])"  # young objects: whatever this Python does
    young = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout
    thresholds = [*map(int, young.split()), OLDEST]
    assert json.loads((tmp_path / "m/mine.json").read_text())["thresholds"] == thresholds
    assert (tmp_path / "end").read_text() == "True"


@pytest.mark.parametrize("by_dvc", [True, False])
@pytest.mark.parametrize("change", ["edited", "gone", ""])
def test_code_that_changed_since_it_was_listed_is_refused_under_dvc(
    tmp_path: Path, monkeypatch, change: str, by_dvc: bool
):
    """Or its output would be recorded as the old code's."""
    code = tmp_path / "montessori" / "core.py"
    code.parent.mkdir()
    code.write_text("old")
    (tmp_path / "data/code").mkdir(parents=True)
    digest = hashlib.sha256(b"old").hexdigest()
    (tmp_path / "data/code/toy-stage").write_text(f"{digest}  montessori/core.py\n")
    if by_dvc:
        monkeypatch.setenv("DVC_STAGE", "toy")
    if change == "edited":
        code.write_text("new")
    elif change == "gone":
        code.unlink()
    status, errors = finish(start(tmp_path, 'job.metrics({"made": 1})'))
    refused = by_dvc and bool(change)
    assert status == (2 if refused else 0)
    assert (tmp_path / "m/mine.json").exists() != refused
    if refused:
        assert "code has changed" in errors
        assert "montessori/core.py" in errors
        assert "next: dvc repro" in errors
