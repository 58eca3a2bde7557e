"""The dashboards and rule groups that are to be in Grafana, read from files, with their checksums."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..runtime.shipped_files import shipped
from ..runtime.text_files import read_text

FILE_BYTES = 8 << 20
# Addresses of one host in the annotations of the rules; see the head of prometheus/rules/persona_alerts.yml.
_LOCAL_GRAFANA, _LOCAL_RUNBOOK = "http://localhost:3000/", "http://localhost:9090/user/runbook.html"
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Dashboard(NamedTuple):
    """One dashboard file: `spec` is its content without `id`, `uid` and `version`."""

    uid: str
    title: str
    spec: dict[str, Any]
    checksum: str


class Links(NamedTuple):
    """Where the links of the alerts lead: the address of Grafana, and of the runbook (empty: as in the file)."""

    grafana: str = ""
    runbook: str = ""


def dashboards(folder: Path | None = None) -> list[Dashboard]:
    """Those of a folder, or of this installation. Raises ConfigError for an unusable file, and if there is none."""
    found: dict[str, Dashboard] = {}
    for path in _files(folder, "dashboards", "*.json"):
        one = _dashboard(path)
        if one.uid in found:
            raise ConfigError(f"{path}: the uid {one.uid} is that of another file as well; give each its own")
        found[one.uid] = one
    return sorted(found.values())


def _files(folder: Path | None, kind: str, pattern: str) -> list[Path]:
    """Files directly in the folder and in its sub-folder of that kind. An empty answer would mean to prune all."""
    places = [shipped(kind)] if folder is None else [folder, folder / kind]
    paths = sorted(path for place in places for path in place.glob(pattern) if path.is_file())
    if not paths:
        raise ConfigError(f"no {kind} found: expected {pattern} in {' or '.join(map(str, places))}")
    return paths


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return read_text(path, file, FILE_BYTES, "a dashboard or rule file")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None


def _dashboard(path: Path) -> Dashboard:
    try:
        spec = json.loads(_text(path), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON ({error})") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("panels"), list):
        raise ConfigError(
            f"{path}: expected a dashboard with a list of panels, as Grafana exports it (without wrapper)"
        )
    uid, title = spec.pop("uid", None), spec.get("title")
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise ConfigError(f"{path}: uid {uid!r:.60}: expected 1 to 40 letters, digits, - and _")
    if not isinstance(title, str) or not title.strip():
        raise ConfigError(f"{path}: title {title!r:.60}: expected some text")
    for name in ("id", "version"):
        spec.pop(name, None)
    return Dashboard(uid, title, spec, checksum(spec))


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


def checksum(document: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def groups(links: Links, folder: Path | None = None) -> list[dict[str, Any]]:
    """The rule groups of a folder's rule files, or of this installation, as in the files except for the links.

    Raises ConfigError for an unusable file, a group that occurs twice, and if there is none.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in _files(folder, "rules", "*.yml"):
        content = parse_yaml(_text(path), lambda reason, path=path: ConfigError(f"{path}: {reason}"))  # type: ignore[misc]
        listed = content.get("groups") if isinstance(content, dict) else None
        if not isinstance(listed, list):
            raise ConfigError(f"{path}: expected a rule file of Prometheus, with `groups:` at its top")
        for group in listed:
            name = group.get("name") if isinstance(group, dict) else None
            if not isinstance(name, str) or not name or not isinstance(group.get("rules"), list) or not group["rules"]:
                raise ConfigError(f"{path}: group {name!r:.60}: expected a name and a list of rules")
            if name in found:
                raise ConfigError(f"{path}: the group {name} occurs twice; one would replace the other")
            found[name] = _linked(group, links)
    return list(found.values())


def parse_yaml(text: str, failure: Callable[[str], Exception]) -> Any:
    """Parse YAML, which includes JSON. Raises `failure(reason)` if it is invalid, ConfigError without PyYAML."""
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "rules are read with PyYAML, which is not installed: pip install 'hypertool-observability[grafana]', "
            "or push only the dashboards with --rules none"
        ) from None
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise failure(f"not YAML ({' '.join(str(error).split())[:200]})") from None


def _linked(group: dict[str, Any], links: Links) -> dict[str, Any]:
    rules = []
    for rule in group["rules"]:
        notes = rule.get("annotations") if isinstance(rule, dict) else None
        if isinstance(notes, dict):
            rule = {**rule, "annotations": {name: _moved(text, links) for name, text in notes.items()}}
        rules.append(rule)
    return {**group, "rules": rules}


def _moved(text: Any, links: Links) -> Any:
    if isinstance(text, str) and links.grafana:
        text = text.replace(_LOCAL_GRAFANA, links.grafana.rstrip("/") + "/")
    if isinstance(text, str) and links.runbook:
        text = text.replace(_LOCAL_RUNBOOK, links.runbook)
    return text
