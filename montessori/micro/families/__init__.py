"""All task families of the lab."""

from __future__ import annotations

from montessori.micro.families.arithmetic import ARITHMETIC
from montessori.micro.families.choice import CHOICE
from montessori.micro.families.comparison import COMPARISON
from montessori.micro.families.dialogue import DIALOGUE
from montessori.micro.families.knowledge import KNOWLEDGE
from montessori.micro.families.ordering import ORDERING
from montessori.micro.families.sequences import SEQUENCES
from montessori.micro.families.strings import STRINGS
from montessori.micro.families.units import UNITS
from montessori.micro.families.word_problems import WORD_PROBLEMS
from montessori.micro.task import Family

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
