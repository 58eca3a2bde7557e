"""Builds panels as plain dicts, in the form that every Grafana from 9.3 on reads (schemaVersion 37).

Settles for all panels what only shows in a real Grafana: an empty panel has no alarm colour, whole numbers are not
shortened, a single bar keeps its name, and one event in a graph is a visible bar or point.
"""

from __future__ import annotations

from typing import Any

from .parameters import Steps

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
#: Grafana runs panels without a version through the migrations of Grafana 6.
PLUGIN_VERSION = "9.3.0"
#: The colour of the words in an empty panel; readable on dark and light, and no alarm on either.
QUIET = "#8e8e8e"
#: Sizes of names and figures, in pixels. Without them Grafana enlarges a few rows until their names are cut.
TEXT: Json = {"titleSize": 12, "valueSize": 16}
#: The least and the greatest height of a bar with its name, in pixels: with the name beside it, and above it.
BESIDE, BELOW = (18, 30), (34, 60)
#: How Grafana heads the columns of a legend, by calculation.
LEGEND_COLUMNS = {"mean": "Mean", "max": "Max", "sum": "Total", "lastNotNull": "Last *"}
#: What empty graphs say besides: Grafana draws complete columns only, so panels of one value show an event before them.
NEXT_COLUMN = "; new ones show with the next column"
#: Panels that colour by thresholds, including the words for "nothing".
SINGLE_VALUES = ("stat", "gauge", "bargauge")


def instant(expr: str, legend: str = "__auto", *, ref: str = "A", table: bool = False) -> Json:
    """A query for the end of the time range."""
    return _target(expr, legend, ref) | {
        "instant": True,
        "range": False,
        "format": "table" if table else "time_series",
    }


def over_time(expr: str, legend: str, *, ref: str = "A", heatmap: bool = False) -> Json:
    """A query for every column of the time range; Grafana converts cumulative buckets only for heatmaps."""
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
    """The settings common to all panels; `grid` is x, y, width, height; the dashboard sets the id."""
    x, y, width, height = grid
    field: Json = {
        "unit": unit,
        "noValue": no_value,
        "mappings": [nothing(no_value)] if kind in SINGLE_VALUES else [],
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


def nothing(words: str) -> Json:
    """Maps "no value" to words in a quiet colour; otherwise they would have the colour of the lowest threshold."""
    return {"type": "special", "options": {"match": "null+nan", "result": {"text": words, "color": QUIET, "index": 0}}}


def reduce_last(**options: Any) -> Json:
    """Options of panels that show one value per series."""
    return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, **options}


def horizontal_bars(title: str, description: str, *, name: str, beside: bool = False, **rest: Any) -> Json:
    """Bars; `name` is built from labels (`${__field.labels.x}`): Grafana drops the legend of a single bar.

    `beside` puts the names left of the bars, where they may take no more than 40 % of the panel; long ones are above.
    """
    options = reduce_last(
        orientation="horizontal",
        displayMode="basic",
        # The bar has the colour; yellow figures cannot be read on white.
        valueMode="text",
        namePlacement="left" if beside else "top",
        showUnfilled=False,
        sizing="manual",
        minVizWidth=8,
        # More bars than have room scroll; smaller ones would lie on each other's names.
        minVizHeight=BESIDE[0] if beside else BELOW[0],
        maxVizHeight=BESIDE[1] if beside else BELOW[1],
        # Beside a bar Grafana measures a name at the size that fits the bar's height, and cuts a larger one.
        text={"valueSize": TEXT["valueSize"]} if beside else TEXT,
    )
    if beside:
        # Grafana makes room for the name with most letters, which need not be the widest. Spaces at the end count
        # when it measures, and are not drawn.
        name += " " * 6
    rest["defaults"] = {"displayName": name} | rest.get("defaults", {})
    return panel("bargauge", title, description, options=options, **rest)


def gauges(title: str, description: str, *, name: str, **rest: Any) -> Json:
    # The arc begins at 0: an overspent budget has a longer one the more is overspent, an empty panel none. Grafana 13
    # has another gauge: it reads where the arc begins from the options, and draws it so wide that it covers names.
    options = reduce_last(
        orientation="auto",
        showThresholdLabels=False,
        # Grafana 9 draws their ring, red at its end, around an empty gauge too.
        showThresholdMarkers=False,
        text={"titleSize": 11},
        neutral=0,
        barWidthFactor=0.2,
    )
    rest["defaults"] = {"displayName": name, "custom": {"neutral": 0}} | rest.get("defaults", {})
    return panel("gauge", title, description, options=options, **rest)


def stat(title: str, description: str, *, filled: bool = True, named: bool = True, **rest: Any) -> Json:
    """Large numbers; `filled` colours the background, `named` shows the name of each series."""
    options = reduce_last(
        orientation="auto",
        textMode="value_and_name" if named else "value",
        colorMode="background" if filled else "value",
        graphMode="none",
        justifyMode="auto",
    )
    made = panel("stat", title, description, options=options, **rest)
    if filled:
        # With the colour of words, a filled background would be a large grey block.
        made["fieldConfig"]["defaults"]["mappings"][0]["options"]["result"]["color"] = "transparent"
    return made


