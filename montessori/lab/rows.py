"""What the lab's grader says of written rows; rows from elsewhere are simply not recognised."""

from collections.abc import Sequence


def task_of(turns: Sequence[str]) -> tuple[str, str] | None:
    """(skill, content key) of the lab task behind user turns, or None."""
    from montessori.lab.families import FAMILIES
    from montessori.lab.grader import recognise

    task = recognise(turns)
    return None if task is None else (FAMILIES[task.family].subject, task.key)


def graded(turns: Sequence[str], responses: Sequence[str]) -> bool | None:
    """Whether all responses are right; None when the task is not one of the lab's."""
    from montessori.lab.grader import grade, recognise

    task = recognise(turns)
    return None if task is None else all(grade(task, responses).correct)
