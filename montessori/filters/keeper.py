"""All filters of a dataset, in the order in which they are applied.

Text is never changed; only copies of it are normalised for comparison. The rules follow the
released code of Montessori-Instruct, with the exact ROUGE-L of rouge_score.
"""

from collections.abc import Iterable, Sequence

from montessori.filters.contamination import EvalItems
from montessori.filters.fingerprint import fingerprint
from montessori.filters.form import FormFilter
from montessori.filters.near_duplicates import NearDuplicates


class Keeper:
    """Decides on rows in their order; remembers what it kept.

    `limit` is that of NearDuplicates; `known` are rows (user turns each) that count as earlier,
    such as the seeds; `evals` are the eval items, none of which may be written again.
    """

    def __init__(
        self,
        form: FormFilter,
        limit: float,
        known: Iterable[Sequence[str]] = (),
        evals: EvalItems | None = None,
    ) -> None:
        self.form = form
        self.evals = evals or EvalItems(0)
        self._near = NearDuplicates(limit)
        self._seen: set[str] = set()
        for turns in known:
            self.add(turns)

    def add(self, turns: Sequence[str]) -> None:
        """Count a row as kept."""
        print_of_turns = fingerprint(turns)
        if print_of_turns not in self._seen:
            self._seen.add(print_of_turns)
            self._near.add("\n".join(turns))

    def problem(self, turns: Sequence[str]) -> str | None:
        """Why a row is dropped, or None.

        A problem of its form (FormFilter.problem), "eval item", "duplicate", "near-duplicate".
        """
        # The first reason found is the one that is counted. Cheap checks come first;
        # near-duplicates, which compare the row with all earlier ones, come last.
        found = self.form.problem(turns[0])
        if found is None and any(len(turn) > self.form.max_characters for turn in turns):
            found = "long"
        if found is not None:
            return found
        if self.evals.matched_by(turns) is not None:
            return "eval item"
        if fingerprint(turns) in self._seen:
            return "duplicate"
        return "near-duplicate" if self._near.near("\n".join(turns)) else None

    def response_problem(self, text: str) -> str | None:
        """Why a row is dropped for what a response holds: "eval item", or None."""
        return None if self.evals.held_by([text]) is None else "eval item"
