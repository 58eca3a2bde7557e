// Fills the overview page: asks the Prometheus that serves it, draws one dashboard, and does so again and again.

// Without a login that the page's own address may contain: browsers ask nothing of such an address.
const API = new URL("../api/v1/", location.origin + location.pathname).href;
const REFRESH_SECONDS = 30;
const PARALLEL = 4;
const find = (id) => document.getElementById(id);
const chosen = new URLSearchParams(location.search);
let round = 0;

async function ask(path, parameters) {
  const answer = await fetch(API + path, { method: "POST", body: new URLSearchParams(parameters) });
  const text = await answer.text();
  let document_;
  try {
    document_ = JSON.parse(text);
  } catch {
    throw new Error(`Prometheus answers with status ${answer.status}: ${text.slice(0, 200)}`);
  }
  if (document_.status !== "success") return `${document_.error}`;
  return document_.data.result;
}

async function values(variable, start, end) {
  const parameters = new URLSearchParams({ "match[]": variable.selector, start, end });
  const answer = await fetch(`${API}label/${variable.of}/values?${parameters}`);
  const found = await answer.json();
  return found.status === "success" ? found.data : [];
}

// Each answer at its place; no more than PARALLEL questions at once.
async function answersTo(requests) {
  const answers = {};
  const waiting = [...requests];
  const work = async () => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      const result = await ask(one.path, one.parameters);
      (answers[String(one.key.panel)] ??= {})[one.key.ref] = result;
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return answers;
}

function currentDashboard() {
  return DASHBOARDS.find((one) => one.uid === chosen.get("dashboard")) ?? DASHBOARDS[0];
}

function address(changes) {
  const wanted = new URLSearchParams(chosen);
  for (const [name, value] of Object.entries(changes)) value ? wanted.set(name, value) : wanted.delete(name);
  return `?${wanted}`;
}

function fillNavigation(dashboard) {
  const items = DASHBOARDS.map((one) => {
    const current = one === dashboard ? ' aria-current="page"' : "";
    return `<li><a href="${escaped(address({ dashboard: one.uid }))}"${current}>${escaped(one.title)}</a></li>`;
  });
  find("dashboards").innerHTML = items.join("");
  find("title").textContent = dashboard.title;
  find("about").textContent = dashboard.description;
  document.title = `${dashboard.title} - overview`;
}

// One list for each variable of the dashboard; the chosen value stays in it even when no series has it any more.
async function fillVariables(variables, start, end) {
  const lists = await Promise.all(
    variables.map(async (variable) => {
      const one = chosen.get(`var-${variable.name}`);
      const known = [...new Set([...(await values(variable, start, end)), ...(one ? [one] : [])])];
      const options = known.map((value) => {
        const selected = value === one ? " selected" : "";
        return `<option value="${escaped(value)}"${selected}>${escaped(value)}</option>`;
      });
      const list = `<select name="var-${variable.name}"><option value="">All</option>${options.join("")}</select>`;
      return `<label>${escaped(variable.title)}${list}</label>`;
    })
  );
  // A list that is open must not be replaced under the pointer.
  if (!find("variables").contains(document.activeElement)) find("variables").innerHTML = lists.join("");
}

function chosenVariables(dashboard) {
  return variables_of(dashboard).map((variable) => {
    const one = chosen.get(`var-${variable.name}`);
    const inner = { ...variable, chosen: one ? [one] : [] };
    return inner;
  });
}

function filledSelector(selector, variables) {
  return expression({}, { expr: selector }, 3600, variables);
}

// What the reader opened, sorted or scrolled to stays as it is.
function replacePanels(html) {
  const panels = find("panels");
  const open = [...panels.querySelectorAll("details[open] summary")].map((one) => one.getAttribute("aria-label"));
  const orders = [...panels.querySelectorAll("table")].map((table) => {
    const head = table.querySelector("th[aria-sort=ascending], th[aria-sort=descending]");
    return head && [table.caption.textContent, head.textContent, head.getAttribute("aria-sort")];
  });
  panels.innerHTML = html;
  for (const one of panels.querySelectorAll("details.about")) {
    if (open.includes(one.firstElementChild.getAttribute("aria-label"))) one.open = true;
  }
  for (const [caption, column, order] of orders.filter(Boolean)) restoreOrder(panels, caption, column, order);
}

function restoreOrder(panels, caption, column, order) {
  const table = [...panels.querySelectorAll("table")].find((one) => one.caption.textContent === caption);
  const head = table && [...table.querySelectorAll("th")].find((one) => one.textContent === column);
  for (let tries = 0; head && head.getAttribute("aria-sort") !== order && tries < 2; tries++) {
    head.firstElementChild.click();
  }
}

async function refresh() {
  const mine = ++round;
  const dashboard = currentDashboard();
  const seconds = duration(chosen.get("range") ?? "6h") || 21600;
  const end = Date.now() / 1000;
  const variables = chosenVariables(dashboard);
  for (const one of variables) one.selector = filledSelector(one.selector, variables);
  const probe = [["query", `count(last_over_time(hypertool_build_info[${seconds}s]))`], ["time", String(floor(end))]];
  try {
    const present = await ask("query", probe);
    const answers = await answersTo(requests_of(dashboard, seconds, end, variables));
    await fillVariables(variables, floor(end - seconds), floor(end));
    if (mine !== round) return;
    replacePanels(dashboard_html(dashboard, answers, end, seconds));
    find("nothing").hidden = typeof present === "string" || present.length > 0;
    say(`As of ${time_text(end)}, read again every ${REFRESH_SECONDS} s.`, false);
  } catch (error) {
    if (mine === round) say(`Nothing new: ${error.message}. Tried again every ${REFRESH_SECONDS} s.`, true);
  }
}

function say(words, problem) {
  const state = find("state");
  state.classList.toggle("problem", problem);
  if (state.textContent !== words) state.textContent = words;
}

function start() {
  const range = find("range");
  const wanted = chosen.get("range") ?? "6h";
  if (![...range.options].some((one) => one.value === wanted)) range.add(new Option(wanted, wanted));
  range.value = wanted;
  fillNavigation(currentDashboard());
  find("choices").addEventListener("change", (event) => {
    location.search = address({ [event.target.name]: event.target.value });
  });
  refresh();
  setInterval(() => {
    if (!document.hidden) refresh();
  }, REFRESH_SECONDS * 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
}

start();
