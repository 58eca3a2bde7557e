"""`hypertool gate` and `hypertool drill`."""

from __future__ import annotations

import argparse
import time

from ..domain.personas import load_catalogue
from ..errors import HypertoolError, StoreUnavailable
from ..runtime.settings import disabled
from ..store.store import Store
from .output import UsageProblem, complain, label, listen, print_json, say
from .persona import resolve, tell
from .places import alerts_page

OVERSPEND = 250
DRILL = "token_budget_drill"


def gate(arguments: argparse.Namespace) -> int:
    """Run a command as a stage; a failure to record goes to stderr and does not change the exit code."""
    workflow, stage = label("--workflow", arguments.workflow), label("--stage", arguments.stage)
    catalogue = load_catalogue()
    persona = resolve(catalogue, arguments.persona).name
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command or not command[0]:
        raise UsageProblem("no command to run; see `hypertool gate --help`")
    from ..workflow.gate import run_gate

    heard = listen()
    started = time.monotonic()
    if arguments.quiet:
        from .quiet import quietly

        code = quietly(lambda output: run_gate(workflow, stage, persona, command, output), arguments.tail)
    else:
        code = run_gate(workflow, stage, persona, command)
    if workflow in catalogue.workflows and not disabled():
        from ..workflow.progress import note_gate

        try:
            note_gate(catalogue, workflow, stage, code == 0, time.monotonic() - started)
        except HypertoolError as error:
            if not heard:  # Otherwise the store's own message says what is wrong with the directory.
                heard.append(str(error))
    for line in heard:
        complain("hypertool gate", line)
    return code


def drill(arguments: argparse.Namespace) -> int:
    """Overspend a budget with a run of this process, or refill it."""
    catalogue = load_catalogue()
    persona = resolve(catalogue, arguments.persona)
    store = Store.locate()
    store.directory.ensure()
    undo = f"hypertool drill token-budget-exceeded --persona {persona.name} --reset"
    if arguments.reset:
        store.reset_budget(persona.name)
        budget = store.read(catalogue).budgets[persona.name]
        if arguments.json:
            print_json({"persona": persona.name, "reset": True, **budget._asdict()})
            return 0
        tell(store.note)
        say(
            f"{persona.name} has {budget.remaining} of {budget.limit} tokens again; the alert TokenBudgetExceeded "
            "resolves within about 2 minutes"
        )
        return 0
    from ..domain.workflows import SIMULATED_MODEL
    from ..metrics.collector import get_persona_metrics
    from ..recording.ambient import use_run

    heard = listen()
    metrics = get_persona_metrics()
    run = metrics.open_run(DRILL, "default")
    with use_run(run):
        spent = max(metrics.get_remaining_budget(persona.name), 0) + OVERSPEND
        metrics.record_token_usage(persona.name, "default", SIMULATED_MODEL, spent)
    metrics.close_run(run)
    if not metrics.flush():
        raise StoreUnavailable(f"nothing was recorded: {heard[-1] if heard else 'the store refused it'}")
    budget = store.read(catalogue).budgets[persona.name]
    if budget.remaining >= 0:
        raise StoreUnavailable(
            f"{store.path} shows {budget.remaining} tokens left for {persona.name} instead of an "
            "overspent budget: another run of this persona is active, or it was reset meanwhile"
        )
    if arguments.json:
        print_json(
            {
                "persona": persona.name,
                "spent": spent,
                "undo": undo,
                **budget._asdict(),
                "notes": [store.note] if store.note else [],
            }
        )
        return 0
    tell(store.note)
    watch = alerts_page()
    see = f"{watch.url}  ({watch.now})" if watch.leads else "hypertool status --watch  (no Prometheus answers here)"
    lasts = "15 minutes from now" if persona.window == "run" else f"when the {persona.window} ends"
    say(
        f"{persona.name} used {spent} simulated tokens and has {budget.remaining} of {budget.limit} left\n"
        f"what happens   TokenBudgetExceeded is pending at once and fires after 1 minute; the notification\n"
        f"               arrives in {store.directory.private}/alerts.jsonl and the journal of hypertool-alert-log\n"
        f"watch it       {see}\n"
        f"end it         {undo}\n"
        f"               (without that, it ends {lasts})"
    )
    return 0
