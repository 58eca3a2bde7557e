#!/usr/bin/env python3
"""Fills the rule blocks of ALERT_RUNBOOK.md from the rules and renders web/runbook.html from it.

    python3 prometheus/build_runbook.py            write both files
    python3 prometheus/build_runbook.py --check    exit 1 and say which file is out of date

A section is linked from its alert's runbook_url, so its heading is the alert's name and its id that name in lower
case. What stands between the two rule markers of a section is generated: conditions are never typed twice.
"""

from __future__ import annotations

import argparse
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

HERE = Path(__file__).resolve().parent
RULES = HERE / "rules"
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


def alerts() -> dict[str, dict[str, Any]]:
    """Alert name -> its rule, in the order of the files."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yml"))]
    groups = [group for file in files for group in file["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def proofs(alert: str) -> list[str]:
    """What the promtool cases of one alert show, as "fires: ..." and "quiet: ..."."""
    found: list[str] = []
    for path in sorted(CASES.glob("*.yml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            name, _, rest = case["name"].partition(" ")
            if name == alert:
                found.append(rest)
    return found


def rule_block(alert: str, rule: dict[str, Any]) -> str:
    """The generated part of a section: severity, times, expression, and the cases that prove them."""
    labels = rule["labels"]
    times = f"once its condition has held for {rule['for']}" if "for" in rule else "always"
    if "keep_firing_for" in rule:
        times += f", and goes on for {rule['keep_firing_for']} after it has ended"
    lines = [f"**{labels['severity']}**, category {labels['category']}; fires {times}.", ""]
    lines += ["```yaml", *rule["expr"].rstrip("\n").split("\n"), "```", "", "Proved in `prometheus/tests`:", ""]
    lines += [f"- {proof}" for proof in proofs(alert)]
    return "\n".join(lines) + "\n\n"


def filled(markdown: str) -> str:
    """The runbook with every rule block as the rules and the cases have it now."""
    rules = alerts()

    def fill(match: re.Match[str]) -> str:
        name = match["alert"]
        if name not in rules:
            raise SystemExit(f"{RUNBOOK.name} has a rule block for {name}, which no file of {RULES.name}/ defines")
        return f"{match[1]}{rule_block(name, rules[name])}{match[3]}"

    return MARKED.sub(fill, markdown)


def slug(heading: str) -> str:
    """The id of a heading: an alert's name in lower case, other words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _identify(tokens: list[Token]) -> list[tuple[int, str, str]]:
    """Give headings ids (made unique by their section) and link them to themselves; returns level, id, text."""
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
    return found


def page(markdown: str) -> str:
    """The runbook as one self-contained HTML page."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(COMMENT.sub("", markdown))
    headings = _identify(tokens)
    entries = [f'<li><a href="#{identity}">{text}</a></li>' for level, identity, text in headings if level == 2]
    # The contents follow the introduction, just before the first section.
    first = next(i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2")
    body = parser.renderer.render(tokens[:first], parser.options, {})
    rest = parser.renderer.render(tokens[first:], parser.options, {})
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{headings[0][2]}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{body}<nav>\n<ul>\n{chr(10).join(entries)}\n</ul>\n</nav>\n{rest}</body>\n</html>\n"
    )


def main() -> int:
    """Write both files, or with --check compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file is out of date")
    check = parser.parse_args().check
    markdown = filled(RUNBOOK.read_text(encoding="utf-8"))
    stale = 0
    for path, text in ((RUNBOOK, markdown), (PAGE, page(markdown))):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            print(f"{path.relative_to(HERE.parent)} is out of date: run python3 prometheus/build_runbook.py")
            stale = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(HERE.parent)}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
