"""Writes the tables of what was measured on a GPU into docs/results/speed.md.

Run `python tools/gpu_table.py`; it reads docs/results/gpu/*.json, which tools/gpu_check.sh writes.
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs/results/gpu"
PAGE = ROOT / "docs/results/speed.md"
BEGIN, END = "<!-- gpu:begin -->\n", "<!-- gpu:end -->\n"
NOTHING = "**Not measured yet**: no GPU was at hand.\n"
INFLUENCE = (
    "| part | device | parameters | probes/s | tokens/s | of bare passes | of the matrix rate "
    "| peak, times the weights |\n|---|---|---|---|---|---|---|---|\n"
)
TRAINING = (
    "| part | device | parameters | step | seconds | tokens/s | peak, times the weights |\n"
    "|---|---|---|---|---|---|---|\n"
)


def influence_line(name: str, found: dict[str, Any]) -> str:
    """A row of the first table."""
    return (
        f"| {name} | {found['device']} | {found['parameters']:,} "
        f"| {found['probes_per_second']:.2f} | {found['tokens_per_second']:,.0f} "
        f"| {found['of_floor']:.2f} | {found['of_matrix_rate']:.0%} "
        f"| {found['peak_memory_of_weights']:.1f} |\n"
    )


def training_lines(name: str, found: dict[str, Any]) -> str:
    """Rows of the second table: one for each kind of training."""
    lines = []
    for kind in ("sft", "sft-lora", "dpo"):
        if kind in found:
            step = found[kind]
            lines.append(
                f"| {name} | {found['device']} | {found['parameters']:,} | {kind} "
                f"| {step['seconds_per_step']:.3f} | {step['tokens_per_second']:,.0f} "
                f"| {step['peak_memory_of_weights']:.1f} |\n"
            )
    return "".join(lines)


def tables(folder: Path) -> str:
    """The tables of all figures in a folder."""
    figures = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    scored = [name for name in figures if name.startswith("influence")]
    trained = [name for name in figures if name.startswith("train")]
    if not scored and not trained:
        return NOTHING
    text = INFLUENCE + "".join(influence_line(name, figures[name]) for name in scored)
    return text + "\n" + TRAINING + "".join(training_lines(n, figures[n]) for n in trained)


def main() -> None:
    """Write the tables between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + tables(FIGURES) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
