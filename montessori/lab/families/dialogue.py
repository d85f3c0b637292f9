"""Two turns, the second of which builds on the first answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from montessori.lab.families.arithmetic import ARITHMETIC
from montessori.lab.families.ordering import ORDERING
from montessori.lab.families.word_problems import WORD_PROBLEMS
from montessori.lab.phrasing import Phrasing, PhrasingIndex, Slots, join_items, make_phrasings
from montessori.lab.task import (
    Family,
    FamilyIndex,
    PhrasedFamily,
    Recognised,
    Solution,
    Task,
    Turn,
    short_solution,
    worked_solution,
)

_TRIES = 100  # first turns drawn until the second makes sense


@dataclass(frozen=True)
class FollowUp:
    """A second instruction; `solve` takes the first answer and the slots."""

    name: str
    phrasings: tuple[Phrasing, ...]
    solve: Callable[..., Solution | None]
    draw_slots: Callable[[Random], Slots] = lambda rng: {}


@dataclass(frozen=True, kw_only=True)
class DialogueFamily(Family):
    """A task of one of the `first` families, then one of the `follow_ups`."""

    first: tuple[PhrasedFamily, ...]
    follow_ups: tuple[FollowUp, ...]

    def make_task(self, rng: Random) -> Task:
        """Return a random task; ValueError where none is found in `_TRIES` draws."""
        for _ in range(_TRIES):
            opening = rng.choice(self.first).make_task(rng)
            follow_up = rng.choice(self.follow_ups)
            slots = follow_up.draw_slots(rng)
            text = rng.choice(follow_up.phrasings).render(slots)
            task = self._task(opening, follow_up, text, slots)
            if task is not None:
                return task
        raise ValueError(f"family {self.name}: no second turn made sense in {_TRIES} draws")

    def recognise_task(self, turns: Sequence[str]) -> Recognised:
        """Return the task behind the turns, or None."""
        if len(turns) != 2:
            return None
        opening = self._openings.recognise_task(turns[0])
        if opening is None:
            return None
        text = turns[1].strip()
        for follow_up, slots in self._endings.matches(text):
            task = self._task(opening, follow_up, text, slots)
            if task is not None:
                return task
        return None

    @cached_property
    def _openings(self) -> FamilyIndex:
        return FamilyIndex(self.first)

    @cached_property
    def _endings(self) -> PhrasingIndex[FollowUp]:
        entries: list[tuple[Phrasing, FollowUp]] = []
        for follow_up in self.follow_ups:
            entries += [(phrasing, follow_up) for phrasing in follow_up.phrasings]
        return PhrasingIndex(entries)

    def _task(self, opening: Task, follow_up: FollowUp, text: str, slots: Slots) -> Recognised:
        solution = follow_up.solve(opening.turns[0].answer, **slots)
        if solution is None:
            return None
        key = "|".join([self.name, opening.key, follow_up.name, *map(str, solution.content)])
        turn = Turn(text, solution.response, solution.answer)
        return Task(self.name, key, (*opening.turns, turn), subject=self.subject)


def _draw_change(rng: Random) -> Slots:
    return {"c": rng.randint(2, 30)}


def _solve_add(before: str, c: int) -> Solution | None:
    return short_solution(int(before) + c, c)


def _solve_take(before: str, c: int) -> Solution | None:
    return short_solution(int(before) - c, c) if int(before) >= c else None


def _solve_story_add(before: str, c: int) -> Solution | None:
    return worked_solution(int(before), ("+", c), content=(c,))


def _solve_story_take(before: str, c: int) -> Solution | None:
    return worked_solution(int(before), ("-", c), content=(c,))


def _solve_reverse(before: str) -> Solution:
    return short_solution(join_items(reversed(before.split(", "))))


def _solve_first(before: str) -> Solution:
    return short_solution(before.split(", ")[0])


def _solve_last(before: str) -> Solution:
    return short_solution(before.split(", ")[-1])


_CHANGES = (
    FollowUp(
        "add",
        make_phrasings(
            "Now add {c} to that.",
            "And plus {c}?",
            "Add {c} to your answer.",
            "What is {c} more than that?",
        ),
        _solve_add,
        _draw_change,
    ),
    FollowUp(
        "take",
        make_phrasings(
            "Now take {c} away from that.",
            "And minus {c}?",
            "Subtract {c} from your answer.",
            "What is {c} less than that?",
        ),
        _solve_take,
        _draw_change,
    ),
)
_LIST_CHANGES = (
    FollowUp(
        "reverse",
        make_phrasings(
            "Now reverse that list.",
            "Write that the other way round.",
            "Turn your answer around.",
            "Now put them in the opposite order.",
        ),
        _solve_reverse,
    ),
    FollowUp(
        "first",
        make_phrasings(
            "Which comes first?", "What is the first of them?", "Name only the first one."
        ),
        _solve_first,
    ),
    FollowUp(
        "last",
        make_phrasings("Which comes last?", "What is the last of them?", "Name only the last one."),
        _solve_last,
    ),
)
_STORY_CHANGES = (
    FollowUp(
        "take",
        make_phrasings(
            "How many are left if {c} more are given away?",
            "Then {c} get lost. How many are left?",
            "How many remain after {c} are sold?",
            "If {c} are taken away, how many remain?",
        ),
        _solve_story_take,
        _draw_change,
    ),
    FollowUp(
        "add",
        make_phrasings(
            "How many are there if {c} more are added?",
            "Then {c} more are found. How many are there now?",
            "How many would it be with {c} more?",
            "If {c} more come, how many are there?",
        ),
        _solve_story_add,
        _draw_change,
    ),
)


def _dialogue_family(
    subject: str,
    name: str,
    families: Sequence[PhrasedFamily],
    first: str,
    follow_ups: tuple[FollowUp, ...],
) -> DialogueFamily:
    """Return the dialogue family that opens with the families named in `first`."""
    by_name = {family.name: family for family in families}
    chosen = tuple(by_name[each] for each in first.split())
    return DialogueFamily(
        name=name,
        subject=subject,
        kind="dialogue",
        size=sum(family.size for family in chosen),  # one second turn each, at least
        first=chosen,
        follow_ups=follow_ups,
    )


DIALOGUE = (
    _dialogue_family("arithmetic", "dialogue_change", ARITHMETIC, "add subtract", _CHANGES),
    _dialogue_family("ordering", "dialogue_list", ORDERING, "reverse_list", _LIST_CHANGES),
    _dialogue_family(
        "stories",
        "dialogue_story",
        WORD_PROBLEMS,
        "story_add story_subtract story_groups",
        _STORY_CHANGES,
    ),
)
