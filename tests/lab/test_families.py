"""Every family of tasks: what it writes it recognises, with the right answer, in natural numbers.

What would break: the lab grades right answers as wrong, two families share a task, or train and
test questions cannot be told by their key.
"""

import random
import subprocess
import sys
import time
from itertools import product

import pytest

from montessori.lab import grader
from montessori.lab.families import FAMILIES
from montessori.lab.families.strings import INVENTED_WORDS
from montessori.lab.phrasing import Phrasing, PhrasingIndex
from montessori.lab.task import PhrasedFamily, worked_solution
from montessori.lab.words import CONSONANTS, NAMES, THINGS, VOWELS, WORDS, is_clean

EVALUATED = [family for family in FAMILIES.values() if family.evaluated]
SINGLE = [family for family in FAMILIES.values() if isinstance(family, PhrasedFamily)]
COUNTED = [
    f.name for f in SINGLE if f.subject in {"arithmetic", "sequences", "units", "stories"}
]  # the others draw words, or pairs from a range
SUBJECTS = {
    "stories",
    "units",
    "comparison",
    "arithmetic",
    "sequences",
    "ordering",
    "strings",
    "knowledge",
}


def instructions(task):
    return [turn.instruction for turn in task.turns]


def ask(*turns):
    """Return the answers of the task behind the turns, or None."""
    task = grader.recognise_task(turns)
    return None if task is None else [turn.answer for turn in task.turns]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_what_a_family_writes_is_recognised_as_the_same_task(family):
    rng = random.Random(7)
    for _ in range(300):
        task = family.make_task(rng)
        assert grader.recognise_task(instructions(task)) == task
        assert family.recognise_task(instructions(task)) == task


@pytest.mark.parametrize("family", SINGLE, ids=lambda family: family.name)
def test_all_phrasings_of_a_family_mean_the_same(family):
    assert len(family.phrasings) >= 4
    rng = random.Random(3)
    for _ in range(20):
        slots = family.draw_slots(rng)
        tasks = [grader.recognise_task([p.render(slots)]) for p in family.phrasings]
        meanings = {(t.family, t.key, t.turns[0].response) for t in tasks}
        assert len(meanings) == 1


@pytest.mark.parametrize("family", EVALUATED, ids=lambda family: family.name)
def test_an_evaluated_family_has_ten_thousand_keys(family):
    """Counted: ten thousand distinct keys are drawn, or 4,000 draws show it by collisions.

    The number of colliding pairs among n draws is at least n (n - 1) / 2N for N keys.
    """
    assert family.size >= 10_000
    rng, keys, n = random.Random(1), {}, 4000
    for _ in range(n):
        key = family.make_task(rng).key
        keys[key] = keys.get(key, 0) + 1
    colliding = sum(times * (times - 1) // 2 for times in keys.values())
    if n * (n - 1) / 2 >= 20_000 * colliding:
        return
    for _ in range(80_000):
        keys[family.make_task(rng).key] = 1
        if len(keys) >= 10_000:
            return
    pytest.fail(f"{len(keys)} keys in 84,000 draws")


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES.values() if not f.evaluated], ids=lambda family: family.name
)
def test_a_drill_has_no_more_keys_than_it_says(family):
    rng = random.Random(5)
    assert len({family.make_task(rng).key for _ in range(3000)}) <= family.size


class EveryDraw(random.Random):
    """Makes each choice of numbers in turn; names and things are always the first."""

    def __init__(self):
        super().__init__(0)
        self.path, self.at = [], 0  # [option, number of options] per choice

    def _option(self, count):
        if self.at == len(self.path):
            self.path.append([0, count])
        self.at += 1
        return self.path[self.at - 1][0]

    def randint(self, a, b):
        return a + self._option(b - a + 1)

    def random(self):
        return (0.0, 0.999)[self._option(2)]

    def choice(self, seq):
        return seq[0]

    def sample(self, population, k):
        return list(population[:k])

    def next(self):
        """Go to the next sequence of choices; return whether there is one."""
        while self.path and self.path[-1][0] + 1 == self.path[-1][1]:
            self.path.pop()
        if self.path:
            self.path[-1][0] += 1
        self.at = 0
        return bool(self.path)


