"""The proof over seeds: the pipeline as DVC experiments, and what they say together."""

from __future__ import annotations

from pathlib import Path


def command(
    seeds: str = "0-4",
    profile: str = "controls",
    students: str = "student,student-2",
    jobs: int = 2,
    root: Path = Path("."),
    pages: bool = False,
) -> list[Path]:
    """Run every (student, seed) that is not complete yet, then write the proof.

    Returns the files written: the summary in metrics/proof, the picture, the pages with places.

    `seeds` is a list such as `0-4` or `0,2,7-9`; `students` names rows of `models` in
    params.yaml, the first one gets the rows of profiles/<profile>.yaml; `jobs` experiments run
    at once. What is complete stays complete: the same command continues a stopped proof. With
    `pages` nothing is run: the pages are written from the records that are there, and say which of
    these were recorded by older code.

    Raises:
        MontessoriError: bad options, no git commit, or experiments that failed (after the others
            have been run and written).
    """
    from montessori.proof.pages import write_pages
    from montessori.proof.session import prove

    if pages:
        return write_pages(Path(root))
    names = [name.strip() for name in students.split(",") if name.strip()]
    return prove(Path(root), profile, seeds, names, jobs)


main = command
