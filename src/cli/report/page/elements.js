// Elements of the page. Texts of files come in as text nodes and attributes alone.
"use strict";

/** The first error is shown on the page, so that nobody takes half a page for the whole. */
function showError(said) {
  if (document.getElementById("error")) return;
  const note = element("p", { id: "error", class: "error", role: "alert" }, `This page could not be drawn as a whole: ${said}`);
  document.body.prepend(note);
}
addEventListener("error", (event) => showError(event.message));

/** Gives an element its attributes and its children: elements, texts, lists of them, or nothing. */
function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const element = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);

const drawing = (tag, attributes, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

let nIds = 0;
/** An id that nothing else on the page has. */
const newId = (word) => `${word}-${(nIds += 1)}`;

const tintClasses = new Map();
/** Class that has a color on light and on dark ground; paper is light. */
function tinted([light, dark]) {
  const key = `${light}${dark}`;
  if (!tintClasses.has(key)) {
    const name = `tint-${tintClasses.size}`;
    const dim = `@media screen and (prefers-color-scheme: dark) { .${name} { --tint: ${dark}; } }`;
    document.head.append(element("style", {}, `.${name} { --tint: ${light}; } ${dim}`));
    tintClasses.set(key, name);
  }
  return tintClasses.get(key);
}

/** A number for people: three significant digits, and an exponent only if it is far from 1. */
function number(value) {
  if (typeof value === "string") return value;
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-4 * (1 - 1e-9) || size >= 1e5) return String(Number(value.toPrecision(3)).toExponential()).replace("e+", "e");
  const decimals = Math.min(Math.max(2 - Math.floor(Math.log10(size)), 0), 6);
  return String(Number(value.toFixed(decimals)));
}

/** A whole number, its thousands apart. */
const whole = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");

const counted = (n, noun) => `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;

/** The beginning of a text, where it is long. */
const cut = (text, length) => (text.length <= length ? text : `${text.slice(0, Math.max(length - 1, 1))}…`);

/** A table. A column is its heading, and whether it is one of numbers; the first cell of a row is its heading. */
function table(caption, columns, rows) {
  const align = (i) => (columns[i][1] ? "number" : null);
  const heading = columns.map(([name], i) => element("th", { scope: "col", class: align(i) }, name));
  const cell = (text, i) => element(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, class: align(i) }, String(text));
  const body = rows.map((row) => element("tr", {}, row.map(cell)));
  const head = columns.some(([name]) => name) && element("thead", {}, element("tr", {}, heading));
  return element("table", {}, caption && element("caption", {}, caption), head, element("tbody", {}, body));
}

/** A table that may be wider than the page. */
const wideTable = (...of) => element("div", { class: "wide", tabindex: 0, role: "region", "aria-label": of[0] || "table" }, table(...of));

/** Largest number of rows of a table behind a chart. */
const MAX_ROWS = 1000;

/** The table behind a chart. It is made when it is opened: `rows()` are those of that moment. */
function behind(what, columns, rows) {
  const place = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table: ${what}` });
  const details = element("details", {}, element("summary", {}, `Table: ${what}`), place);
  details.refresh = () => {
    if (!details.open) return place.replaceChildren();
    const all = rows();
    const rest = all.length > MAX_ROWS ? ` The first ${whole(MAX_ROWS)} of ${whole(all.length)} rows.` : "";
    place.replaceChildren(table(`${what}.${rest}`, columns, all.slice(0, MAX_ROWS)));
  };
  details.addEventListener("toggle", details.refresh);
  return details;
}

/** A figure: title, what to know of it, and what is in it. */
function figure(title, note, ...content) {
  const caption = element("figcaption", {}, element("h3", {}, title), note && element("p", {}, note));
  return element("figure", {}, caption, content);
}

/** A choice with its label; `change(value)` is called with what is chosen. */
function choice(label, options, chosen, change) {
  const entries = options.map(([value, text]) => element("option", { value, selected: value === chosen && "" }, text));
  const select = element("select", {}, entries);
  select.addEventListener("change", () => change(select.value));
  return element("label", {}, `${label} `, select);
}

const button = (text, act, attributes) => {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
};
