"""Small files in the form of those that AlpacaEval publishes."""

from pathlib import Path

#: The first line of a table of published weights.
HEAD = ",np.tanh(std_delta_len),instruction_difficulty,not_gamed_baseline.astype(float)\n"


def write(path: Path, text: str) -> Path:
    """Write `text`, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
