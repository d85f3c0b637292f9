"""A row of dialogue."""

from typing import NamedTuple


class Row(NamedTuple):
    """One dialogue: user and assistant turns in pairs.

    `key` is the content of a lab task whatever its wording, `skill` its subject group; `prompt`
    is the text that a teacher saw when it wrote the instruction, `raw` what it wrote. All four
    are None if the file does not give them. `system` is the system prompt, None where there is
    none. `where` is the file and line it came from.
    """

    turns: tuple[str, ...]
    responses: tuple[str, ...]
    skill: str | None = None
    key: str | None = None
    prompt: str | None = None
    raw: str | None = None
    where: str = ""
    system: str | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The dialogue as chat messages: system prompt if any, then user and assistant in turn."""
        messages = [] if self.system is None else [{"role": "system", "content": self.system}]
        for turn, response in zip(self.turns, self.responses, strict=True):
            messages.append({"role": "user", "content": turn})
            messages.append({"role": "assistant", "content": response})
        return messages
