"""Checks tiny random models of many architectures, and writes what was found for the docs.

Run `make zoo` (half an hour on two cores), or `python tools/zoo.py NAME ...` for some of them.
The record is docs/reference/architectures.json; `tools/pages.py` makes its page.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALONE = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def main(names: list[str]) -> None:
    """Check the architectures `names`, or all; the record is written after each of them."""
    os.environ |= ALONE
    sys.path.insert(0, str(ROOT))
    from tests.zoo.models import ARCHITECTURES
    from tests.zoo.record import check_architecture, write_record

    for name in names or ARCHITECTURES:
        start = time.monotonic()
        found = check_architecture(name)
        write_record({name: found})
        print(f"{name}, {time.monotonic() - start:.0f} s", flush=True)
        for column, (result, words) in found["checks"].items():
            if result != "pass":
                print(f"  {column}: {result}: {words[:160]}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
