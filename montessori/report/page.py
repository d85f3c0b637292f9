"""Build the pieces of the report's page: escaped text, tables, sections, and the style."""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from montessori.errors import escape_row
from montessori.report.svg import STYLE

PAGE_STYLE = """
:root{color-scheme:light dark;--paper:#fbfbfa;--card:#fff;--ink:#1f2430;--soft:#667085;
--edge:#e4e7ec;--good:#0f7a5f;--bad:#b4324a}
@media (prefers-color-scheme:dark){:root{--paper:#15181e;--card:#1d212a;--ink:#e6e8ee;
--soft:#98a2b3;--edge:#343a46;--good:#4cc9a4;--bad:#f0849a}}
*{box-sizing:border-box} body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1160px;margin:0 auto;padding:28px 20px 64px}
h1{font-size:1.9rem;margin:.2em 0} h2{font-size:1.25rem;margin:2.2em 0 .5em} h3{font-size:1rem}
p,li{max-width:75ch} .soft{color:var(--soft)} .lead{font-size:1.08rem;margin:.5em 0}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.9rem} a{color:inherit}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--edge);border-radius:10px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:7px 14px;text-align:right;vertical-align:top;white-space:nowrap}
th{color:var(--soft);font-weight:600} thead th{border-bottom:1px solid var(--edge)}
tr+tr td{border-top:1px solid var(--edge)} th:first-child,td:first-child{text-align:left}
td.text{white-space:pre-wrap;text-align:left;min-width:16ch;max-width:44ch;overflow-wrap:anywhere}
td small{display:block;color:var(--soft)} td .up{color:var(--good)} td .down{color:var(--bad)}
.grid{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr))}
figure{margin:0;background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:14px}
figcaption{font-weight:600;margin-bottom:6px}
svg{display:block;width:100%;max-width:640px;height:auto}
details{margin:10px 0} summary{cursor:pointer;font-weight:600;padding:4px 0}
@media print{nav{display:none} details{break-inside:avoid}}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Markup(str):
    """Text that is already HTML; any other text is escaped before it enters the page."""


def to_html(value: object) -> str:
    """Return `Markup` as it is and any other value escaped, with signs that steer made visible."""
    return value if isinstance(value, Markup) else escape(escape_row(str(value)))


def html_table(head: Sequence[str], rows: Sequence[Sequence[object]], text: bool = False) -> Markup:
    """Build a table that scrolls sideways on narrow screens; with `text`, cells wrap their text."""
    cell = '<td class="text">' if text else "<td>"
    top = "".join(f"<th>{to_html(name)}</th>" for name in head)
    lines = []
    for row in rows:
        cells = "".join(f"{cell}{to_html(value)}</td>" for value in row)
        lines.append(f"<tr>{cells}</tr>")
    body = "".join(lines)
    return Markup(
        f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def figure_grid(charts: Sequence[tuple[str, str]]) -> Markup:
    """Arrange charts (caption, SVG) in a grid of one or two columns."""
    items = "".join(
        f"<figure><figcaption>{to_html(caption)}</figcaption>{chart}</figure>"
        for caption, chart in charts
    )
    return Markup(f'<div class="grid">{items}</div>')


def folded_part(title: str, body: str) -> Markup:
    """Fold a part of the page away under its title; a click opens it."""
    return Markup(f"<details><summary>{to_html(title)}</summary>{body}</details>")


def html_paragraph(text: str, kind: str = "") -> Markup:
    """Escape a text as a paragraph; `kind` is its CSS class."""
    name = f' class="{kind}"' if kind else ""
    return Markup(f"<p{name}>{to_html(text)}</p>")


def link_list(targets: Mapping[str, str]) -> Markup:
    """List links by their texts; targets are relative paths."""
    items = "".join(
        # Quoted for the address, then escaped for HTML: a run's name may need both.
        f'<li><a href="{escape(quote(target), quote=True)}">{to_html(name)}</a></li>'
        for name, target in targets.items()
    )
    return Markup(f"<ul>{items}</ul>")


def html_document(title: str, lead: Sequence[str], sections: Sequence[tuple[str, str]]) -> str:
    """Build the whole page from sentences and (heading, HTML) sections, in one file.

    Its content security policy forbids scripts, loading and sending, so a text that a model wrote
    can do no harm even if escaping failed.
    """
    opening = "".join(html_paragraph(text, "lead") for text in lead)
    links, parts = [], []
    for name, body in sections:
        links.append(f'<a href="#{_anchor_of(name)}">{to_html(name)}</a>')
        heading = f"<h2>{to_html(name)}</h2>"
        parts.append(f'<section id="{_anchor_of(name)}">{heading}{body}</section>')
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{to_html(title)}</title><style>{PAGE_STYLE}{STYLE}</style></head>"
        f"<body><main><h1>{to_html(title)}</h1>"
        f"{opening}<nav>{''.join(links)}</nav>{''.join(parts)}</main></body></html>\n"
    )


def _anchor_of(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())
