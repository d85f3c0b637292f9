"""`python -m tools.campaign bad-input` or `kill`: the options of each are told by `--help`."""

import importlib
import sys

#: The module of each part of the campaign; its `main` takes the rest of the command line.
PARTS = {"bad-input": "tools.campaign.bad_input", "kill": "tools.campaign.kills"}


def main(arguments: list[str]) -> int:
    """Hand the rest of the command line to the part that is named; its exit status."""
    if not arguments or arguments[0] not in PARTS:
        print(f"usage: python -m tools.campaign {{{','.join(PARTS)}}} [--help]", file=sys.stderr)
        return 2
    return importlib.import_module(PARTS[arguments[0]]).main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
