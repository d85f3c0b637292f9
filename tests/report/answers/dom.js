// As much of a browser's document as page.js uses, without any parser of markup: node dom.js PAGE.JS DATA.JSON
"use strict";
const fs = require("fs");

class Node {
  constructor(tag) { Object.assign(this, {tag, children: [], attributes: {}, listeners: {}, own: "", value: ""}); }
  get tagName() { return this.tag.toUpperCase(); }
  get textContent() { return this.own + this.children.map(child => typeof child === "string" ? child : child.textContent).join(""); }
  set textContent(text) { this.children = []; this.own = String(text); }
  append(...parts) { this.children.push(...parts); }
  replaceChildren(...parts) { this.own = ""; this.children = parts; }
  setAttribute(name, value) { this.attributes[name] = String(value); if (name === "value") this.value = String(value); }
  addEventListener(event, call) { this.listeners[event] = call; }
  focus() { document.focused = this; }
  all(test) { return this.children.filter(child => typeof child !== "string").flatMap(child => [...(test(child) ? [child] : []), ...child.all(test)]); }
}

const app = new Node("div"), held = new Node("script");
held.textContent = fs.readFileSync(process.argv[3], "utf-8");
global.document = {
  createElement: tag => new Node(tag),
  getElementById: id => ({app, data: held})[id],
  addEventListener: (event, call) => { document[event] = call; },
};
global.window = {scrollTo: () => {}};
const later = [];
global.setTimeout = call => later.push(call);
global.clearTimeout = () => {};
(0, eval)(fs.readFileSync(process.argv[2], "utf-8"));

const by = (name, value) => app.all(node => node.attributes[name] === value)[0];
const state = () => ({
  status: by("role", "status").textContent,
  ids: app.all(node => node.tag === "article").map(node => node.attributes["aria-label"]),
  tags: [...new Set(app.all(() => true).map(node => node.tag))].sort(),
});
const choose = (id, value) => { by("id", id).value = value; by("id", id).listeners.change(); return state(); };
const press = (key, target = new Node("body")) => { document.keydown({key, target, preventDefault: () => {}}); return state(); };
const search = text => { by("id", "search").value = text; by("id", "search").listeners.input(); later.pop()(); return state(); };

const steps = {choose, press, search, state, texts: () => app.all(node => node.attributes.class?.startsWith("text")).map(node => node.textContent),
  options: id => by("id", id).children.map(option => option.textContent),
  focused: () => document.focused?.attributes.id ?? null};
const results = JSON.parse(process.argv[4]).map(([name, ...given]) => steps[name](...given));
console.log(JSON.stringify(results));
