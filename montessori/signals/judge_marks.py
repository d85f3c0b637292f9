"""What a judge of training rows is asked, and the mark that is read from its answer.

The additive mark from 0 to 5 follows the idea of Self-Rewarding Language Models (arXiv 2401.10020,
figure 2); the statements are of this project's own.
"""

import re
from pathlib import Path

from montessori.artifacts.templates import TemplateKind, read_template, render_template
from montessori.errors import MontessoriError

BEST = 5.0
KIND = TemplateKind(
    label="the judge's template",
    key="judge_signal.template",
    example="data/micro/prompts/judge_row.jinja",
)
_PROBES = ("<instruction 7f0c>", "<response 7f0c>")  # texts that no template holds by itself
_SIGNS = r"[ \t*_`#>]*"  # blanks, and signs of Markdown
_NUMBER = rf"([0-9]+(?:\.[0-9]+)?)(?:[ \t]*/[ \t]*5)?{_SIGNS}\.?{_SIGNS}"
_MARK = re.compile(rf"(?im)^{_SIGNS}score{_SIGNS}:{_SIGNS}{_NUMBER}$")


def read_mark(text: str) -> float | None:
    """The mark on the last line `Score: n` of a verdict, 0 to 5; None for a malformed verdict.

    A mark out of range is malformed: what such a judge meant cannot be known.
    """
    marks = _MARK.findall(text)
    if not marks:
        return None
    mark = float(marks[-1])
    return mark if mark <= BEST else None


def load_judge_template(path: Path) -> str:
    """The text of a judge's template. Raises MontessoriError unless it shows both texts."""
    template = read_template(path, KIND)
    shown = render_question(*_PROBES, template=template)
    if not all(text in shown for text in _PROBES):
        raise MontessoriError(
            "the judge's template does not show what is to be judged",
            where=str(path),
            expected="{{ instruction }} and {{ response }}",
            next=f"compare with {KIND.example}",
        )
    return template


def render_question(instruction: str, response: str, template: str) -> str:
    """The user turn that asks for a verdict. Raises MontessoriError for no valid jinja."""
    return render_template(template, KIND, instruction=instruction, response=response)