@pytest.mark.parametrize("name", COUNTED)
def test_the_size_is_a_lower_bound(name):
    """Counted over every draw of the numbers, for one thing."""
    family, every, contents = FAMILIES[name], EveryDraw(), set()
    more = True
    while more:
        slots = family.draw_slots(every)
        contents.add(family.solve(**slots).content)
        more = every.next()
    things = len(THINGS) if "thing" in slots else 1
    if name == "story_groups_more_left":
        assert family.size < len(contents) * things
    else:
        assert family.size == len(contents) * things


def test_there_are_as_many_invented_words_as_claimed():
    c, v = CONSONANTS, VOWELS
    assert sum(is_clean("".join(letters)) for letters in product(c, v, c, v, c)) >= INVENTED_WORDS


def test_the_vocabulary():
    assert len(set(WORDS)) == len(WORDS) >= 250
    assert len(set(NAMES)) == len(NAMES) >= 40
    assert len(set(THINGS)) == len(THINGS) >= 40


def test_the_families():
    assert len(FAMILIES) == 34
    assert {family.subject for family in FAMILIES.values()} == SUBJECTS
    assert all(name == family.name for name, family in FAMILIES.items())
    assert not any(f.evaluated for f in FAMILIES.values() if f.subject == "knowledge")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("What is 17 plus 25?", "42"),
        ("Take 8 away from 30.", "22"),
        ("What is 7 times 8?", "56"),
        ("Multiply 7 by 8 and add 5.", "61"),
        ("Which is larger, 41 or 17?", "41"),
        ("Pick the smaller of 41 and 17.", "17"),
        ("Reverse this list: tree, sun, moon.", "moon, sun, tree"),
        ("Repeat sun 3 times.", "sun sun sun"),
        ("Which word comes second in tree, sun, moon?", "sun"),
        ("Join the words sun and flower into one.", "sunflower"),
        ("What comes next: 4, 7, 10, 13?", "16"),
        ("What comes next: 20, 15, 10?", "5"),
        ("Count down from 9 to 3 in steps of 2.", "9, 7, 5, 3"),
        ("What is the opposite of hot?", "cold"),
        ("What day comes before Monday?", "Sunday"),
        ("What month comes after December?", "January"),
        ("What is the capital of Italy?", "Rome"),
        ("What is a baby dog called?", "puppy"),
        ("Write 3 m and 25 cm in cm.", "325"),
        ("How many cents are 6 dollars and 17 cents?", "617"),
        ("How many pens are 3 dozen pens and 4 more?", "40"),
        ("A shop had 20 pens, got 7 more and sold 9. How many pens does the shop have now?", "18"),
        ("Tom buys 3 packs of 8 pens and loses 4 pens. How many pens does Tom have now?", "20"),
        ("Ann has 12 apples and buys 7 more. How many apples does Ann have now?", "19"),
        ("Ann has 12 drones and buys 7 more. How many drones does Ann have now?", "19"),
        ("What is 3 plus 4?\nA. 6\nB. 7\nC. 8\nD. 17", "B"),
    ],
)
def test_answers_worked_out_by_hand(text, answer):
    assert ask(text) == [answer]
    assert ask(f"  {text}\n") == [answer]


def test_dialogues_worked_out_by_hand():
    assert ask("What is 17 plus 25?", "Now add 3 to that.") == ["42", "45"]
    assert ask("Turn the list sun, moon, tree around.", "Now reverse that list.") == [
        "tree, moon, sun",
        "sun, moon, tree",
    ]
    assert ask("Turn the list sun, moon, tree around.", "Which comes first?") == [
        "tree, moon, sun",
        "tree",
    ]
    story = "A shop had 20 pens and sold 6. How many pens remain?"
    assert ask(story, "How many are left if 4 more are given away?") == ["14", "10"]


