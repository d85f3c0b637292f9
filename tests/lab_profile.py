"""Writes profiles/lab.yaml from params.yaml: `python -m tests.lab_profile` after tuning."""

from pathlib import Path

HEADER = """\
# The lab on two CPU cores: the values of params.yaml as it ships, without seed and machine.
# `montessori profile lab` brings them back; made by `python -m tests.lab_profile`.
"""


def profile_text(params: str) -> str:
    """The lines of params.yaml from the first row section up to the machine's, under HEADER."""
    lines = params.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("# ------"))
    end = max(i for i, line in enumerate(lines) if line.startswith("# ------"))
    return HEADER + "\n" + "\n".join(lines[start:end]).rstrip() + "\n"


if __name__ == "__main__":
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("profiles/lab.yaml").write_text(profile_text(text), encoding="utf-8")
