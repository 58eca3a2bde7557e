"""The JSON Schemas of the configuration file and of a prompt file's front matter, for editors.

The files beside this module are generated from the tables of fields: `python3 -m docs.generator`.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..runtime.light_typing import Any
from .fields import SCHEMA, Choice, Count, Field, Many, Named, Table, Text
from .persona_profile import FIELDS as PROFILE
from .persona_tables import MAX_BUDGET, ON_EXCEED, UNKNOWN_PERSONA, WINDOWS
from .workflow_fields import FRONT_MATTER as FRONT_MATTER_TABLE
from .workflow_fields import PERSONA, WORKFLOWS

CONFIGURATION = Path(__file__).with_name("hypertool.schema.json")
FRONT_MATTER = Path(__file__).with_name("prompt.schema.json")

_TOKENS = Count(1, MAX_BUDGET)
_ANY = Text("the name of a workflow", longest=1000)
_PERSONA = Table(
    "a table with `tokens`",
    tokens=Field(_TOKENS, "tokens per budget window; a new persona needs it"),
    window=Field(Choice(*WINDOWS), "run (starts full with every workflow run), hour or day (UTC)"),
    on_exceed=Field(Choice(*ON_EXCEED), "warn, or block the next LLM call"),
    aliases=Field(Many(PERSONA, "names", 0, 100), "other names accepted as input"),
    workflows=Field(
        Named(_ANY, Table("a table", tokens=Field(_TOKENS, "tokens of one run", required=True)), "tables"),
        "the persona's budget in the runs of one workflow",
    ),
    **PROFILE,
)
_FILE = Table(
    "tables",
    personas=Field(Named(PERSONA, _PERSONA, "tables like [personas.reviewer]", 256), "personas and their budgets"),
    unknown_persona=Field(Choice(*UNKNOWN_PERSONA), "what an LLM call with an unknown persona does"),
    workflows=Field(WORKFLOWS, "workflows of one's own"),
)


def configuration() -> dict[str, Any]:
    """The schema of hypertool.toml."""
    return {"$schema": SCHEMA, "title": "Configuration of Hypertool Observability", **_FILE.schema()}


def front_matter() -> dict[str, Any]:
    """The schema of a prompt file's front matter."""
    return {"$schema": SCHEMA, "title": "Front matter of a Hypertool prompt workflow", **FRONT_MATTER_TABLE.schema()}


def files() -> dict[Path, str]:
    """The text of both files."""
    return {
        path: json.dumps(schema, indent=2, ensure_ascii=True) + "\n"
        for path, schema in ((CONFIGURATION, configuration()), (FRONT_MATTER, front_matter()))
    }
