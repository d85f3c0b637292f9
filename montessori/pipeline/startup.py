"""What a stage sets before it imports anything large: environment variables and lighter imports.

transformers imports scikit-learn and SciPy, where they are installed, with every language model:
for assisted decoding and for losses of object detection, which no stage uses. Without the two,
`from transformers import AutoModelForCausalLM, LlamaForCausalLM` takes a fifth less (9.0 instead of
11.5 s of processor time on two busy cores), in every process that loads a model.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Stages that may look for a hub. No other stage may, whatever the user has set: what it writes
#: must not depend on what a hub has today.
ONLINE = ("models", "seed")
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

#: How idle threads of OpenMP wait: they look for work for some tens of microseconds, then sleep.
#: Sleeping at once costs a third of a small model's training on two cores; spinning on makes a
#: busy machine twenty times slower.
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "20000"}

#: Run the full garbage collection this many times less often than that of middle-aged objects:
#: torch, transformers and trl leave half a million long-lived objects, and collecting over them
#: again and again takes a quarter of the start-up time.
OLDEST = 1000

#: Libraries that transformers need not find, and its functions that say whether they are there.
UNUSED = {"scipy": "is_scipy_available", "sklearn": "is_sklearn_available"}
ASKING = "transformers.utils.import_utils"  # the module of these functions


def set_environment(kind: str) -> None:
    """Set what libraries read when they are imported, for a stage of this kind.

    Except for the network, what the user has set stays.
    """
    for name, value in {**WAITING, "TOKENIZERS_PARALLELISM": "false"}.items():
        os.environ.setdefault(name, value)
    if kind not in ONLINE:
        os.environ |= OFFLINE


def hide_unused_libraries() -> None:
    """Make transformers work as if UNUSED were not installed; this process may still import them.

    transformers asks once whether a library is there and remembers the answer, so it is enough to
    have it ask early, while the library seems to be missing.
    """
    sys.meta_path.insert(0, _TransformersWatcher())


class _TransformersWatcher(MetaPathFinder):
    """Finds no module, but sees at the next import that ASKING has been loaded."""

    done = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        module = None if self.done else sys.modules.get(ASKING)
        # while ASKING is being executed, the module is there and its functions are not
        if module is not None and all(hasattr(module, name) for name in UNUSED.values()):
            # the watcher stays in sys.meta_path: Python is iterating over that list right now
            self.done = True
            _answer_early(module)
        return None


def _answer_early(module: ModuleType) -> None:
    for library, question in UNUSED.items():
        if library not in sys.modules:
            sys.modules[library] = None  # type: ignore[assignment]  # Python's "not to be found"
            try:
                getattr(module, question)()
            finally:
                del sys.modules[library]
