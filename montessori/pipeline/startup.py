"""What a stage sets before it imports anything large: environment, collector, lighter imports.

Where scikit-learn and SciPy are installed, transformers imports them with every language model, for
assisted decoding and for losses of object detection. Nothing here uses either, and together they
cost every process that loads transformers a second. transformers asks once whether they are there
and remembers the answer; `install` has it ask while they seem to be missing.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ONLINE = ("models", "seed")  # stages that may look for a hub


#: How idle threads of OpenMP wait: they look for work for some tens of microseconds, then sleep.
#: Sleeping at once costs a third of a small model's training on two cores; spinning on makes a
#: busy machine twenty times slower.
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "20000"}


#: Run the full garbage collection this many times less often than that of middle-aged objects:
#: torch, transformers and trl leave half a million long-lived objects, and collecting over them
#: again and again takes a quarter of the start-up time.
OLDEST = 1000


def set_environment(kind: str) -> None:
    """Settings that libraries read when they are imported; what the user has set stays.

    Only `models` and `seed` may look for a hub.
    """
    wanted = {**WAITING, "TOKENIZERS_PARALLELISM": "false"}
    if kind not in ONLINE:
        wanted |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


#: Libraries, and the functions that say whether they are there.
UNUSED = {"scipy": "is_scipy_available", "sklearn": "is_sklearn_available"}
ASKED = "transformers.utils.import_utils"


class _Asking(MetaPathFinder):
    """Finds no module; notices by the search for the next one that ASKED has been loaded."""

    asked = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        module = None if self.asked else sys.modules.get(ASKED)
        if module is not None and all(hasattr(module, name) for name in UNUSED.values()):
            self.asked = (
                True  # sys.meta_path is being iterated, so this finder cannot remove itself
            )
            _ask(module)
        return None


def install() -> None:
    """Have transformers go without UNUSED in this process, which may still import them itself."""
    sys.meta_path.insert(0, _Asking())


def _ask(module: ModuleType) -> None:
    for library, question in UNUSED.items():
        if library not in sys.modules:
            sys.modules[library] = None  # type: ignore[assignment]  # Python's "not to be found"
            try:
                getattr(module, question)()
            finally:
                del sys.modules[library]
