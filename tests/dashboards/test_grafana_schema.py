"""Every panel is typed as Grafana types it: a misspelt or invented option is a compile error, not a silent default."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.npm import installed
from tests.dashboards.queries import load_dashboards

#: The panel types in @grafana/schema, with whether they have field settings of their own.
MODULES = {
    "timeseries": ("timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen", True),
    "heatmap": ("heatmap/panelcfg/x/HeatmapPanelCfg_types.gen", True),
    "table": ("table/panelcfg/x/TablePanelCfg_types.gen", False),
    "bargauge": ("bargauge/panelcfg/x/BarGaugePanelCfg_types.gen", False),
    "gauge": ("gauge/panelcfg/x/GaugePanelCfg_types.gen", False),
    "stat": ("stat/panelcfg/x/StatPanelCfg_types.gen", False),
}
HEAD = """\
import type * as schema from "@grafana/schema";
// Grafana fills in what is left out, and takes the plain text of its enumerations.
type Loose<T> = T extends string ? `${T}` : T extends (infer U)[] ? Loose<U>[]
  : T extends object ? { [K in keyof T]?: Loose<T[K]> } : T;
"""


#: Settings that one of the versions below does not know, and what they are for.
ANOTHER_VERSION = {
    "11.6.0": {"gauge": {"neutral", "barWidthFactor"}},  # read by the gauge of Grafana 13
    "13.2.3": {"table": {"footer"}},  # moved to the fields; Grafana 12.1 and later take it over
}


@pytest.fixture(scope="module", params=list(ANOTHER_VERSION))
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def compiler(version: str) -> Path:
    return installed(f"grafana-schema-{version}")


def typed(panel: dict[str, Any], version: str) -> str:
    """TypeScript that compiles only if the panel has no setting that this version of Grafana does not know."""
    panel = copy.deepcopy(panel)
    options = panel.pop("options")
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.pop("custom", None)
    for setting in ANOTHER_VERSION[version].get(panel["type"], set()):
        del options[setting]
    if panel["type"] == "heatmap":
        del options["tooltip"]["show"]  # read by Grafana 9 and 10 only
    if panel["type"] == "table":
        assert custom.pop("displayMode") == "auto"  # read before 9.4 only
    if panel["type"] == "gauge":
        assert set(custom) == {"neutral"}  # missing from the types; see "Neutral value" of any gauge since Grafana 9
        custom = None
    module, own_fields = MODULES[panel["type"]]
    lines = [
        HEAD,
        f'import type * as kind from "@grafana/schema/dist/esm/raw/composable/{module}";',
        f"export const options: Loose<kind.Options> = {json.dumps(options)};",
        f"export const panel: Loose<schema.Panel> = {json.dumps(panel)};",
    ]
    if custom is not None:
        fields = "kind.FieldConfig" if own_fields else "schema.TableFieldOptions"
        lines.append(f"export const custom: Loose<{fields}> = {json.dumps(custom)};")
    return "\n".join(lines) + "\n"


def compiled(compiler: Path, directory: Path, sources: dict[str, str]) -> str:
    """What the compiler complains about; empty if nothing."""
    (directory / "node_modules").symlink_to(compiler / "node_modules")
    for name, source in sources.items():
        (directory / f"{name}.ts").write_text(source, encoding="utf-8")
    flags = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]
    flags += ["--module", "esnext", "--moduleResolution", "node"]
    command = ["node", str(compiler / "node_modules" / "typescript" / "bin" / "tsc"), *flags]
    result = subprocess.run(
        [*command, *(f"{name}.ts" for name in sources)], cwd=directory, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


def test_no_panel_has_an_unknown_setting(compiler: Path, version: str, tmp_path: Path) -> None:
    """No panel has a setting that Grafana does not know."""
    sources = {f"{d['uid']}-{p['id']}": typed(p, version) for d in load_dashboards() for p in d["panels"]}
    assert len(sources) == sum(len(dashboard["panels"]) for dashboard in load_dashboards()) > 30
    assert compiled(compiler, tmp_path, sources) == ""


def test_a_wrong_setting_is_seen(compiler: Path, version: str, tmp_path: Path) -> None:
    """The check itself; all mistakes in one run of the compiler, which takes seconds to start."""
    mistakes: list[tuple[tuple[str, ...], str, object]] = [
        (("options",), "orientaton", "horizontal"),
        (("options",), "displayMode", "blinking"),
        (("options", "reduceOptions"), "calc", ["lastNotNull"]),
        (("fieldConfig", "defaults"), "unti", "short"),
        (("gridPos",), "width", 24),
    ]
    sources = {}
    for number, (where, setting, value) in enumerate(mistakes):
        [panel] = [p for d in load_dashboards() for p in d["panels"] if p["title"] == "Token Usage by Persona"]
        part = panel
        for name in where:
            part = part[name]
        part[setting] = value
        sources[f"wrong{number}"] = typed(panel, version)
    complaints = compiled(compiler, tmp_path, sources)
    for number, (_, setting, value) in enumerate(mistakes):
        about = [line for line in complaints.splitlines() if line.startswith(f"wrong{number}.ts")]
        assert any(setting in line or str(value) in line for line in about), (setting, complaints)
