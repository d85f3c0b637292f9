"""What a judge of training rows is asked, and the mark that is read from its answer.

The additive mark from 0 to 5 follows the idea of Self-Rewarding Language Models (arXiv 2401.10020,
figure 2); the statements are of this project's own.
"""

import re
from pathlib import Path

from montessori.errors import MontessoriError

BEST = 5.0
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
    if not path.is_file():
        raise MontessoriError(
            "the judge's template is missing",
            where=str(path),
            expected="a jinja text file",
            next="set judge_signal.template in params.yaml to an existing file",
        )
    template = path.read_text(encoding="utf-8")
    shown = render_question(*_PROBES, template=template)
    if not all(text in shown for text in _PROBES):
        raise MontessoriError(
            "the judge's template does not show what is to be judged",
            where=str(path),
            expected="{{ instruction }} and {{ response }}",
            next="compare with data/micro/prompts/judge_row.jinja",
        )
    return template


def render_question(instruction: str, response: str, template: str) -> str:
    """The user turn that asks for a verdict. Raises MontessoriError for no valid jinja."""
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    try:
        compiled = environment.from_string(template)
        return compiled.render(instruction=instruction, response=response)
    except TemplateError as error:
        raise MontessoriError(
            f"the judge's template does not render: {error}",
            where="params.yaml, key judge_signal.template",
            expected="jinja text that uses the names `instruction` and `response`",
            next="compare with data/micro/prompts/judge_row.jinja",
        ) from error
