"""When a teacher writes nothing of use: fragments, or the same thing again and again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from montessori.errors import MontessoriError
from montessori.filters.words import CHARACTER, PER_WORD, compile_pattern, is_character
from montessori.formats.formats import FORMATS, Format
from montessori.writing.causes import DUPLICATE, INVALID, find_causes, show_text
from montessori.writing.settings import CollapseParams

#: Samples from which on a stage that still writes looks for a collapse.
EARLY = 200
#: Texts that an error shows.
SHOWN = 3
#: Words by which kept rows are told to begin alike.
FIRST_WORDS = 3


@dataclass
class Tally:
    """Counts over the samples written so far; `form` is what they were asked for in.

    `unbegun` counts samples that were cut off before they came to the format; `texts` are the first
    raw texts of each reason for dropping.
    """

    form: Format = FORMATS["tags"]
    samples: int = 0
    kept: int = 0
    malformed: int = 0
    unbegun: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    openings: Counter[str] = field(default_factory=Counter)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def add_samples(
        self, raws: Sequence[str], dropped: Sequence[str | None], kept: Sequence[str]
    ) -> None:
        """Count samples: raw texts, why each was dropped, instructions of the kept ones."""
        self.samples += len(raws)
        self.kept += len(kept)
        self.openings.update(first_words(text) for text in kept)
        for raw, reason in zip(raws, dropped, strict=True):
            self.malformed += not self.form.is_well_formed(raw)
            if reason is not None:
                self.dropped[reason] += 1
                self.unbegun += reason == "endless" and not self.form.has_begun(raw)
                shown = self.texts.setdefault(reason, [])
                if len(shown) < SHOWN:
                    shown.append(raw)

    def compute_shares(self) -> dict[str, float]:
        """Shares in [0, 1]: `invalid`, `duplicate`, `off_format` of the samples; `largest_family`,
        the kept rows that begin with the most frequent three words (first_words)."""
        samples = max(1, self.samples)
        return {
            "invalid": sum(self.dropped[reason] for reason in INVALID) / samples,
            "duplicate": sum(self.dropped[reason] for reason in DUPLICATE) / samples,
            "off_format": self.malformed / samples,
            "largest_family": max(self.openings.values(), default=0) / max(1, self.kept),
        }

    def show_texts(self) -> str:
        """Three raw texts for an error, of the reasons that drop most."""
        texts: list[str] = []
        for reason, _ in self.dropped.most_common():
            texts += self.texts[reason]
        return ", ".join(show_text(text) for text in texts[:SHOWN]) or "none"


def first_words(text: str) -> str:
    """The first three words of an instruction, in lower case.

    In scripts without blanks between words two characters count as a word.
    """
    words = " ".join(text.lower().split()[:FIRST_WORDS])
    if words.isascii():
        return words
    counted = 0
    for unit in compile_pattern(rf"{CHARACTER}\p{{M}}*|(?:(?!{CHARACTER})\S)+").finditer(words):
        counted += 1 if is_character(unit[0][0]) else PER_WORD
        if counted >= FIRST_WORDS * PER_WORD:
            return words[: unit.end()]
    return words


def list_reasons(dropped: Counter[str]) -> str:
    """The four most frequent reasons for dropping a sample, with their counts, for an error."""
    return ", ".join(f"{reason} {count}" for reason, count in dropped.most_common(4)) or "none"


def require_no_collapse(tally: Tally, limits: CollapseParams, teacher: str, tuned: bool) -> None:
    """Raise MontessoriError when a share is above its limit; all such shares in one error.

    `tuned` says that the teacher was tuned here: only such a teacher can have collapsed.
    """
    shares = tally.compute_shares()
    exceeded = []
    for name, limit in asdict(limits).items():
        if shares[name] > limit:
            exceeded.append(f"{name} {shares[name]:.2f} (limit {limit:g})")
    if exceeded:
        what = "the teacher has collapsed" if tuned else "the teacher writes too little of use"
        alike = shares["largest_family"] > limits.largest_family
        raise writing_error(f"{what}: {', '.join(exceeded)}", tally, teacher, tuned, alike)


def require_something(tally: Tally, teacher: str, tuned: bool) -> None:
    """Raise MontessoriError when samples were written and none was kept."""
    if tally.samples and not tally.kept:
        raise writing_error("nothing that the teacher wrote is kept", tally, teacher, tuned)


def writing_error(
    what: str, tally: Tally, teacher: str, tuned: bool, alike: bool = False
) -> MontessoriError:
    """The error for a teacher of whose samples too few are kept.

    It names the likely cause, shows three of the texts, and says what to do for each cause. With
    `alike` the kept rows with the most frequent opening count as repetitions too.
    """
    reasons = tally.dropped.copy()
    if alike:
        reasons["duplicate"] += max(tally.openings.values())
    causes = find_causes(reasons, tally.unbegun, tally.form.name, tuned)
    likely = causes[0]
    families = "; ".join(f"{text!r} {n}" for text, n in tally.openings.most_common(3)) or "none"
    return MontessoriError(
        f"{what}; likely cause: {likely.name} ({likely.samples} of {tally.samples} samples)",
        where=f"{teacher}, instruction.format {tally.form.name}, {tally.samples} samples, "
        f"{tally.kept} kept; dropped: {list_reasons(tally.dropped)}; "
        f"texts: {tally.show_texts()}; most frequent openings: {families}",
        expected="texts in the format, within the limits of section collapse in params.yaml",
        next="; ".join(f"{cause.name}: {cause.step}" for cause in causes[:3])
        + "; then `dvc repro`",
    )
