"""`montessori try`: put a model to the questions of the stages, before hours are spent on it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from montessori.trial.candidate import Role


def try_model(
    source: Path, roles: Sequence["Role"], show: Callable[[str], None], tell: Callable[[str], None]
) -> bool:
    """Ask everything of the model at `source` in some roles; whether there is no problem.

    `source` is a model folder or a .json file, as in section models of params.yaml. `show` is given
    each finding as text, `tell` what is being done. Settings are those of params.yaml in the
    current folder, else defaults. Raises MontessoriError for unusable settings.
    """
    from montessori.train.arguments import silence_libraries
    from montessori.trial.candidate import Candidate, read_settings
    from montessori.trial.findings import Finding, format_finding
    from montessori.trial.questions import ask_questions

    settings = read_settings(Path())
    silence_libraries()
    tell(f"trying {source} as {', '.join(roles)}, with the settings of {settings.file}")
    findings: list[Finding] = []
    with TemporaryDirectory(prefix="montessori-try-", dir=_place_for_work()) as work:
        for finding in ask_questions(Candidate(source, tuple(roles), settings, Path(work)), tell):
            findings.append(finding)
            show(format_finding(finding))
    problems = [finding for finding in findings if finding.verdict == "problem"]
    notes = [finding for finding in findings if finding.verdict == "note"]
    show(f"{len(problems)} problems, {len(notes)} notes")
    return not problems


def read_roles(names: Sequence[str]) -> list["Role"]:
    """The roles of the option --as; all without any. Raises MontessoriError for another name."""
    from montessori.trial.candidate import ROLES

    unknown = [name for name in names if name not in ROLES]
    if unknown:
        raise MontessoriError(
            f"no such role: {', '.join(unknown)}",
            expected=f"one of {', '.join(ROLES)}",
            next="montessori try MODEL --as teacher",
        )
    return [role for role in ROLES if not names or role in names]


def _place_for_work() -> Path | None:
    """The project's folder for unfinished work, where stages work too; None for the system's."""
    place = Path(".work")
    if Path("params.yaml").is_file():
        place.mkdir(exist_ok=True)
        return place
    return None
