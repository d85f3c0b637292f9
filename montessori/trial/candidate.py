"""The model under trial: its prepared folder, the settings, the rows, and what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import montessori
from montessori.artifacts.files import MANIFEST, read_json
from montessori.graph.load import FILE, read_yaml, require_section
from montessori.models.hosted import read_hosted
from montessori.pipeline.machine import Machine
from montessori.sources.rows.row import Row
from montessori.trial.rows import trial_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

T = TypeVar("T")
Role = Literal["teacher", "student", "judge"]
ROLES: tuple[Role, ...] = ("teacher", "student", "judge")
DEFAULTS = Path(str(resources.files(__package__) / "defaults.yaml"))


@dataclass(frozen=True)
class Settings:
    """The mapping of a params.yaml, and the folder that its paths are relative to."""

    raw: Mapping[str, Any]
    root: Path
    file: str

    def section(self, name: str, cls: type[T]) -> T:
        """A section as a dataclass. Raises MontessoriError with all its problems."""
        return require_section(self.raw, name, cls, self.file)

    @cached_property
    def machine(self) -> Machine:
        """Section `machine`."""
        return self.section("machine", Machine)

    @property
    def seed(self) -> int:
        """The project's random seed."""
        return int(self.raw.get("seed", 0))

    def path(self, named: str | Path) -> Path:
        """A path of the settings, from here."""
        return self.root / named


def read_settings(root: Path) -> Settings:
    """The settings of params.yaml below `root`, or defaults where there is none."""
    if (root / FILE).is_file():
        return Settings(read_yaml(root / FILE), root, FILE)
    package = Path(montessori.__file__).parents[1]
    return Settings(read_yaml(DEFAULTS), package, str(DEFAULTS))


@dataclass(frozen=True)
class Measured:
    """A step that was run on `tokens` tokens, padding included: peak in bytes, seconds."""

    stage: str
    tokens: int
    peak: float
    seconds: float


@dataclass
class Candidate:
    """The model at `source`; `folder` is what the stage `models` makes of it, inside `work`."""

    source: Path
    roles: tuple[Role, ...]
    settings: Settings
    work: Path
    measured: list[Measured] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The prepared model folder."""
        return self.work / "model"

    @cached_property
    def is_hosted(self) -> bool:
        """Whether only a server has the model."""
        return read_hosted(self.folder) is not None

    @cached_property
    def is_base(self) -> bool:
        """Whether the model has no chat template of its own."""
        facts = read_json(self.folder / MANIFEST)["facts"]
        return bool(facts.get("template") == "fallback")

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerFast":
        """The model's tokenizer."""
        from montessori.models.chat import load_tokenizer

        return load_tokenizer(self.folder)

    @cached_property
    def seeds(self) -> list[Row]:
        """Rows that a teacher is shown."""
        return trial_rows(self.settings.raw, "seeds", self.settings.root)

    @cached_property
    def references(self) -> list[Row]:
        """Rows that a student should become good at."""
        return trial_rows(self.settings.raw, "reference", self.settings.root)
