"""Measure influence on several models and reference sets; write the table of the docs.

python tools/influence_table.py NAME=MODEL,PROBES.jsonl,REFERENCES.jsonl ... [--json FOLDER]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCS = Path("docs/results/speed.md")
BEGIN, END = "<!-- bench:begin -->\n", "<!-- bench:end -->\n"
REFERENCES = (1, 32, 256)
HEAD = (
    "| model | tokens a probe | references | estimate, probes/s | of bare passes | published, s "
    "| ratio | Spearman | equal signs |\n|---|---|---|---|---|---|---|---|---|\n"
)


def measure(model: str, probes: str, references: str, count: int, out: Path) -> dict[str, Any]:
    """Figures of one run of `montessori bench influence` against the oracle and the published."""
    command = [
        sys.executable, "-m", "montessori.cli", "bench", "influence", model,
        "--probes", probes, "--references", references, "--reference-rows", str(count),
        "--rows", "64", "--audit-rows", "64", "--published-rows", "8",
        "--against", "oracle", "--against", "published", "--json", str(out),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    figures: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return figures


def line(name: str, figures: dict[str, Any]) -> str:
    """A row of the table."""
    cells = [
        name,
        f"{figures['tokens_per_probe']:.0f}",
        f"{figures['references']}",
        f"{figures['probes_per_second']:.1f}",
        f"{figures['of_floor']:.2f}",
        f"{figures['published_seconds_per_probe']:.2f} ({figures['published_precision']})",
        f"{figures['ratio']:.0f}",
        f"{figures['spearman']:.4f}",
        f"{figures['sign_agreement']:.0%}",
    ]
    return "| " + " | ".join(cells) + " |\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL,PROBES,REFERENCES")
    parser.add_argument("--json", type=Path, default=Path(".work/bench"), metavar="FOLDER")
    options = parser.parse_args()
    options.json.mkdir(parents=True, exist_ok=True)
    table = HEAD
    for entry in options.models:
        name, _, files = entry.partition("=")
        model, probes, references = files.split(",")
        for count in REFERENCES:
            out = options.json / f"{name}-{count}.json"
            table += line(name, measure(model, probes, references, count, out))
    print(table)
    text = DOCS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    DOCS.write_text(before + BEGIN + table + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
