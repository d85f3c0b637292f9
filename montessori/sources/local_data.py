"""The data sets of lm-eval's tasks from local files: lm-eval asks for them by their hub name.

Below one folder a data set is looked for as a copy of its hub repository (`<folder>/cais/mmlu`),
then as the files that its authors published (`<folder>/mmlu/test/*.csv`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.errors import MontessoriError
from montessori.sources.local_files import LocalFiles
from montessori.sources.published_files import PUBLISHED

if TYPE_CHECKING:
    from datasets import DatasetDict


class LocalData(LocalFiles):
    """Data sets below a folder."""

    def load(self, path: str, name: str | None = None, **options: Any) -> "DatasetDict":
        """The data set `path` of the hub, configuration `name`, as a dictionary of its splits.

        Raises MontessoriError, which names what was looked for, when it is not there.
        """
        from datasets import Dataset, DatasetDict

        copy = self.folder / path
        if copy.is_dir():
            return self._load_copy(copy, name, options)
        if path in _FORMATS:
            raise _files_of_its_own(path, options)
        published = PUBLISHED.get(path)
        self.absent = [copy]
        try:
            splits = published(self, name or "") if published else {}
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _unreadable(path, self.folder, error) from error
        if not any(splits.values()):
            raise self._missing(path)
        loaded = DatasetDict({split: Dataset.from_list(rows) for split, rows in splits.items()})
        return loaded[options["split"]] if options.get("split") in loaded else loaded

    def _load_copy(self, copy: Path, name: str | None, options: Mapping[str, Any]) -> "DatasetDict":
        """A data set from a copy of its hub repository."""
        # Not `datasets.load_dataset`, in whose place `load` itself stands while serving.
        from datasets.exceptions import DatasetsError
        from datasets.load import load_dataset

        script = copy / f"{copy.name}.py"
        if script.is_file():
            raise _script_error(script, copy.relative_to(self.folder))
        # Hidden files are git's and the download's own records, which differ from one to the next.
        for file in copy.rglob("*"):
            if file.is_file() and not _is_hidden(file.relative_to(copy)):
                self.files.add(file)
        # A copy has one revision, and its code is never run.
        kept = {key: options[key] for key in options if key not in ("revision", *_NO_CODE)}
        try:
            return load_dataset(str(copy.resolve()), name, **kept)
        except (OSError, ValueError, RuntimeError, DatasetsError) as error:
            raise _unreadable(copy.name, copy, error) from error

    def _missing(self, path: str) -> MontessoriError:
        return MontessoriError(
            f"the data set {path} is not among the local benchmark files",
            where="params.yaml, key harness.data",
            expected=" or ".join(map(str, self.absent)),
            next=f"hf download {path} --repo-type dataset --local-dir {self.absent[0]}",
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Let lm-eval read its data sets from here instead of the hub, while open.

        lm-eval calls `datasets.load_dataset` with the names in its task files. A subclass of its
        tasks cannot read elsewhere: lm-eval builds the thousands of tasks of its index from files
        with a class that it names itself, and has no other place to say where all data are. A test
        fails when it loads data in another way.
        """
        import datasets

        hub = datasets.load_dataset
        datasets.load_dataset = self.load
        try:
            yield
        finally:
            datasets.load_dataset = hub


#: What `datasets` takes instead of the name of a data set, with files of a task's own.
_FORMATS = ("json", "csv", "parquet", "text", "arrow", "xml", "imagefolder", "audiofolder")
_NO_CODE = ("trust_remote_code",)


def _files_of_its_own(path: str, options: Mapping[str, Any]) -> MontessoriError:
    return MontessoriError(
        f"the task reads {path} files of its own: {options.get('data_files')}",
        where="params.yaml, section harnesses",
        expected="a task whose data set is at the hub, so that a copy can lie below harness.data",
        next="name another task",
    )


def _script_error(script: Path, name: Path) -> MontessoriError:
    return MontessoriError(
        f"the copy of {name.as_posix()} has a loading script, {script.name}, which is never run",
        where=str(script),
        expected="files of data: Parquet, JSON Lines or CSV",
        next="take the hub's conversion to Parquet in a new folder: hf download "
        f"{name.as_posix()} --repo-type dataset --revision refs/convert/parquet --local-dir ...",
    )


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def _unreadable(name: str, where: Path, error: Exception) -> MontessoriError:
    return MontessoriError(
        f"the data set {name} cannot be read: {(str(error).splitlines() or [repr(error)])[0]}",
        where=str(where),
        expected="a whole copy of its hub repository, README.md too, or the files as their "
        "authors published them (docs/how-to/benchmarks.md)",
        next="fetch it again: hf download ... --repo-type dataset --local-dir ...",
    )
