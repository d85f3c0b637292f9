"""The record of the zoo: what became of each check of each architecture, as JSON for a page."""

import json
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError
from tests.zoo import checks, training
from tests.zoo.models import ARCHITECTURES, build_config, save_architecture

RECORD = Path(__file__).parents[2] / "docs" / "reference" / "architectures.json"
#: By the name of a column: what is asked of every architecture.
CHECKS: dict[str, Callable[[Path], str]] = {
    "template": checks.check_template,
    "text": checks.check_text,
    "choices": checks.check_choices,
    "save": checks.check_save,
    "influence": training.check_influence,
    "influence, LoRA": training.check_influence_lora,
    "warm-up": training.check_warmup,
    "SFT": training.check_sft,
    "DPO": training.check_dpo,
}
PACKAGES = ("torch", "transformers", "trl", "peft")


def run_check(check: Callable[[Path], str], folder: Path) -> list[str]:
    """What became of a check (pass, falls back, refused or fails), and in which words."""
    try:
        words = check(folder)
    except MontessoriError as error:
        return ["refused", error.what]
    except Exception as error:  # noqa: BLE001 (of libraries too: it is what is asked about)
        lines = str(error).strip().splitlines() or [""]
        return ["fails", f"{type(error).__name__}: {lines[0]}"]
    return ["falls back", words] if words else ["pass", ""]


def check_architecture(name: str) -> dict[str, Any]:
    """The class of an architecture, and for each of `CHECKS` its result and words."""
    with tempfile.TemporaryDirectory() as spare:
        folder = save_architecture(name, Path(spare))
        results = {column: run_check(check, folder) for column, check in CHECKS.items()}
    return {"model_type": build_config(name).model_type, "checks": results}


def read_record() -> dict[str, Any]:
    """The record as it is on disk."""
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def write_record(found: dict[str, Any]) -> None:
    """Put what was found of some architectures into the record, beside the packages' versions."""
    kept = read_record()["architectures"] if RECORD.is_file() else {}
    together = {name: (kept | found)[name] for name in ARCHITECTURES if name in kept | found}
    versions = {name: metadata.version(name).partition("+")[0] for name in PACKAGES}
    record = {"versions": versions, "architectures": together}
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
