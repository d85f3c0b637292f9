"""Options of a command line from keywords, so that a test names them as it would an argument's."""


def options(**values: object) -> list[str]:
    """`rows=8, against=["a", "b"], checkpointing=True` as `--rows 8 --against a --against b ...`.

    An underscore becomes a dash, a list repeats its option, True is a flag, False is left away.
    """
    words: list[str] = []
    for name, value in values.items():
        option = "--" + name.replace("_", "-")
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                words.append(option)
            elif one is not False:
                words += [option, str(one)]
    return words