def test_a_worked_response_has_one_equation_per_line():
    task = grader.recognise_task(
        [
            "Tom has 3 bags of 4 pens, finds 5 more and gives away 2."
            " How many pens does Tom have now?"
        ]
    )
    assert task.turns[0].response == "3 x 4 = 12\n12 + 5 = 17\n17 - 2 = 15\n#### 15"
    assert task.key == "story_groups_more_left|3|4|5|2|pen"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is 17 plus?",
        "What is seven plus 25?",
        "What is 017 plus 25?",
        "What is 12 minus 30?",  # below zero
        "Ann has 12 apples and buys 7 more. How many pears does Ann have now?",
        "Ann has 12 apples and buys 7 more. How many apples does Ben have now?",
        "Ann has 5 pens. Ann gives Ann 7 more. How many pens does Ann have now?",
        "What comes next: 4, 7, 11?",
        "What comes next: 5, 5, 5?",
        "Share 7 pens.",
        "Ann has 12 pens and gives away 13. How many pens does Ann have left?",
        "Count up from 4 to 9 in steps of 3.",
        "What is the fifth word in this list: sun, moon, tree?",
        "What is the capital of Atlantis?",
        "How many cents are 3 metres and 25 centimetres?",
        "What is 3 plus 4?\nA. 6\nB. 9\nC. 8\nD. 17",  # no right choice
        "What is 3 plus 4?\nA. 7\nB. 7\nC. 8\nD. 17",  # twice the same
        "What is 3 plus 4?\nA. 7\nB. 6\nC. 8",
        "\x00\ud800",
        "9, " * 300,
        "a" * 1_000_000,
    ],
)
def test_text_that_is_no_task(text):
    assert grader.recognise_task([text]) is None
    assert grader.recognise_task(["What is 3 plus 4?", text]) is None
    assert all(family.recognise_task([text]) is None for family in FAMILIES.values())


def test_no_turns_and_too_many_turns():
    assert grader.recognise_task([]) is None
    assert grader.recognise_task(["What is 3 plus 4?", "And plus 2?", "And plus 2?"]) is None


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES.values() if f.kind == "choice"], ids=lambda family: family.name
)
def test_choices_differ_and_the_right_one_is_anywhere(family):
    rng = random.Random(11)
    counts = dict.fromkeys("ABCD", 0)
    for _ in range(800):
        task = family.make_task(rng)
        assert len(set(task.choices)) == 4
        counts[task.turns[0].answer] += 1
    assert all(140 <= count <= 260 for count in counts.values())  # 200 expected, 5 sigma


def test_the_mean_length_of_instructions():
    rng = random.Random(2)
    for family in SINGLE:
        words = [len(family.make_task(rng).turns[0].instruction.split()) for _ in range(200)]
        mean = sum(words) / len(words)
        assert mean <= (24 if family.subject == "stories" else 14), family.name


def test_a_phrasing_reads_what_it_writes():
    phrasing = Phrasing("{name:name} has {n} {x:many}. Give {name:name} a {x:one}.")
    text = phrasing.render({"name": "Tom", "n": 3, "x": "leaf"})
    assert text == "Tom has 3 leaves. Give Tom a leaf."
    assert phrasing.parse(text) == {"name": "Tom", "n": 3, "x": "leaf"}
    assert phrasing.parse("Tom has 3 leaves. Give Tim a leaf.") is None
    assert phrasing.parse("Tom has 3 leaves. Give Tom a pen.") is None


def test_the_index_finds_phrasings_without_fixed_words():
    index = PhrasingIndex([(Phrasing("{a} + {b} = ?"), "sum"), (Phrasing("Add {a}."), "add")])
    assert list(index.matches("3 + 4 = ?")) == [("sum", {"a": 3, "b": 4})]
    assert list(index.matches("Add 4.")) == [("add", {"a": 4})]
    assert list(index.matches("Take 4.")) == []


def test_worked_refuses_what_cannot_be():
    assert worked_solution(5, ("-", 6), content=()) is None
    with pytest.raises(ValueError, match="unknown sign"):
        worked_solution(5, ("^", 2), content=())


def test_recognition_is_fast():
    rng = random.Random(4)
    texts = [instructions(f.make_task(rng)) for f in FAMILIES.values() for _ in range(20)]
    grader.recognise_task(texts[0])
    start = time.perf_counter()
    for text in texts:
        grader.recognise_task(text)
    speed = len(texts) / (time.perf_counter() - start)
    print(f"{speed:,.0f} instructions/s")
    assert speed > 2000  # 5,000 is the aim; half is left for a busy machine


def test_import_is_light():
    code = "import sys, montessori.lab.grader as g; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "polars", "transformers"} & set(run.stdout.split())
