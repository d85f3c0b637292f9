"""Writes the report with sample rows and answers: `python -m montessori.report`."""

from __future__ import annotations

import sys

from montessori.errors import MontessoriError

from .command import command

if __name__ == "__main__":
    try:
        command()
    except MontessoriError as error:
        sys.exit(str(error))
