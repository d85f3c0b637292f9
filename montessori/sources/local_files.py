"""Files below a folder of benchmarks, with a record of what was read and what is not there."""

import csv
import io
from pathlib import Path

from montessori.artifacts.json_lines import Line, read_json_lines
from montessori.artifacts.records.content import decode_text, read_content


class LocalFiles:
    """Files below `folder`: `files` are those that were read, `absent` those looked for in vain."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[Path] = set()
        self.absent: list[Path] = []

    def lines(self, path: Path) -> list[Line]:
        """The lines of a JSON Lines file; none when it is not there."""
        return read_json_lines(path) if self._find(path) else []

    def table(self, path: Path) -> list[tuple[int, list[str]]]:
        """The rows of a CSV file, its header too, each with the number of its first line.

        None when it is not there.
        """
        rows, first = [], 1
        reader = csv.reader(io.StringIO(self.text(path), newline=""))
        for row in reader:
            if row:
                rows.append((first, row))
            first = reader.line_num + 1
        return rows

    def text(self, path: Path) -> str:
        """The text of a file, its line ends as they are; empty when it is not there.

        Raises MontessoriError, with the line, for what is not UTF-8.
        """
        # The csv module needs the line ends, or a break within quotes would change.
        return decode_text(read_content(path), path) if self._find(path) else ""

    def _find(self, path: Path) -> bool:
        """Whether a file is there; it counts as read, or as looked for in vain."""
        found = path.is_file()
        if found:
            self.files.add(path)
        else:
            self.absent.append(path)
        return found
