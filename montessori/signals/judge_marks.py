"""The question to a judge of training rows, and the mark that is read from its answer.

The additive mark from 0 to 5 follows the idea of Self-Rewarding Language Models (arXiv 2401.10020,
figure 2); the wording of the statements is this project's.
"""

import re
from pathlib import Path

from montessori.artifacts.templates import TemplateKind, read_template, render_template
from montessori.errors import MontessoriError

TEMPLATE = TemplateKind(
    label="the judge's template",
    key="judge_signal.template",
    example="data/micro/prompts/judge_row.jinja",
)
BEST = 5.0
_PROBES = ("<instruction 7f0c>", "<response 7f0c>")  # texts that no template holds by itself
_SIGNS = r"[ \t*_`#>]*"  # blanks, and signs of Markdown
_NUMBER = rf"([0-9]+(?:\.[0-9]+)?)(?:[ \t]*/[ \t]*5)?{_SIGNS}\.?{_SIGNS}"
_MARK = re.compile(rf"(?im)^{_SIGNS}score{_SIGNS}:{_SIGNS}{_NUMBER}$")


def read_mark(text: str) -> float | None:
    """The mark on the last line `Score: n` of a verdict, 0 to 5; None for a malformed verdict.

    A mark out of range is malformed: nobody can know what such a judge meant.
    """
    marks = _MARK.findall(text)
    if not marks:
        return None
    mark = float(marks[-1])
    return mark if mark <= BEST else None


def load_judge_template(path: Path) -> str:
    """The text of a judge's template. Raises MontessoriError unless it shows both texts."""
    template = read_template(path, TEMPLATE)
    question = render_question(*_PROBES, template=template)
    if not all(text in question for text in _PROBES):
        raise MontessoriError(
            "the judge's template does not show what is to be judged",
            where=str(path),
            expected="{{ instruction }} and {{ response }}",
            next=f"compare with {TEMPLATE.example}",
        )
    return template


def render_question(instruction: str, response: str, template: str) -> str:
    """The user turn that asks for a verdict. Raises MontessoriError for malformed jinja."""
    return render_template(template, TEMPLATE, instruction=instruction, response=response)
