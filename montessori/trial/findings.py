"""What a trial finds: a verdict on one subject, what was seen, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from montessori.errors import MontessoriError

Verdict = Literal["ok", "note", "problem"]
SHOWN = 160  # characters of a model's text


@dataclass(frozen=True)
class Finding:
    """One result: `lines` are shown below it, `next` says what to do."""

    subject: str
    verdict: Verdict
    text: str
    next: str = ""
    lines: tuple[str, ...] = ()


def format_finding(finding: Finding) -> str:
    """The finding as text: verdict and subject, what was found, its lines, and the next step."""
    head = f"{finding.verdict:<7}  {finding.subject:<9}  {finding.text}"
    indent = " " * 20
    lines = [head.replace("\n", f"\n{indent}")]
    lines += [f"{indent}{line}" for line in finding.lines]
    if finding.next:
        lines.append(f"{indent}next: {finding.next}")
    return "\n".join(lines)


def from_error(subject: str, error: Exception) -> Finding:
    """What a question that could not be asked to its end says of the model."""
    if isinstance(error, MontessoriError):
        where = (f"where: {error.where}",) if error.where else ()
        expected = (f"expected: {error.expected}",) if error.expected else ()
        return Finding(subject, "problem", error.what, error.next, where + expected)
    causes = [error, *_causes(error)]
    texts = [f"{type(cause).__name__}: {_first_line(cause)}" for cause in causes]
    return Finding(
        subject,
        "problem",
        f"the question ends in an error: {texts[0]}",
        "the stages would end in this error too: try another model, a newer transformers, or "
        "report it with the model's config.json",
        tuple(f"caused by {text}" for text in texts[1:]),
    )


def show_text(text: str, most: int = SHOWN) -> str:
    """A model's text on one line, escaped, and cut in the middle if it is long."""
    shown = repr(text)[1:-1]
    if len(shown) > most:
        shown = f"{shown[: most // 2]} [...] {shown[-most // 4 :]}"
    return f'"{shown}"'


def has_problems(findings: Sequence[Finding]) -> bool:
    """Whether any finding is a problem."""
    return any(finding.verdict == "problem" for finding in findings)


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(found) < 3:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no text")
