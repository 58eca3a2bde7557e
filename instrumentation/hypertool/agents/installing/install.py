"""Installs and uninstalls the hooks of one agent: idempotent; everything else in the files stays byte for byte."""

from __future__ import annotations

import json
import os

from . import applying, files, jsonc, plans, records, serving
from .applying import Result
from .files import CannotEdit
from .plans import Plan


def install(plan: Plan, program: str, check: bool = False) -> Result:
    """Add the hooks; with `check` only say whether that would change a file.

    Raises CannotEdit; then nothing has changed.
    """
    _check_place(plan)
    if plan.shape == "executables":
        return _install_executables(plan, program, check)
    before = files.read(plan.path)
    if plan.shape == "own":
        after = (json.dumps(plans.own_document(program, plan.agent, plan.events), indent=2) + "\n").encode()
        if before is not None and before != after and not _looks_ours(before):
            raise CannotEdit(f"{plan.path} exists and is not ours; move it away, then install again")
    else:
        after = _with_hooks(plan, _text(plan.path, before), program).encode()
    if after == before:
        return Result(plan.agent, plan.path, False, "installed already")
    files.check_writable(plan.path)
    if check:
        return Result(plan.agent, plan.path, True, "would be installed")
    applying.replace(plan.path, before, after)
    return Result(plan.agent, plan.path, True, "installed")


def uninstall(plan: Plan, check: bool = False) -> Result:
    """Remove the hooks; restores the earlier bytes if nothing else has changed since. Raises CannotEdit.

    With `check` it only says whether that would change a file.
    """
    _check_place(plan)
    if plan.shape == "executables":
        return _uninstall_executables(plan, check)
    now = files.read(plan.path)
    if now is None:
        if not check:
            records.forget(plan.path)
        return Result(plan.agent, plan.path, False, "not installed")
    if plan.shape == "own":
        if not _looks_ours(now):
            return Result(plan.agent, plan.path, False, "not installed")
        return _would_go(plan) if check else _undo(plan, None)
    text = _text(plan.path, now)
    without = _without_hooks(plan, text)
    if without == text:
        return Result(plan.agent, plan.path, False, "not installed")
    files.check_writable(plan.path)
    return _would_go(plan) if check else _undo(plan, without, now)


def _check_place(plan: Plan) -> None:
    """Raises CannotEdit for a project's file that a link, which a repository may hold, takes out of the project."""
    for path in (plan.path, *(os.path.join(plan.path, event) for event in plan.events)):
        applying.check_place(path, plan.within)


def _would_go(plan: Plan) -> Result:
    return Result(plan.agent, plan.path, True, "would be uninstalled")


def installed(plan: Plan) -> dict[str, str]:
    """The installed command of each event; empty if none is installed. Raises CannotEdit."""
    if plan.shape == "executables":
        paths = {event: os.path.join(plan.path, event) for event in plan.events}
        contents = {event: files.read(path) for event, path in paths.items()}
        return {event: paths[event] for event, raw in contents.items() if raw is not None and _looks_ours(raw)}
    now = files.read(plan.path)
    if now is None:
        return {}
    document = jsonc.parse(_text(plan.path, now)).plain()
    hooks = document.get("hooks") if isinstance(document, dict) else None
    found: dict[str, str] = {}
    for event in plan.events:
        entries = hooks.get(event) if isinstance(hooks, dict) else None
        for item in entries if isinstance(entries, list) else ():
            if plan.shape == "own" and isinstance(item, dict) and "hypertool" in str(item.get("bash")):
                found[event] = str(item["bash"])
            elif plans.is_ours(plan.agent, item, event):
                found[event] = str(item["hooks"][0]["command"])
    return found


# Settings files

_EMPTY = "{\n}\n"


def _text(path: str, raw: bytes | None) -> str:
    return applying.text_of(path, raw) or _EMPTY


def _parsed(path: str, text: str) -> jsonc.Node:
    try:
        root = jsonc.parse(text)
    except jsonc.NotJson as error:
        raise CannotEdit(f"{path} is not JSON: {error}; fix it, then run `hypertool agents install` again") from None
    if root.kind != "object":
        raise CannotEdit(f"{path} is a JSON {root.kind}, expected an object; it is left alone")
    return root


def _with_hooks(plan: Plan, text: str, program: str) -> str:
    if set(_commands(plan, text)) != {plans.command(program, plan.agent, event) for event in plan.events}:
        text = _without_hooks(plan, text)  # hooks of another program, or for fewer events
    for event in reversed(plan.events):
        text = _with_hook(plan, text, event, program)
    return text


def _commands(plan: Plan, text: str) -> list[str]:
    hooks = _parsed(plan.path, text).member("hooks")
    found = []
    for event in plan.events:
        entries = hooks.member(event) if hooks is not None else None
        for item in entries.items if entries is not None else ():
            value = item.plain()
            if plans.is_ours(plan.agent, value, event):
                found.append(str(value["hooks"][0]["command"]))
    return found


