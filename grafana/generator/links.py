"""The links out of a panel: to another dashboard, to the traces of a run, to Langfuse."""

from __future__ import annotations

import json
from urllib.parse import quote

from .panels import Json

#: Data sources of Grafana Cloud for its own bookkeeping; they contain none of our series.
NOT_OURS = "/^(?!grafanacloud-usage|grafanacloud-ml-metrics).+/"
#: Langfuse as compose/langfuse.yaml publishes it.
LANGFUSE = "http://localhost:3001"


def link_to(uid: str, title: str, **variables: str) -> Json:
    """A link from a row, bar or gauge to another dashboard, keeping time range, data source and host."""
    chosen = "".join(f"&var-{name}={value}" for name, value in variables.items())
    kept = "${datasource:queryparam}&${instance:queryparam}&${__url_time_range}"
    return {"title": title, "url": f"/d/{uid}?{kept}{chosen}", "targetBlank": False}


def traces_link(attribute: str, value: str) -> Json:
    """A link to the traces in Explore whose span attribute equals the value of the row or bar."""
    query = {"refId": "A", "queryType": "traceql", "query": f'{{ .{attribute} = "{value}" }}'}
    range_ = {"from": "${__from}", "to": "${__to}"}
    left = json.dumps({"datasource": "${traces}", "queries": [query], "range": range_}, separators=(",", ":"))
    return {"title": "Traces", "url": f"/explore?left={quote(left, safe='${}:._')}", "targetBlank": False}


def langfuse_link(value: str) -> Json:
    """A link to the traces in Langfuse with the value of the row or bar in their name or tags."""
    return {"title": "In Langfuse", "url": "${langfuse_url}/traces?search=" + value, "targetBlank": True}


def outward_links(variables: list[Json]) -> list[Json]:
    """The button to Langfuse, for dashboards that know its address."""
    if not any(variable["name"] == "langfuse_url" for variable in variables):
        return []
    return [
        {
            "type": "link",
            "title": "Langfuse",
            "url": "${langfuse_url}",
            "tags": [],
            "asDropdown": False,
            "includeVars": False,
            "keepTime": False,
            "targetBlank": True,
            "icon": "external link",
            "tooltip": "The traces with prompts, answers and scores",
        }
    ]


def outward_variables() -> list[Json]:
    """Variables for the targets of the links to Langfuse and to the traces."""
    address = {"selected": True, "text": LANGFUSE, "value": LANGFUSE}
    return [
        {
            "type": "textbox",
            "name": "langfuse_url",
            "label": "Langfuse",
            "description": "The address of your Langfuse project, for the links of this dashboard.",
            "query": LANGFUSE,
            "current": address,
            "options": [address],
            "hide": 0,
            "skipUrlSync": False,
        },
        {
            "type": "datasource",
            "name": "traces",
            "label": "Traces",
            "description": "The Tempo that holds the traces of the workflows; Grafana takes the first that there is.",
            "query": "tempo",
            "regex": NOT_OURS,
            "refresh": 1,
            "multi": False,
            "includeAll": False,
            "options": [],
            "hide": 2,
            "skipUrlSync": False,
        },
    ]
