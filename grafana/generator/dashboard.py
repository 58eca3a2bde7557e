"""Assembles panels and variables into a dashboard: bare JSON for provisioning and import."""

from __future__ import annotations

from prometheus.generator.counting import BUILD_INFO

from .links import NOT_OURS, outward_links
from .panels import DATASOURCE, Json
from .parameters import DEFAULT_RANGE

SCHEMA_VERSION = 37
TAG = "hypertool"
#: Our firing alerts. Prometheus records them where it evaluates our rules; elsewhere graphs have no marks.
FIRING = ('alertstate="firing"', 'component="hypertool"', 'alertname!="Watchdog"')
#: Single-value variables that alerts may carry as a label, or lack.
FILTERS = ("workflow", "persona", "agent")


def dashboard(
    uid: str, title: str, description: str, *, refresh: str, panels: list[Json], variables: list[Json]
) -> Json:
    """Panels get the ids 1..n in their order; alert links refer to these ids."""
    return {
        "uid": uid,
        "id": None,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": refresh,
        "time": {"from": DEFAULT_RANGE, "to": "now"},
        "timepicker": {},
        "links": [_dashboard_links(), *outward_links(variables)],
        "annotations": {"list": [_builtin_annotation(), _alert_annotation(variables)]},
        "templating": {"list": [_datasource_variable(), instance_variable(), *variables]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, start=1)],
    }


def query_variable(name: str, label: str, query: str, description: str) -> Json:
    """A list of label values with "All" first; its pattern also matches series without the label."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
    }


def instance_variable() -> Json:
    return query_variable(
        "instance", "Host", f"label_values({BUILD_INFO}, instance)", "The hosts whose agents are shown."
    )


def _datasource_variable() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "regex": NOT_OURS,
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
    }


def _dashboard_links() -> Json:
    return {
        "type": "dashboards",
        "title": "Hypertool dashboards",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _builtin_annotation() -> Json:
    return {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }


def _alert_annotation(variables: list[Json]) -> Json:
    """Marks for firing alerts; an alert without the label of a variable is always shown."""
    names = {variable["name"] for variable in variables}
    chosen = [f'{name}=~"${name}|"' for name in FILTERS if name in names]
    matchers = ", ".join([*FIRING, 'instance=~"$instance|"', *chosen])
    return {
        "name": "Hypertool alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": f"ALERTS{{{matchers}}}",
        "step": "60s",
        "titleFormat": "{{alertname}}",
        # A missing label would show as its own name; as a tag it is omitted.
        "textFormat": "{{instance}}",
        "tagKeys": "severity,persona,workflow,stage",
        "useValueForTime": False,
    }