def _with_hook(plan: Plan, text: str, event: str, program: str) -> str:
    unit = _unit(text)
    root = _parsed(plan.path, text)
    entry = json.dumps(plans.entry(program, plan.agent, event), indent=len(unit) if unit != "\t" else unit)
    hooks = root.member("hooks")
    if hooks is None:
        new = f'"hooks": {{\n{unit}"{event}": [\n{unit * 2}{_deeper(entry, unit * 2)}\n{unit}]\n}}'
        return jsonc.insert(text, root, new, unit, "")
    if hooks.kind != "object":
        raise CannotEdit(f'{plan.path}: "hooks" is a JSON {hooks.kind}, expected an object; it is left alone')
    entries = hooks.member(event)
    if entries is None:
        new = f'"{event}": [\n{unit}{_deeper(entry, unit)}\n]'
        return jsonc.insert(text, hooks, new, unit * 2, unit)
    if entries.kind != "array":
        raise CannotEdit(f'{plan.path}: "hooks.{event}" is a JSON {entries.kind}, expected an array; it is left alone')
    if any(plans.is_ours(plan.agent, item.plain(), event) for item in entries.items):
        return text
    return jsonc.insert(text, entries, entry, unit * 3, unit * 2)


def _deeper(written: str, indent: str) -> str:
    return written.replace("\n", "\n" + indent)


def _unit(text: str) -> str:
    """One step of the file's own indentation."""
    for line in text.splitlines()[1:]:
        step = line[: len(line) - len(line.lstrip())]
        if line.strip() and step:
            return "\t" if step.startswith("\t") else step
    return "  "


def _without_hooks(plan: Plan, text: str) -> str:
    for event in plan.events:
        while True:
            hooks = _parsed(plan.path, text).member("hooks")
            entries = hooks.member(event) if hooks is not None and hooks.kind == "object" else None
            if hooks is None or entries is None or entries.kind != "array":
                break
            ours = next((item for item in entries.items if plans.is_ours(plan.agent, item.plain(), event)), None)
            if ours is None:
                break
            if len(entries.items) > 1:
                text = jsonc.remove(text, entries, ours.start, ours.end)
                continue
            start = next(at for key, at, node in hooks.members if node is entries)
            text = jsonc.remove(text, hooks, start, entries.end)
            root = _parsed(plan.path, text)
            left = root.member("hooks")
            if left is not None and left.kind == "object" and not left.members and _only_space(text, left):
                start = next(at for key, at, node in root.members if node is left)
                text = jsonc.remove(text, root, start, left.end)
            break
    return text


def _only_space(text: str, node: jsonc.Node) -> bool:
    return not text[node.start + 1 : node.end - 1].strip()


# Files


def _looks_ours(raw: bytes) -> bool:
    return b"hypertool" in raw and b" hook " in raw


def _undo(plan: Plan, without: str | None, now: bytes | None = None) -> Result:
    more = without is not None and serving.in_text(plan.agent, without)
    applying.undo(plan.path, without.encode() if without is not None else None, now, more)
    return Result(plan.agent, plan.path, True, "uninstalled")


def _install_executables(plan: Plan, program: str, check: bool) -> Result:
    wanted = {os.path.join(plan.path, event): plans.script(program, plan.agent, event) for event in plan.events}
    present = {path: files.read(path) for path in wanted}
    for path, raw in present.items():
        if raw is not None and plans.MARK.encode() not in raw:
            raise CannotEdit(
                f"{path} exists and is not ours; add the line `{program} hook {plan.agent} {os.path.basename(path)}` "
                "to it, or move it away and install again"
            )
    changed = [path for path, raw in wanted.items() if present[path] != raw]
    for path in changed:
        files.check_writable(path)
    if changed and check:
        return Result(plan.agent, plan.path, True, "would be installed")
    for path in changed:
        records.save(records.Record(path, None, wanted[path], records.missing_folders(path)))
        files.write(path, wanted[path], 0o755)
    return Result(plan.agent, plan.path, bool(changed), "installed" if changed else "installed already")


def _uninstall_executables(plan: Plan, check: bool) -> Result:
    changed = False
    # In reverse order: the first file's record lists the created folders, which are empty by then.
    for event in reversed(plan.events):
        path = os.path.join(plan.path, event)
        raw = files.read(path)
        if raw is None or plans.MARK.encode() not in raw:
            continue
        if check:
            return _would_go(plan)
        record = records.load(path)
        files.delete(path)
        records.forget(path)
        if record is not None:
            records.remove_folders(record)
        changed = True
    return Result(plan.agent, plan.path, changed, "uninstalled" if changed else "not installed")
