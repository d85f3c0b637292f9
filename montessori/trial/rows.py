"""The rows of a trial: the project's own where it has sources, else rows of plain questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.graph.load import read_section
from montessori.sources.load import find_recipe, load_rows
from montessori.sources.rows.row import Row
from montessori.sources.rows.settings import ReadingParams

ROWS = 8
_PLAIN = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("Add 17 and 25.", "17 + 25 = 42"),
    ("Name three primary colours.", "Red, yellow and blue."),
    ("Write the word house backwards.", "esuoh"),
    (
        "Explain in one sentence why the sky is blue.",
        "Air scatters blue light more than red light, so blue reaches us from all over the sky.",
    ),
    (
        "Which is heavier, a kilogram of iron or a kilogram of feathers?",
        "Neither: both weigh one kilogram.",
    ),
    (
        "Give me a short recipe for pancakes.",
        "Mix 200 g of flour, two eggs and 300 ml of milk.\nFry thin cakes in a little butter.",
    ),
    ("Sort these numbers: 41, 7, 19, 88.", "7, 19, 41, 88"),
    ("How many minutes are two and a half hours?", "150 minutes."),
    ("Translate 'good morning' into Spanish.", "Buenos d\u00edas."),
    ("What do bees make?", "Bees make honey and wax."),
    ("Write a polite sentence that asks for the bill.", "Could I have the bill, please?"),
    ("What is the opposite of cold?", "Hot."),
    ("Tom has 12 apples and buys 7 more. How many does he have?", "12 + 7 = 19. He has 19 apples."),
    ("Write a Python function that doubles a number.", "def double(x):\n    return 2 * x"),
    (
        "Name a river in Africa and say where it ends.",
        "The Nile; it ends in the Mediterranean Sea.",
    ),
)


def trial_rows(raw: Mapping[str, Any], key: str, root: Path) -> list[Row]:
    """Twice eight rows of one user turn, of the source `key` ("seeds", "reference") of params.

    Plain questions follow where the source has fewer rows, is a hub's, or there is none. Raises
    MontessoriError for a source that cannot be read.
    """
    named = raw.get("sources", {}).get(key) if isinstance(raw.get("sources"), Mapping) else None
    reading, _ = read_section(raw, "reading", ReadingParams)
    own = _source_rows(root / str(named), reading) if named else []
    chosen = [row for row in own if len(row.turns) == 1][: 2 * ROWS]
    plain = [Row((question,), (answer,)) for question, answer in _PLAIN]
    return (chosen + plain)[: 2 * ROWS]


def _source_rows(path: Path, reading: ReadingParams | None) -> Sequence[Row]:
    if (find_recipe(path) or {}).get("kind") == "hub":
        return []  # a trial asks nothing of the network
    return load_rows(path, reading=reading).rows
