"""When a teacher has collapsed: it writes fragments, or one thing again and again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from montessori.errors import MontessoriError
from montessori.writing.prompts import well_formed
from montessori.writing.settings import CollapseParams

#: Reasons that make a sample invalid: nothing usable came back.
INVALID = frozenset(
    {"no tags", "empty", "endless", "special token"}
    | {"response empty", "response endless", "response special token"}
)
DUPLICATE = frozenset({"duplicate", "near-duplicate"})
#: Samples after which a collapse is looked for while a stage still writes.
EARLY = 200


@dataclass
class Tally:
    """Counts over the samples written so far."""

    samples: int = 0
    kept: int = 0
    malformed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    openings: Counter[str] = field(default_factory=Counter)

    def add(self, raws: Sequence[str], dropped: Sequence[str | None], kept: Sequence[str]) -> None:
        """Count samples: raw texts, why each was dropped, instructions of the kept ones."""
        self.samples += len(raws)
        self.malformed += sum(not well_formed(raw) for raw in raws)
        self.dropped.update(reason for reason in dropped if reason is not None)
        self.kept += len(kept)
        self.openings.update(opening(text) for text in kept)

    def shares(self) -> dict[str, float]:
        """`invalid`, `duplicate` and `off_format` of the samples; `largest_family` of the kept."""
        samples = max(1, self.samples)
        return {
            "invalid": sum(self.dropped[reason] for reason in INVALID) / samples,
            "duplicate": sum(self.dropped[reason] for reason in DUPLICATE) / samples,
            "off_format": self.malformed / samples,
            "largest_family": max(self.openings.values(), default=0) / max(1, self.kept),
        }


def opening(text: str) -> str:
    """The first three words of an instruction, in lower case."""
    return " ".join(text.lower().split()[:3])


def require_sound(tally: Tally, limits: CollapseParams, teacher: str) -> None:
    """Raise MontessoriError when a share is above its limit; all of them in one error."""
    shares = tally.shares()
    passed = {name: limit for name, limit in asdict(limits).items() if shares[name] > limit}
    if not passed:
        return
    found = ", ".join(f"{name} {shares[name]:.2f} (limit {passed[name]:g})" for name in passed)
    reasons = ", ".join(f"{reason} {n}" for reason, n in tally.dropped.most_common(4)) or "none"
    frequent = "; ".join(f"{text!r} {n}" for text, n in tally.openings.most_common(3)) or "none"
    raise MontessoriError(
        f"the teacher has collapsed: {found}",
        where=f"{teacher}, {tally.samples} samples, {tally.kept} kept; dropped: {reasons}; "
        f"most frequent openings: {frequent}",
        expected="shares within the limits of section collapse in params.yaml",
        next="lower teacher_dpo.learning_rate or teacher_dpo.epochs, then run `dvc repro`",
    )
