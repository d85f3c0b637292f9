"""The likely cause of what a teacher writes, by what is counted.

What would break: a tuned teacher is said to have collapsed where its prompts fill the context.
"""

from collections import Counter

from montessori.writing.causes import find_causes


def test_a_full_context_is_no_collapse_of_a_tuned_teacher():
    dropped = Counter({"context": 9, "no tags": 1})
    assert find_causes(dropped, 0, "tags", tuned=True)[0].name == "context"
    dropped = Counter({"context": 1, "no tags": 9})
    assert find_causes(dropped, 0, "tags", tuned=True)[0].name == "tuned teacher"
