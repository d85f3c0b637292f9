"""When a teacher has collapsed: it writes fragments, or the same thing again and again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from montessori.errors import MontessoriError
from montessori.writing.prompts import is_well_formed
from montessori.writing.settings import CollapseParams

#: Reasons that make a sample invalid: nothing usable came back.
INVALID = frozenset(
    {"no tags", "empty", "endless", "special token"}
    | {"response empty", "response endless", "response special token"}
)
DUPLICATE = frozenset({"duplicate", "near-duplicate"})
#: Samples from which on a stage that still writes looks for a collapse.
EARLY = 200


@dataclass
class Tally:
    """Counts over the samples written so far."""

    samples: int = 0
    kept: int = 0
    malformed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    openings: Counter[str] = field(default_factory=Counter)

    def add_samples(
        self, raws: Sequence[str], dropped: Sequence[str | None], kept: Sequence[str]
    ) -> None:
        """Count samples: raw texts, why each was dropped, instructions of the kept ones."""
        self.samples += len(raws)
        self.malformed += sum(not is_well_formed(raw) for raw in raws)
        self.dropped.update(reason for reason in dropped if reason is not None)
        self.kept += len(kept)
        self.openings.update(first_words(text) for text in kept)

    def compute_shares(self) -> dict[str, float]:
        """Shares in [0, 1]: `invalid`, `duplicate`, `off_format` of the samples; `largest_family`,
        the kept rows that begin with the most frequent three words."""
        samples = max(1, self.samples)
        return {
            "invalid": sum(self.dropped[reason] for reason in INVALID) / samples,
            "duplicate": sum(self.dropped[reason] for reason in DUPLICATE) / samples,
            "off_format": self.malformed / samples,
            "largest_family": max(self.openings.values(), default=0) / max(1, self.kept),
        }


def first_words(text: str) -> str:
    """The first three words of an instruction, in lower case."""
    return " ".join(text.lower().split()[:3])


def list_reasons(dropped: Counter[str]) -> str:
    """The four most frequent reasons for dropping a sample, with their counts, for an error."""
    return ", ".join(f"{reason} {count}" for reason, count in dropped.most_common(4)) or "none"


def require_no_collapse(tally: Tally, limits: CollapseParams, teacher: str) -> None:
    """Raise MontessoriError when a share is above its limit; all such shares in one error."""
    shares = tally.compute_shares()
    exceeded = []
    for name, limit in asdict(limits).items():
        if shares[name] > limit:
            exceeded.append(f"{name} {shares[name]:.2f} (limit {limit:g})")
    if not exceeded:
        return
    frequent = "; ".join(f"{text!r} {n}" for text, n in tally.openings.most_common(3)) or "none"
    raise MontessoriError(
        f"the teacher has collapsed: {', '.join(exceeded)}",
        where=f"{teacher}, {tally.samples} samples, {tally.kept} kept; "
        f"dropped: {list_reasons(tally.dropped)}; most frequent openings: {frequent}",
        expected="shares within the limits of section collapse in params.yaml",
        next="lower teacher_dpo.learning_rate or teacher_dpo.epochs, then run `dvc repro`",
    )
