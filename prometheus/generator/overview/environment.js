// What drawing needs from its surroundings; instrumentation/hypertool/report/environment.py is the same for Python.
const { floor, log10, sin, cos, PI } = Math;

function finite(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function number(text) {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}

function matches(pattern, text) {
  return new RegExp(pattern.replace(/^\/|\/$/g, "")).test(text);
}

function printable(text) {
  return text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]/gu, "\ufffd");
}

function local_time(seconds) {
  const moment = new Date(Math.floor(seconds) * 1000);
  const day = [moment.getFullYear(), moment.getMonth() + 1, moment.getDate()];
  return [...day, moment.getHours(), moment.getMinutes(), moment.getSeconds()];
}

function quoted_pattern(value) {
  return value.replace(/[.*+?^${}()|[\]\\]/g, "\\\\$&");
}

function copied(table) {
  return { ...table };
}
