"""Generates the rule blocks of ALERT_RUNBOOK.md from the rules and renders web/runbook.html from it.

Each alert's runbook_url leads to its section, so the heading is the alert's name and its id is that name in lower
case. The text between the two rule markers of a section is generated, so that conditions are written only once.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

HERE = Path(__file__).resolve().parents[1]
CASES = HERE / "tests"
RUNBOOK = HERE / "ALERT_RUNBOOK.md"
PAGE = HERE / "web" / "runbook.html"
MARKED = re.compile(r"(<!-- rule (?P<alert>\w+) -->\n).*?(<!-- end of rule -->)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #0b62c4; }
@media (prefers-color-scheme: dark) { :root { --link: #7db7ff; } }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 1rem 1.25rem 6rem; }
h1 { line-height: 1.2; } h2 { border-top: 1px solid var(--line); margin-top: 3rem; padding-top: 1.5rem; }
h2:target { background: linear-gradient(90deg, #ffb02e55, transparent); }
h3 { margin-bottom: .3rem; } a { color: var(--link); }
h2 > a, h3 > a { color: inherit; text-decoration: none; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; overflow-x: auto; padding: .7rem; }
code { font: .875em/1.45 ui-monospace, monospace; } :not(pre) > code { background: var(--soft); padding: .1em .3em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
nav ul { columns: 2; } @media (max-width: 40rem) { nav ul { columns: 1; } }
@media print { nav { display: none; } h2 { break-before: page; } }
"""


def alerts(rule_texts: list[str]) -> dict[str, dict[str, Any]]:
    """Alert name -> its rule, in the order of the files."""
    groups = [group for text in rule_texts for group in yaml.safe_load(text)["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def proofs() -> dict[str, list[str]]:
    """What the promtool cases of each alert prove, as "fires: ..." and "quiet: ..."."""
    found: dict[str, list[str]] = {}
    for path in sorted(CASES.glob("*.yml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            alert, _, proof = case["name"].partition(" ")
            found.setdefault(alert, []).append(proof)
    return found


def rule_block(rule: dict[str, Any], proved: list[str]) -> str:
    """The generated part of a section: severity, times, expression, and the cases that prove them."""
    labels = rule["labels"]
    times = f"once its condition has held for {rule['for']}" if "for" in rule else "always"
    if "keep_firing_for" in rule:
        times += f", and goes on for {rule['keep_firing_for']} after it has ended"
    lines = [f"**{labels['severity']}**, category {labels['category']}; fires {times}.", ""]
    lines += ["```yaml", *rule["expr"].rstrip("\n").split("\n"), "```", "", "Proved in `prometheus/tests`:", ""]
    lines += [f"- {proof}" for proof in proved]
    return "\n".join(lines) + "\n\n"


def filled(markdown: str, rules: dict[str, dict[str, Any]]) -> str:
    """The runbook with every rule block generated from the current rules and cases."""

    proved = proofs()

    def fill(match: re.Match[str]) -> str:
        name = match["alert"]
        if name not in rules:
            raise SystemExit(f"{RUNBOOK.name} has a rule block for {name}, which no file of rules/ defines")
        return f"{match[1]}{rule_block(rules[name], proved.get(name, []))}{match[3]}"

    return MARKED.sub(fill, markdown)


def slug(heading: str) -> str:
    """The id of a heading: in lower case, with words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _identify(tokens: list[Token]) -> list[tuple[int, str, str]]:
    """Add ids to headings (made unique by their section) and link each to itself; returns level, id and text."""
    found: list[tuple[int, str, str]] = []
    section = ""
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        level, identity = int(opening.tag[1]), slug(inline.content)
        if level == 2:
            section = identity
        elif level > 2:
            identity = f"{section}-{identity}"
        opening.attrSet("id", identity)
        found.append((level, identity, inline.content))
        if level > 1 and inline.children is not None:
            link, end = Token("link_open", "a", 1), Token("link_close", "a", -1)
            link.attrSet("href", f"#{identity}")
            inline.children = [link, *inline.children, end]
            if level == 2 and inline.content.isalnum():
                # Grafana's tables link to an alert by its name, which they cannot write in lower case.
                by_name = Token("html_inline", "", 0, content=f'<span id="{inline.content}"></span>')
                inline.children.insert(0, by_name)
    return found


def page(markdown: str) -> str:
    """The runbook as one self-contained HTML page."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(COMMENT.sub("", markdown))
    headings = _identify(tokens)
    entries = [f'<li><a href="#{identity}">{text}</a></li>' for level, identity, text in headings if level == 2]
    # The table of contents follows the introduction, just before the first section.
    first = next(i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2")
    body = parser.renderer.render(tokens[:first], parser.options, {})
    rest = parser.renderer.render(tokens[first:], parser.options, {})
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{headings[0][2]}</title>\n<style>{' '.join(STYLE.split())}</style>\n</head>\n<body>\n"
        f"{body}<nav>\n<ul>\n{chr(10).join(entries)}\n</ul>\n</nav>\n{rest}</body>\n</html>\n"
    )


def outputs(rule_texts: list[str]) -> list[tuple[Path, str]]:
    """The runbook and its page with their expected texts; `rule_texts` are those of the rule files."""
    markdown = filled(RUNBOOK.read_text(encoding="utf-8"), alerts(rule_texts))
    return [(RUNBOOK, markdown), (PAGE, page(markdown))]
