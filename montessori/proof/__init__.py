"""The proof over seeds: the pipeline as DVC experiments, and what they say together."""

from pathlib import Path


def run_proof(
    seeds: str = "0-4",
    profile: str = "controls",
    students: str = "student,student-2",
    jobs: int = 2,
    root: Path = Path("."),
    pages: bool = False,
) -> list[Path]:
    """Run each student and seed that has no complete record, then write the proof.

    seeds: such as `0-4` or `0,2,7-9`. students: names of rows of `models` in params.yaml; the first
    one gets the rows of profiles/<profile>.yaml. jobs: experiments that run at once. pages: run
    nothing, and write the pages from the existing records; they mark figures of older code.

    A stopped proof continues with the same command, because complete records are kept. Returns the
    files written: summaries in metrics/proof, pictures, and pages with marked places.

    Raises:
        MontessoriError: bad options, no git commit, or failed experiments (raised only after the
            others have finished and the proof is written).
    """
    from montessori.proof.pages import write_pages
    from montessori.proof.session import complete_proof

    if pages:
        return write_pages(Path(root))
    names = [name.strip() for name in students.split(",") if name.strip()]
    return complete_proof(Path(root), profile, seeds, names, jobs)
