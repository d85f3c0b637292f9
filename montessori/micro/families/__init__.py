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

_TAUGHT = """
add subtract multiply multiply_then_add larger smaller reverse_list repeat_word nth_word join_words
next_number count_steps capitals opposites days months animal_young metres dollars dozens
story_add story_subtract story_groups story_gain_loss story_groups_more story_groups_left
story_groups_more_left choice_arithmetic choice_comparison choice_units choice_stories
dialogue_change dialogue_list dialogue_story
""".split()

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
    if family.name in _TAUGHT
}
