// Puts query results through Grafana's own code (@grafana/data): units, transformations, texts and colours.
// Reads {panels: [{panel, results: {A: [series]}}]} from standard input; argv[2] is where the module is installed.
"use strict";

// The library looks for a browser when it is loaded, but needs none for what is used here.
globalThis.window = globalThis;
globalThis.self = globalThis;
if (!globalThis.navigator) globalThis.navigator = { language: "en-GB", languages: ["en-GB"], userAgent: "node" };
const anything = new Proxy(function () {}, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => "" : anything),
  apply: () => anything,
});
globalThis.document = new Proxy({}, { get: () => anything });
globalThis.history = globalThis.location = anything;
for (const name of ["addEventListener", "removeEventListener"]) globalThis[name] = () => {};

const { createRequire } = require("module");
const { readFileSync } = require("fs");
const path = require("path");
const data = createRequire(path.join(process.argv[2], "package.json"))("@grafana/data");
const { FieldType, toDataFrame, createTheme, Registry, getValueFormats } = data;

const fill = (legend, labels) => legend.replace(/\{\{(\w+)\}\}/g, (_, name) => labels[name] ?? "");
const last = (series) => (series.values ?? [series.value]).at(-1);

// One frame for each series, as the Prometheus data source makes of a time series.
function seriesFrames(target, results) {
  return results.map((series) => {
    const points = series.values ?? [series.value];
    const config = { displayNameFromDS: fill(target.legendFormat, series.metric) };
    return toDataFrame({
      refId: target.refId,
      fields: [
        { name: "Time", type: FieldType.time, values: points.map(([time]) => time * 1000) },
        { name: "Value", type: FieldType.number, config, labels: series.metric, values: points.map(([, v]) => Number(v)) },
      ],
    });
  });
}

// One frame with a column for each label, as the data source makes of the format "table".
function tableFrame(target, results, several) {
  const labels = [...new Set(results.flatMap((series) => Object.keys(series.metric)))].sort();
  const column = (name) => ({ name, type: FieldType.string, values: results.map((s) => s.metric[name]) });
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: results.map((s) => last(s)[0] * 1000) },
      ...labels.map(column),
      {
        name: several ? `Value #${target.refId}` : "Value",
        type: FieldType.number,
        values: results.map((s) => Number(last(s)[1])),
      },
    ],
  });
}

const OPTIONS = ["unit", "min", "max", "decimals", "noValue", "mappings", "thresholds", "color"];
const registry = new Registry(() =>
  OPTIONS.map((id) => ({ id, path: id, name: id, process: (value) => value, shouldApply: () => true }))
);

// Some are listed twice, under an old and a new name. Grafana 13 asks for a function that loads one.
const transformers = new Map(Object.values(data.standardTransformers).map((one) => [one.id, one]));
const either = (one) => new Proxy(() => Promise.resolve(one), { get: (_, name) => one[name] });
data.standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((one) => ({ id: one.id, name: one.name, transformation: either(one) }))
);

function transformed(transformations, frames) {
  const context = { interpolate: (text) => text };
  return new Promise((resolve, reject) =>
    data.transformDataFrame(transformations, frames, context).subscribe({ next: resolve, error: reject })
  );
}

function rowsOf(frames) {
  return frames.flatMap((frame) =>
    Array.from({ length: frame.length }, (_, row) =>
      Object.fromEntries(
        frame.fields.map((field) => [data.getFieldDisplayName(field, frame, frames), [...field.values.toArray()][row]])
      )
    )
  );
}

async function show({ panel, results }) {
  const table = panel.targets[0].format === "table";
  const several = panel.targets.length > 1;
  let frames = panel.targets.flatMap((target) =>
    table ? [tableFrame(target, results[target.refId], several)] : seriesFrames(target, results[target.refId])
  );
  if (panel.transformations) frames = await transformed(panel.transformations, frames.filter((frame) => frame.length));
  const theme = createTheme();
  const { fieldConfig } = panel;
  const shared = { theme, replaceVariables: (text) => text, timeZone: "utc" };
  const styled = data.applyFieldOverrides({ ...shared, data: frames, fieldConfig, fieldConfigRegistry: registry });
  const named = (color) =>
    ["green", "yellow", "red"].find((name) => theme.visualization.getColorByName(name) === color) ?? color;
  const cells = [];
  if (table) {
    for (const frame of styled) {
      const field = frame.fields.find((one) => data.getFieldDisplayName(one, frame, styled) === panel.options.sortBy[0].displayName);
      for (const value of field ? field.values.toArray() : []) {
        const shown = field.display(value);
        cells.push({ title: "", text: `${shown.text}${shown.suffix ?? ""}`, color: named(shown.color) });
      }
    }
    return { rows: rowsOf(styled), cells };
  }
  if (!panel.options.reduceOptions) {
    for (const frame of styled) {
      const field = frame.fields.find((one) => one.type === FieldType.number);
      cells.push({ title: data.getFieldDisplayName(field, frame, styled), text: "", color: field.config.color?.fixedColor ?? "" });
    }
    return { rows: [], cells };
  }
  const displays = data.getFieldDisplayValues({ ...shared, fieldConfig, reduceOptions: panel.options.reduceOptions, data: styled });
  for (const { display } of displays) {
    cells.push({ title: display.title ?? "", text: `${display.text}${display.suffix ?? ""}`, color: named(display.color) });
  }
  return { rows: [], cells };
}

(async () => {
  const input = JSON.parse(readFileSync(0, "utf8"));
  const units = getValueFormats().flatMap((group) => group.submenu.map((unit) => unit.value));
  const panels = [];
  for (const one of input.panels) panels.push(await show(one));
  process.stdout.write(JSON.stringify({ units, panels }));
})();
