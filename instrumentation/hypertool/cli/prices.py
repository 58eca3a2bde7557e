"""`hypertool prices`: which price tables are in use, how old they are, and how to get newer ones."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from ..errors import ConfigError
from ..llm.pricing import convert, cost, generated
from .output import UsageProblem, complain, print_json, say

OLD_DAYS = 60


def run(arguments: argparse.Namespace) -> int:
    """Check or update."""
    if arguments.action == "check":
        if arguments.file or arguments.output:
            raise UsageProblem("`prices check` takes no FILE and no --output")
        return _check(arguments.json)
    return _update(arguments)


def _check(as_json: bool) -> int:
    """Exit 1 if a table cannot be used; an old one is reported, without failing."""
    updated = generated.updated_file()
    tables, problems = [], []
    for name, path in (("package", generated.SHIPPED), ("update", updated)):
        if not path.exists():
            continue
        try:
            table = generated.load(path)
        except ConfigError as error:
            problems.append(str(error))
            continue
        models = sum(len(about["models"]) for about in table.providers.values())
        age = (datetime.datetime.now(datetime.timezone.utc).date() - table.as_of).days
        tables.append(
            {
                "table": name,
                "path": str(path),
                "source": table.source,
                "as_of": table.as_of.isoformat(),
                "age_days": age,
                "providers": len(table.providers),
                "models": models,
            }
        )
    try:
        own = len(cost.reload().own)
    except ConfigError as error:
        own = 0
        problems.append(str(error))
    if as_json:
        print_json({"tables": tables, "own_models": own, "problems": problems})
    else:
        for one in tables:
            say(
                f"{one['table']}: {one['source']} of {one['as_of']} ({one['age_days']} days old), "
                f"{one['models']} models of {one['providers']} providers"
            )
        say(f"own: {own} models in the file that HYPERTOOL_PRICES names")
        if tables and min(int(str(one["age_days"])) for one in tables) > OLD_DAYS:
            say(f"more than {OLD_DAYS} days old; run `hypertool prices update` for a newer table")
        for problem in problems:
            complain("hypertool prices", problem)
    return 1 if problems else 0


def _update(arguments: argparse.Namespace) -> int:
    table = convert.from_file(Path(arguments.file)) if arguments.file else convert.from_package()
    output = Path(arguments.output) if arguments.output else generated.updated_file()
    try:
        convert.write(table, output)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written ({error.strerror})") from None
    found = generated.load(output)
    models = sum(len(about["models"]) for about in found.providers.values())
    if arguments.json:
        print_json({"path": str(output), "source": found.source, "as_of": found.as_of.isoformat(), "models": models})
    else:
        say(f"{output}: {found.source} of {found.as_of}, {models} models; used by processes started from now on")
    return 0
