"""Chat templates and prompt templates: malformed, endless, huge, or reaching for the machine."""

import random
from collections.abc import Iterator
from pathlib import Path

from tools.campaign.case import ACCEPT, EITHER, REFUSE, Case, put
from tools.campaign.cases.model_files import copy_model
from tools.campaign.cases.models import PREPARE
from tools.campaign.mutations import mutate_bytes

KIND = "templates"
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHOWN = "{% for e in examples %}{{ e }}\n{% endfor %}"
#: Reads a prompt template as the stages do.
READ = """
import sys
from pathlib import Path
from montessori.errors import MontessoriError
from montessori.formats.prompts import load_template
try:
    load_template(Path("x.jinja"))
except MontessoriError as error:
    sys.exit(str(error))
"""
#: What is put behind a template, and makes it one that does not render.
FAULTS = {
    "syntax": "{% if %}",
    "open for": "{% for m in x %}",
    "unknown filter": "{{ 1 | nothing }}",
    "unknown test": "{{ 1 is nothing }}",
    "unknown tag": "{% evil %}",
    "division by zero": "{{ 1 / 0 }}",
    "attribute of undefined": "{{ nothing.at.all }}",
    "call of undefined": "{{ foo() }}",
    "type error": "{{ 1 + 'a' }}",
    "value error": "{{ 'a' | round }}",
    "index": "{{ [][99].content }}",
    "mro": "{{ ''.__class__.__mro__ }}",
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}",
    "lipsum": "{{ lipsum.__globals__['os'].system('touch pwned') }}",
    "self": "{{ self.__init__.__globals__ }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'x' as y %}",
    "a range of 10**12": "{% for i in range(1000000000000) %}x{% endfor %}",
    "a range of 10**30": "{% for i in range(10 ** 30) %}x{% endfor %}",
    "nested ranges": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
    "{% endfor %}",
    "macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "text of 10**10": "{{ 'x' * 10000000000 }}",
    "text that doubles": "{% set t = namespace(x='x' * 1000) %}"
    "{% for i in range(60) %}{% set t.x = t.x + t.x %}{% endfor %}{{ t.x }}",
    "format width": "{{ '%99999999999d' | format(1) }}",
    "center": "{{ 'x' | center(10000000000) }}",
    "1,000 nested ifs": "{% if true %}" * 1000 + "{% endif %}" * 1000,
    "depth of brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
}
#: What may render, as long as nothing is run.
MAYBE = {
    "globals of a function": "{{ raise_exception.__globals__ }}",
    "attr": "{{ ''|attr('__class__') }}",
    "format": "{{ '{0.__class__}'.format('a') }}",
    "power": "{{ 10 ** 10 ** 8 }}",
    "200 MB": "{{ 'x' * 200000000 }}",
    "half a character": "{{ '\\ud800' }}",
    "10 MB comment": "{# " + "x" * 10_000_000 + " #}",
    "tojson of undefined": "{{ tools.x | tojson }}",
    "debug": "{% debug %}",
}
CHAT_FAULTS = {
    "empty": "",
    "raise_exception": CHAT + "{{ raise_exception('no ' + messages[0].role) }}",
    "extends": "{% extends 'x' %}" + CHAT,
    "append": CHAT + "{{ messages.append(1) }}",
    "message 99": CHAT + "{{ messages[99].content }}",
    "no user text": CHAT.replace("{{ m.content }}", ""),
    "no assistant text": CHAT.replace("m.content", "m.content if m.role == 'user' else ''"),
    "no generation prompt": CHAT.partition("{% if add")[0],
    "only the last turns": CHAT.replace("in messages", "in messages[-2:]"),
    "open generation block": CHAT + "{% generation %}",
    "strftime of a number": CHAT + "{{ strftime_now(5) }}",
    "undefined token": CHAT + "{{ unk_token + 'x' }}",
    "not UTF-8": CHAT.encode() + b"\xff",
}
CHAT_MAYBE = {
    "no end token": CHAT.replace("<|end|>", ""),
    "date": CHAT + "{{ strftime_now('%d %b %Y') }}",
    "random": CHAT + "{{ range(100) | random }}",
}
PROMPT_FAULTS: dict[str, str | bytes] = {
    "empty": "",
    "unknown name": SHOWN + "{{ nobody }}",
    "capitals": "{% for e in examples %}{{ e|upper }}\n{% endfor %}",
    "reversed": "{% for e in examples|reverse %}{{ e }}\n{% endfor %}",
    "first only": "{{ examples[0] }}",
    "not UTF-8": b"\xff\xfe",
}


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each fault in a chat template and in an instruction template; random damage."""
    block = "{% generation %}{{ m.content }}{% endgeneration %}"
    yield _chat_case("right", CHAT, ACCEPT)
    yield _chat_case("generation block", CHAT.replace("{{ m.content }}", block), ACCEPT)
    for name, text in {**{name: CHAT + end for name, end in FAULTS.items()}, **CHAT_FAULTS}.items():
        yield _chat_case(name, text)
    for name, text in {**{name: CHAT + end for name, end in MAYBE.items()}, **CHAT_MAYBE}.items():
        yield _chat_case(name, text, EITHER)
    yield _prompt_case("right", SHOWN, ACCEPT)
    prompts = {**{name: SHOWN + end for name, end in FAULTS.items()}, **PROMPT_FAULTS}
    for name, content in prompts.items():
        yield _prompt_case(name, content)
    for name, end in MAYBE.items():
        yield _prompt_case(name, SHOWN + end, EITHER)
    for name, data in mutate_bytes(CHAT.encode(), rng, 30):
        yield _chat_case(f"damage {name}", data, EITHER)
    for name, data in mutate_bytes(SHOWN.encode(), rng, 20):
        yield _prompt_case(f"damage {name}", data, EITHER)


def _chat_case(name: str, content: str | bytes, want: str = REFUSE) -> Case:
    def write(root: Path) -> None:
        copy_model(root)
        put("mine/chat_template.jinja", content)(root)

    outputs = ("out", "pwned")
    return Case(KIND, f"chat: {name}", write, (PREPARE,), "template|jinja", want, outputs)


def _prompt_case(name: str, content: str | bytes, want: str = REFUSE) -> Case:
    call = ("python", "-c", READ)
    where = r"x\.jinja|instruction.template"
    write = put("x.jinja", content)
    return Case(KIND, f"prompt: {name}", write, (call,), where, want, outputs=("pwned",))
