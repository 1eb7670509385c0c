"use strict";
// The data of the page. Every name in it is set as text, never as markup.
const page = JSON.parse(document.getElementById("data").textContent);
const NOTHING = "–";

/** A new element with these properties and children, which are elements or text. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Offers the texts in a select; the value of each is its place. */
function offer(select, texts) {
  select.replaceChildren(...texts.map((text, place) => element("option", { value: String(place) }, text)));
  select.disabled = texts.length < 2;
}

/** Why a clip has no value: the metric's own reason, or that of the whole clip. */
function whyNot(reasons, metric) {
  return reasons?.[metric.key] ?? reasons?.[""] ?? "not computed";
}

/** The value of a cell on a clip as text, or nothing and why. A set's metric says the unit and the decimals. */
function valueOf(id, metric, clip) {
  const cell = page.cells[id];
  const value = cell?.values[metric.key]?.[clip] ?? null;
  if (value === null) return { text: NOTHING, why: whyNot(cell?.reasons[clip], metric) };
  const scaled = value * metric.factor;
  return { text: scaled.toFixed(metric.decimals), number: scaled };
}
