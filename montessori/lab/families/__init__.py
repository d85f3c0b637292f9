"""All task families of the lab."""

from __future__ import annotations

from montessori.lab.families.arithmetic import ARITHMETIC
from montessori.lab.families.choice import CHOICE
from montessori.lab.families.comparison import COMPARISON
from montessori.lab.families.dialogue import DIALOGUE
from montessori.lab.families.knowledge import KNOWLEDGE
from montessori.lab.families.ordering import ORDERING
from montessori.lab.families.sequences import SEQUENCES
from montessori.lab.families.strings import STRINGS
from montessori.lab.families.units import UNITS
from montessori.lab.families.word_problems import WORD_PROBLEMS
from montessori.lab.task import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        *ARITHMETIC,
        *COMPARISON,
        *ORDERING,
        *STRINGS,
        *SEQUENCES,
        *KNOWLEDGE,
        *UNITS,
        *WORD_PROBLEMS,
        *CHOICE,
        *DIALOGUE,
    )
}