def bars_over_time(title: str, description: str, *, legend: list[str], **rest: Any) -> Json:
    """Stacked bars: each counts the events up to its time, and a single event is visible."""
    style: Json = {
        "drawStyle": "bars",
        "fillOpacity": 80,
        "lineWidth": 1,
        "showPoints": "never",
        "barAlignment": -1,
        "stacking": {"mode": "normal", "group": "A"},
    }
    return timeseries(title, description, style=style, legend=legend, **rest)


def points_over_time(title: str, description: str, *, legend: list[str], **rest: Any) -> Json:
    """One point for each column with a finished event, and thresholds as dashed lines."""
    style: Json = {
        "drawStyle": "points",
        "showPoints": "always",
        "pointSize": 7,
        "thresholdsStyle": {"mode": "dashed"},
    }
    return timeseries(title, description, style=style, legend=legend, **rest)


def timeseries(title: str, description: str, *, style: Json, legend: list[str], axis: str = "", **rest: Any) -> Json:
    """A graph; `style` overrides the defaults, `legend` lists the columns of the legend table, `axis` is a name."""
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 0,
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 6,
        "spanNulls": False,
        "axisLabel": axis,
        "axisPlacement": "auto",
        "axisSoftMin": 0,
        "barAlignment": 0,
        "scaleDistribution": {"type": "linear"},
        "stacking": {"mode": "none", "group": "A"},
        "thresholdsStyle": {"mode": "off"},
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
    }
    defaults: Json = {"custom": custom | style, "color": {"mode": "palette-classic"}, "min": 0}
    defaults |= rest.pop("defaults", {})
    options: Json = {
        # A legend shows about three rows and scrolls: the largest come first.
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": legend,
            "sortBy": LEGEND_COLUMNS[legend[0]],
            "sortDesc": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    rest["no_value"] += NEXT_COLUMN
    return panel("timeseries", title, description, options=options, defaults=defaults, **rest)


def heatmap(title: str, description: str, *, y_unit: str, **rest: Any) -> Json:
    options: Json = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            # A scheme is turned round in the light theme, where one event would be red or nearly white.
            "mode": "opacity",
            "scheme": "Blues",
            "scale": "exponential",
            "exponent": 0.3,
            "steps": 64,
            "reverse": False,
            "fill": "blue",
            "min": 0,
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
    rest["no_value"] += NEXT_COLUMN
    return panel("heatmap", title, description, options=options, defaults={"custom": custom}, **rest)


def table(
    title: str,
    description: str,
    *,
    sort_by: tuple[str, ...],
    colored: Json | None = None,
    widths: dict[str, int] | None = None,
    links: dict[str, list[Json]] | None = None,
    units: dict[str, str] | None = None,
    **rest: Any,
) -> Json:
    """A table sorted by the first column of `sort_by`, with ties broken by the others.

    `colored` are field settings that colour the cells of that first column; `widths` (in pixels), `links` and `units`
    are by column.
    """
    first, *others = sort_by
    options: Json = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": []},
        "sortBy": [{"displayName": first, "desc": True}, *({"displayName": other, "desc": False} for other in others)],
    }
    # Columns take 150 pixels each unless told otherwise, and what is beyond the panel is out of sight.
    custom: Json = {"align": "auto", "filterable": False, "inspect": False, "displayMode": "auto", "minWidth": 60}
    properties: dict[str, list[Json]] = {}
    if colored:
        properties[first] = [
            # Grafana before 9.4 reads the first of these two; later versions read the second.
            {"id": "custom.displayMode", "value": "color-background-solid"},
            {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
            *({"id": key, "value": value} for key, value in colored.items()),
        ]
    for column, unit in (units or {}).items():
        properties.setdefault(column, []).append({"id": "unit", "value": unit})
    for column, width in (widths or {}).items():
        properties.setdefault(column, []).append({"id": "custom.width", "value": width})
    for column, targets in (links or {}).items():
        properties.setdefault(column, []).append({"id": "links", "value": targets})
    overrides = [
        {"matcher": {"id": "byName", "options": column}, "properties": settings}
        for column, settings in properties.items()
    ]
    return panel("table", title, description, options=options, defaults={"custom": custom}, overrides=overrides, **rest)


def organized(columns: dict[str, str], *left_out: str) -> Json:
    """The transformation that orders and renames columns, and drops the time and all unlisted columns."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(("Time", *left_out), True),
            "indexByName": {name: position for position, name in enumerate(columns)},
            "renameByName": columns,
        },
    }


def colored_series(pattern: str, color: str) -> Json:
    """The override that gives series whose name matches the pattern one colour."""
    return {
        "matcher": {"id": "byRegexp", "options": pattern},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
    }
