"""The vocabulary of the lab: words, names, things, facts."""

from __future__ import annotations

import random


def _word_list(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS = _word_list(
    """
    able arm art ask baby back bad bag ball band bank bath beach bean bear bed bee bell belt bench
    big bike bird blue board boat body bone book boot bowl box boy branch bread brick bridge brown
    brush bus bush cake call camp candle cap car card care cart castle cat chair chalk cheese chest
    child city clay clean clock cloth cloud coat coin cold cook corn cow crab cream cross crowd cup
    dance dark day deep desk dish dog door down dream dress drum dry duck dust ear earth east egg
    fair fall farm fast field fine fire fish flag floor flour flower fly food foot forest fork fox
    free frog fruit full game garden gate gift glad glass glove goat gold good grass green ground
    hair hand happy hard hat head heart heavy hen high hill home honey hook horn horse hot house
    ice ink iron island jam jar job joy jump key kind king kite knee lake lamp land large leaf left
    leg lemon letter light line lion list long loud low lunch map mark market meal milk mind mint
    moon mouse mouth music nail neck nest net new night north nose note ocean oil old open orange
    page paint pan paper park path peach pen piano pig pin plant plate pond pool pot queen quick
    quiet rain red rice ring river road rock roof room root rope rose round salt sand school sea
    seat seed sheep shell ship shirt shoe shop silver sister sky sleep slow smile snow soap sock
    soft soup south spoon spring star stone storm street sugar summer sun table tall tea tent thin
    tiger time toe tower town toy train tree truck valley wall warm water wave west wheat wheel
    white wide wind window wing winter wolf wood wool yard year yellow young
    """
)

NAMES = _word_list(
    """
    Adam Alice Amy Anna Ben Carl Clara Dan David Ella Emma Eva Finn Grace Hana Ivan Jack Jane Jonas
    Julia Kate Leo Lily Lucy Luke Mara Maria Max Mia Nina Noah Omar Oscar Paul Rosa Ruth Sam Sara
    Tim Tom Vera Will Yuki Zoe
    """
)

PLURALS: dict[str, str] = {
    "apple": "apples",
    "ball": "balls",
    "balloon": "balloons",
    "bean": "beans",
    "book": "books",
    "bottle": "bottles",
    "box": "boxes",
    "brush": "brushes",
    "button": "buttons",
    "cake": "cakes",
    "candle": "candles",
    "card": "cards",
    "cherry": "cherries",
    "coin": "coins",
    "cookie": "cookies",
    "cup": "cups",
    "egg": "eggs",
    "flower": "flowers",
    "grape": "grapes",
    "hat": "hats",
    "kite": "kites",
    "leaf": "leaves",
    "lemon": "lemons",
    "marble": "marbles",
    "muffin": "muffins",
    "nut": "nuts",
    "orange": "oranges",
    "peach": "peaches",
    "pear": "pears",
    "pen": "pens",
    "pencil": "pencils",
    "photo": "photos",
    "plate": "plates",
    "plum": "plums",
    "ribbon": "ribbons",
    "ring": "rings",
    "rock": "rocks",
    "seed": "seeds",
    "shell": "shells",
    "sticker": "stickers",
    "stone": "stones",
    "toy": "toys",
}
THINGS: tuple[str, ...] = tuple(PLURALS)

_SINGULARS = {many: one for one, many in PLURALS.items()}

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("hot", "cold"),
    ("big", "small"),
    ("tall", "short"),
    ("fast", "slow"),
    ("high", "low"),
    ("wet", "dry"),
    ("hard", "soft"),
    ("light", "dark"),
    ("full", "empty"),
    ("open", "closed"),
    ("young", "old"),
    ("happy", "sad"),
    ("good", "bad"),
    ("early", "late"),
    ("thick", "thin"),
    ("loud", "quiet"),
    ("clean", "dirty"),
    ("rich", "poor"),
    ("strong", "weak"),
    ("up", "down"),
    ("left", "right"),
    ("in", "out"),
    ("near", "far"),
    ("first", "last"),
    ("day", "night"),
    ("summer", "winter"),
    ("north", "south"),
    ("east", "west"),
    ("start", "end"),
    ("true", "false"),
    ("above", "below"),
    ("inside", "outside"),
    ("wide", "narrow"),
    ("deep", "shallow"),
    ("sweet", "sour"),
    ("easy", "difficult"),
)

CAPITALS: dict[str, str] = {
    "Austria": "Vienna",
    "Belgium": "Brussels",
    "Canada": "Ottawa",
    "Chile": "Santiago",
    "China": "Beijing",
    "Cuba": "Havana",
    "Denmark": "Copenhagen",
    "Egypt": "Cairo",
    "Finland": "Helsinki",
    "France": "Paris",
    "Germany": "Berlin",
    "Greece": "Athens",
    "Hungary": "Budapest",
    "Ireland": "Dublin",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "Norway": "Oslo",
    "Peru": "Lima",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Russia": "Moscow",
    "Spain": "Madrid",
    "Sweden": "Stockholm",
    "Turkey": "Ankara",
}

YOUNG: dict[str, str] = {
    "dog": "puppy",
    "cat": "kitten",
    "cow": "calf",
    "horse": "foal",
    "sheep": "lamb",
    "goat": "kid",
    "pig": "piglet",
    "hen": "chick",
    "duck": "duckling",
    "goose": "gosling",
    "swan": "cygnet",
    "bear": "cub",
    "lion": "cub",
    "deer": "fawn",
    "frog": "tadpole",
    "kangaroo": "joey",
}

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

CONSONANTS = "bdfgklmnprstvz"
VOWELS = "aeiou"
UNWANTED = _word_list(  # never part of an invented word, in either direction
    """
    bab dag dam deb dik dum fag fat fuk fut gad gaz god gun kil kuk kum lez lus nad nag naz neg nig
    nip nud pedo pen pis pot pus rap ret sad sek sod sot suk sul tit tos tur vag vom vul
    """
)


def plural_of(thing: str) -> str:
    """Return the plural of a thing; an unknown one takes an s."""
    return PLURALS.get(thing, thing + "s")


def singular_of(things: str) -> str:
    """Return the singular of a plural; an unknown one loses its final s."""
    return _SINGULARS.get(things) or things.removesuffix("s")


def is_clean(word: str) -> bool:
    """Return whether an invented word may be shown, forwards and backwards."""
    return not any(part in word or part in word[::-1] for part in UNWANTED)


def made_up_word(rng: random.Random, shortest: int, longest: int) -> str:
    """Return an invented word such as `mavok`, of `shortest` to `longest` letters."""
    while True:
        length = rng.randint(shortest, longest)
        # Consonants and vowels in turn make words that can be spoken.
        word = "".join(rng.choice(VOWELS if i % 2 else CONSONANTS) for i in range(length))
        if is_clean(word):
            return word


def any_word(rng: random.Random, shortest: int, longest: int) -> str:
    """Return a word of the vocabulary (three in ten) or an invented one."""
    if rng.random() < 0.3:
        return rng.choice([w for w in WORDS if shortest <= len(w) <= longest])
    return made_up_word(rng, shortest, longest)
