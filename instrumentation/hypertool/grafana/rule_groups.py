"""Rule groups as objects that can be compared, and the mark of a push in them.

A ruler keeps no annotations of a group. The mark is a comment at the end of the first rule's expression, which PromQL
ignores and every ruler keeps: the checksum of the group as it was pushed. A group that differs from its own checksum
was edited by somebody else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigError
from .sources import checksum
from .steps import CREATE, DELETE, KEEP, UNCHANGED, UPDATE, Step

Group = dict[str, Any]
_MARK = re.compile(r"\s*# pushed by hypertool, sha256:([0-9a-f]{64})\s*\Z")
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_MILLISECONDS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
_GROUP_FIELDS = {"name", "interval", "query_offset", "evaluation_delay", "limit", "rules"}
_RULE_FIELDS = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
_TIMES = ("interval", "query_offset", "evaluation_delay", "for", "keep_firing_for")
RULES_PER_GROUP = 20  # Mimir's and Grafana Cloud's limit for a tenant, unless it is raised


def milliseconds(text: Any) -> int | None:
    """The length of a duration such as 1m30s; None for anything else. A number is seconds."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text * 1000
    found = _DURATION.fullmatch(str(text).strip())
    if found is None or not any(found.groups()):
        return 0 if str(text).strip() == "0" else None
    return sum(int(number) * unit for number, unit in zip(found.groups(), _MILLISECONDS, strict=True) if number)


def canonical(group: Mapping[str, Any]) -> Group:
    """The group without its mark, empty fields and differences of writing (60s and 1m)."""
    rules = [_canonical(rule) for rule in group.get("rules") or () if isinstance(rule, Mapping)]
    if rules:
        rules[0]["expr"] = _MARK.sub("", str(rules[0].get("expr", ""))).strip()
    return {**_canonical({name: value for name, value in group.items() if name != "rules"}), "rules": rules}


def _canonical(fields: Mapping[str, Any]) -> Group:
    found: Group = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            value = {key: str(text) for key, text in value.items()}
        elif name in _TIMES:
            length = milliseconds(value) if value is not None else 0
            value = value if length is None else length
        elif isinstance(value, str):
            value = value.strip()
        if value not in (None, "", 0, {}, []):
            found[name] = value
    return found


def marked(group: Group) -> Group:
    """The group with its mark."""
    first, *others = group["rules"]
    expression = _MARK.sub("", str(first["expr"])).rstrip()
    mark = f"\n# pushed by hypertool, sha256:{checksum(canonical(group))}"
    return {**group, "rules": [{**first, "expr": expression + mark}, *others]}


def pushed(group: Group) -> str:
    """`yes` if the group is as a push left it, `edited` if it was changed since, `no` if it is not from a push."""
    rules = group.get("rules") or [{}]
    found = _MARK.search(str(rules[0].get("expr", ""))) if isinstance(rules[0], Mapping) else None
    if found is None:
        return "no"
    return "yes" if found[1] == checksum(canonical(group)) else "edited"


def check(groups: Iterable[Group], grafana_managed: bool) -> None:
    """Raises ConfigError for what a ruler would refuse after others were written, or would drop silently."""
    for group in groups:
        name, rules = group["name"], group["rules"]
        _check_fields(f"group {name}", group, _GROUP_FIELDS)
        if len(rules) > RULES_PER_GROUP and not grafana_managed:
            raise ConfigError(f"group {name}: {len(rules)} rules, a ruler takes {RULES_PER_GROUP}: split the group")
        if grafana_managed:
            _check_for_grafana(group)
        for number, rule in enumerate(rules, 1):
            where = f"group {name}, rule {number}"
            if not isinstance(rule, Mapping) or not rule.get("expr") or not (rule.get("alert") or rule.get("record")):
                raise ConfigError(f"{where}: expected `alert` or `record`, and `expr`")
            _check_fields(where, rule, _RULE_FIELDS)


def _check_fields(where: str, fields: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(map(str, set(fields) - known))
    if unknown:
        raise ConfigError(
            f"{where}: unknown field {unknown[0]!r:.60}, which a ruler drops silently; expected one of "
            f"{', '.join(sorted(known))}"
        )
    for name in _TIMES:
        if fields.get(name) is not None and milliseconds(fields[name]) is None:
            raise ConfigError(f"{where}: {name} {fields[name]!r:.40}: expected a duration such as 20s or 1h30m")


def _check_for_grafana(group: Group) -> None:
    interval = milliseconds(group.get("interval", "1m")) or 60_000
    if interval % 10_000:
        raise ConfigError(
            f"group {group['name']}: interval {group['interval']}: Grafana's scheduler takes multiples of 10s"
        )
    if group.get("limit"):
        raise ConfigError(
            f"group {group['name']}: Grafana-managed rules have no `limit`; remove it, or use --rules ruler"
        )


def plan(wanted: Iterable[Group], stored: Iterable[Group], force: bool) -> list[Step]:
    """What is to be done so that the wanted groups are in the namespace, and what there is stale."""
    before = {str(group.get("name")): group for group in stored}
    wanted = list(wanted)
    steps = [_step(group, before.get(group["name"]), force) for group in wanted]
    names = {group["name"] for group in wanted}
    return steps + [_stale(name, group, force) for name, group in sorted(before.items()) if name not in names]


def _step(wanted: Group, stored: Group | None, force: bool) -> Step:
    name = wanted["name"]
    if stored is None:
        return Step("rules", name, CREATE)
    state, same = pushed(stored), canonical(wanted) == canonical(stored)
    if state == "yes" and same:
        return Step("rules", name, UNCHANGED)
    difference = _difference(stored, wanted)
    if state == "yes" or same:
        return Step("rules", name, UPDATE, "the file has changed" if not same else "gets its mark", False, difference)
    why = "edited since the last push" if state == "edited" else "not written by this command"
    if force:
        return Step("rules", name, UPDATE, f"{why}; --force", False, difference)
    return Step("rules", name, KEEP, why, False, difference)


def _stale(name: str, group: Group, force: bool) -> Step:
    """Groups without our mark are never deleted: nothing says that they were ours."""
    state = pushed(group)
    if state == "yes" or (state == "edited" and force):
        return Step("rules", name, DELETE, "no longer among the files", stale=True)
    return Step("rules", name, KEEP, "edited since the last push" if state == "edited" else "", stale=True)


def lost(wanted: Group, stored: Group) -> str:
    """The first field of a rule that the stored group lacks."""
    before, after = canonical(wanted)["rules"], canonical({"rules": [], **stored})["rules"]
    for one, kept in zip(before, after, strict=False):
        for name in one:
            if name not in kept:
                return f"{one.get('alert') or one.get('record')} has no {name}"
    return "it has changed"


def _difference(before: Group, after: Group) -> str:
    old, new = _lines(canonical(before)), _lines(canonical(after))
    return "\n".join(difflib.unified_diff(old, new, "in the ruler", "in the file", lineterm="", n=1))


def _lines(group: Group) -> list[str]:
    found = [f"{name}: {value}" for name, value in sorted(group.items()) if name != "rules"]
    for rule in group["rules"]:
        found.append(f"- {rule.get('alert') or rule.get('record')}")
        for name, value in sorted(rule.items()):
            found += [f"  {name}: {line}" for line in (str(value).splitlines() or [""])]
    return found
