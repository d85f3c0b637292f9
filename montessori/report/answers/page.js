"use strict";
// Every text of a model enters the page as a text node; nothing here makes markup from a string.
const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 20;  // items shown at once: the page stays quick however many there are
const state = {benchmark: "", family: "", outcome: "", note: "", search: "", sort: "disagreement", at: 0};
let found = [];

function element(tag, options, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (name === "text") made.textContent = value;
    else if (name === "on") for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return counts;
}

function notesOf(item) {
  return item.turns.flatMap(turn => [turn.ours.note, turn.theirs.note]).filter(Boolean);
}

function haystack(item) {
  if (item.hay === undefined) {
    const texts = [item.id, item.family];
    for (const turn of item.turns) texts.push(turn.prompt, turn.ours.text, turn.theirs.text);
    item.hay = texts.filter(text => text !== null).join("\n").toLowerCase();
  }
  return item.hay;
}

function fits(item, but) {
  return (but === "benchmark" || !state.benchmark || item.benchmark === state.benchmark)
    && (but === "family" || !state.family || item.family === state.family)
    && (but === "outcome" || !state.outcome || item.outcome === state.outcome)
    && (but === "note" || !state.note || notesOf(item).includes(state.note))
    && (!state.search || haystack(item).includes(state.search));
}

const ORDERS = {
  disagreement: ["largest disagreement first", (a, b) => b.disagreement - a.disagreement],
  won: ["wins first", (a, b) => (b.lead ?? -9) - (a.lead ?? -9)],
  lost: ["losses first", (a, b) => (a.lead ?? 9) - (b.lead ?? 9)],
  order: ["order of the benchmark", () => 0],
};

// ------------------------------------------------------------------------------------ controls
function choice(key, title, values) {
  const select = element("select", {id: key, on: {change: () => change(key, select.value)}});
  const label = element("label", {for: key, text: title}, select);
  label.fill = () => {
    const counts = counted(data.items.filter(item => fits(item, key)).flatMap(values));
    const names = [...counts.keys()].filter(Boolean).sort();
    if (state[key] && !names.includes(state[key])) names.push(state[key]);
    const options = names.map(name => element("option", {value: name, text: `${name} (${counts.get(name) || 0})`}));
    select.replaceChildren(element("option", {value: "", text: "all"}), ...options);
    select.value = state[key];
  };
  return label;
}

const choices = [
  choice("benchmark", "Benchmark", item => [item.benchmark]),
  choice("family", "Family", item => [item.family]),
  choice("outcome", `Outcome of ${data.run}`, item => [item.outcome]),
  choice("note", "Note", item => [...new Set(notesOf(item))]),
];
const sort = element("select", {id: "sort", on: {change: () => change("sort", sort.value)}},
  ...Object.entries(ORDERS).map(([key, [text]]) => element("option", {value: key, text})));
let waiting = 0;
const search = element("input", {id: "search", type: "search", placeholder: "words in prompt or answer", autocomplete: "off", on: {
  input: () => { clearTimeout(waiting); waiting = setTimeout(() => change("search", search.value.trim().toLowerCase()), 150); },
}});
const form = element("form", {role: "search", on: {submit: event => event.preventDefault()}},
  ...choices, element("label", {for: "sort", text: "Order"}, sort), element("label", {for: "search", text: "Search"}, search));
const status = element("p", {class: "soft", role: "status"});
const list = element("section", {"aria-label": "Items"});

function pager() {
  const made = element("div", {class: "bar"});
  const turn = by => () => move(by);
  made.back = element("button", {type: "button", text: "\u2190 previous", on: {click: turn(-1)}});
  made.next = element("button", {type: "button", text: "next \u2192", on: {click: turn(1)}});
  made.where = element("span", {class: "soft"});
  made.append(made.back, made.where, made.next);
  return made;
}
const pagers = [pager(), pager()];

// --------------------------------------------------------------------------------------- items
function block(text, fallback) {
  if (text === null || text.trim() === "") return element("div", {class: "text blank", text: fallback});
  return element("div", {class: "text", dir: "auto", tabindex: text.length > 1500 ? 0 : null, text});
}

function answer(name, side) {
  const facts = element("p", {class: "head", text: name + (side.score === null ? "" : ` \u00b7 score ${side.score}`)});
  if (side.note) facts.append(" \u00b7 ", element("span", {class: "note", text: side.note}));
  return element("div", {}, facts, block(side.text, side.text === null ? "no answer here" : "(empty)"));
}

function card(item) {
  const mark = {won: "won", lost: "lost", tied: "tied"}[item.outcome] || "none";
  const header = element("header", {}, element("b", {text: item.id}), element("span", {text: item.benchmark}));
  if (item.family) header.append(element("span", {text: item.family}));
  header.append(element("span", {class: mark, text: item.outcome}));
  if (item.preference !== null) header.append(element("span", {text: `preference ${item.preference}`}));
  const made = element("article", {"aria-label": item.id}, header);
  item.turns.forEach((turn, number) => {
    const title = item.turns.length > 1 ? `Prompt, turn ${number + 1}` : "Prompt";
    made.append(element("p", {class: "head", text: title}), block(turn.prompt, "(empty)"));
    if (turn.gold !== null) made.append(element("p", {class: "head", text: "Reference answer"}), block(turn.gold, "(empty)"));
    made.append(element("div", {class: "pair"}, answer(data.run, turn.ours), answer(data.against, turn.theirs)));
    if (turn.said) made.append(element("details", {}, element("summary", {text: "what the judge wrote"}), block(turn.said, "")));
  });
  return made;
}

function change(key, value) {
  state[key] = value;
  state.at = 0;
  select();
}

function move(by) {
  const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
  const at = Math.min(last, Math.max(0, state.at + by));
  if (at === state.at) return;
  state.at = at;
  show();
  window.scrollTo(0, 0);
}

function select() {
  found = data.items.filter(item => fits(item, null)).sort(ORDERS[state.sort][1]);
  for (const one of choices) one.fill();
  const counts = counted(found.map(item => item.outcome));
  const parts = [...counts].sort().map(([name, count]) => `${count} ${name}`);
  status.textContent = `${found.length} of ${data.items.length} items` + (parts.length ? `: ${parts.join(", ")}` : "");
  show();
}

function show() {
  const start = state.at * PAGE;
  const part = found.slice(start, start + PAGE);
  list.replaceChildren(...part.map(card));
  if (!part.length) list.append(element("p", {class: "soft", text: "No item fits."}));
  for (const made of pagers) {
    made.back.disabled = start === 0;
    made.next.disabled = start + PAGE >= found.length;
    made.where.textContent = part.length ? `${start + 1} to ${start + part.length} of ${found.length}` : "";
  }
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (event.key === "/" && !typing) { event.preventDefault(); search.focus(); }
  else if (event.key === "Escape" && event.target === search) { search.value = ""; change("search", ""); }
  else if (!typing && event.key === "ArrowRight") move(1);
  else if (!typing && event.key === "ArrowLeft") move(-1);
});

const same = data.run === data.against ? " The run is compared with itself." : "";
document.getElementById("app").append(
  element("p", {class: "soft", text: `Answers of ${data.run} at the left, of ${data.against} at the right; won, lost and tied are ${data.run}'s.${same} ` +
    "Keys: / searches, \u2190 and \u2192 turn the page. Invisible control characters are shown by their number, such as \u27e8U+202E\u27e9."}),
  form, status, pagers[0], list, pagers[1]);
select();
