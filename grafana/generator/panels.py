"""Builds panels as plain dicts, in the form that every Grafana from 9.3 on reads (schemaVersion 37)."""

from __future__ import annotations

from typing import Any

from .parameters import Steps

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
#: Panels without a version are put through the migrations of Grafana 6.
PLUGIN_VERSION = "9.3.0"


def instant(expr: str, legend: str = "__auto", *, ref: str = "A", table: bool = False) -> Json:
    """A query for the end of the time range."""
    return _target(expr, legend, ref) | {
        "instant": True,
        "range": False,
        "format": "table" if table else "time_series",
    }


def over_time(expr: str, legend: str, *, ref: str = "A", heatmap: bool = False) -> Json:
    """A query for every column of the time range; Grafana undoes cumulative buckets only for heatmaps."""
    return _target(expr, legend, ref) | {
        "instant": False,
        "range": True,
        "format": "heatmap" if heatmap else "time_series",
    }


def _target(expr: str, legend: str, ref: str) -> Json:
    return {
        "refId": ref,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "exemplar": False,
        "expr": expr,
        "legendFormat": legend,
    }


def panel(
    kind: str,
    title: str,
    description: str,
    *,
    targets: list[Json],
    grid: tuple[int, int, int, int],
    unit: str,
    no_value: str,
    options: Json,
    steps: Steps | None = None,
    defaults: Json | None = None,
    overrides: list[Json] | None = None,
    **extra: Any,
) -> Json:
    """What all panels share; `grid` is x, y, width, height, the id is given by the dashboard."""
    x, y, width, height = grid
    field: Json = {
        "unit": unit,
        "noValue": no_value,
        "mappings": [],
        "thresholds": thresholds(steps or ((None, "green"),)),
        "color": {"mode": "thresholds" if steps else "palette-classic"},
    }
    return {
        "type": kind,
        "title": title,
        "description": description,
        "pluginVersion": PLUGIN_VERSION,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "fieldConfig": {"defaults": field | (defaults or {}), "overrides": overrides or []},
        "options": options,
        "targets": targets,
        **extra,
    }


def thresholds(steps: Steps) -> Json:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in steps]}


def reduce_last(**options: Any) -> Json:
    """Options of the panels that show one value of each series."""
    return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, **options}


def horizontal_bars(title: str, description: str, **rest: Any) -> Json:
    options = reduce_last(
        orientation="horizontal",
        displayMode="basic",
        valueMode="color",
        showUnfilled=True,
        minVizWidth=8,
        minVizHeight=16,
    )
    return panel("bargauge", title, description, options=options, **rest)


def gauges(title: str, description: str, **rest: Any) -> Json:
    options = reduce_last(orientation="auto", showThresholdLabels=False, showThresholdMarkers=True)
    return panel("gauge", title, description, options=options, **rest)


def stat(title: str, description: str, **rest: Any) -> Json:
    options = reduce_last(
        orientation="auto",
        textMode="value_and_name",
        colorMode="background",
        graphMode="none",
        justifyMode="auto",
    )
    return panel("stat", title, description, options=options, **rest)


def timeseries(title: str, description: str, *, style: Json, legend: list[str], **rest: Any) -> Json:
    """A graph; `style` goes over the defaults, `legend` lists the columns of the legend table."""
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 0,
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 6,
        "spanNulls": False,
        "axisLabel": "",
        "axisPlacement": "auto",
        "axisSoftMin": 0,
        "barAlignment": 0,
        "scaleDistribution": {"type": "linear"},
        "stacking": {"mode": "none", "group": "A"},
        "thresholdsStyle": {"mode": "off"},
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
    }
    defaults: Json = {"custom": custom | style, "color": {"mode": "palette-classic"}, "min": 0}
    options: Json = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": legend},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, options=options, defaults=defaults, **rest)


def heatmap(title: str, description: str, *, y_unit: str, **rest: Any) -> Json:
    options: Json = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
            "fill": "dark-orange",
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        # Grafana 9 and 10 read "show", 11 and later read "mode".
        "tooltip": {"show": True, "mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": y_unit},
    }
    custom: Json = {"hideFrom": {"legend": False, "tooltip": False, "viz": False}}
    return panel("heatmap", title, description, options=options, defaults={"custom": custom}, **rest)


def table(title: str, description: str, *, sort_by: str, colored: Json, **rest: Any) -> Json:
    """A sortable table; the cells of column `sort_by` are coloured by the field settings `colored`."""
    options: Json = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": []},
        "sortBy": [{"displayName": sort_by, "desc": True}],
    }
    custom: Json = {"align": "auto", "filterable": True, "inspect": False, "displayMode": "auto"}
    properties: list[Json] = [
        # Grafana before 9.4 reads the first of these two, the later ones read the second.
        {"id": "custom.displayMode", "value": "color-background"},
        {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "gradient"}},
        *({"id": key, "value": value} for key, value in colored.items()),
    ]
    overrides: list[Json] = [{"matcher": {"id": "byName", "options": sort_by}, "properties": properties}]
    return panel("table", title, description, options=options, defaults={"custom": custom}, overrides=overrides, **rest)


def organized(columns: dict[str, str]) -> Json:
    """The transformation that puts columns in this order under these names, and drops the time."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True},
            "indexByName": {name: position for position, name in enumerate(columns)},
            "renameByName": columns,
        },
    }
