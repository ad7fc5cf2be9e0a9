/* What the pages of the board share. Classic scripts only: a page opened from a disk may load neither modules nor JSON.
   Everything that comes from data enters a page as text, never as markup. */
"use strict";

const board = (() => {
  const NOTHING = "–";
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const DAY = 86400000;
  let charts = {};
  const shared = {};

  /* An element: attributes as text, children as elements or text; null children are left out. */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    for (const child of children.flat(Infinity)) {
      if (child !== null && child !== undefined) element.append(child);
    }
    return element;
  }

  function fill(id, ...children) {
    const element = document.getElementById(id);
    element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return element;
  }

  function number(value, digits = 0) {
    if (value === null || value === undefined) return NOTHING;
    const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return (/[1-9]/.test(text) ? text : text.replace("-", "")).replace("-", "−");
  }

  function signed(value, digits = 1) {
    const text = number(value, digits);
    return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
  }

  function share(value, digits = 0) {
    return value === null || value === undefined ? NOTHING : `${number(100 * value, digits)}%`;
  }

  /* 2026-06-29 as 29 Jun 2026, without the time zone of the reader. */
  function day(text) {
    if (!text) return NOTHING;
    const [year, month, date] = text.split("-").map(Number);
    return `${date} ${MONTHS[month - 1]} ${year}`;
  }

  function addDays(text, days) {
    return new Date(Date.parse(text) + days * DAY).toISOString().slice(0, 10);
  }

  function daysBetween(from, to) {
    return Math.round((Date.parse(to) - Date.parse(from)) / DAY);
  }

  /* A metric's value with its unit: 31% of seats, +12%, 3.5 days. */
  function measure(value, unit) {
    if (value === null || value === undefined) return NOTHING;
    const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
    if (unit && unit.startsWith("share of")) return share(value) + unit.slice(5);
    if (unit === "relative change") return `${signed(100 * value, 0)}%`;
    if (!unit || unit === "ratio") return number(value, digits);
    // A scale such as `1 to 5`, and a unit that begins with a figure such as `28-day periods`.
    if (/ to /.test(unit)) return `${number(value, digits)} (${unit})`;
    return number(value, digits) + (/^\d/.test(unit) ? " × " : " ") + (value === 1 ? unit.replace(/s$/, "") : unit);
  }

  function tier(key) {
    const known = shared.tiers.find(([name]) => name === key);
    return make("span", { class: `tier tier-${known ? key : "unknown"}` }, known ? known[1] : String(key));
  }

  function tierLabel(key) {
    const known = shared.tiers.find(([name]) => name === key);
    return known ? known[1] : String(key);
  }

  function change(value, digits = 1) {
    const rounded = value === null || value === undefined ? 0 : Number(value.toFixed(digits));
    return make("span", { class: `change ${rounded > 0 ? "up" : rounded < 0 ? "down" : ""}` }, signed(value, digits));
  }

  function accountLink(id, name) {
    return make("a", { href: `account.html#${encodeURIComponent(id)}` }, make("bdi", {}, name));
  }

  /* FNV-1a over the id's UTF-8: the number of the script that holds the account. */
  function shardOf(id) {
    let hash = 2166136261;
    for (const byte of new TextEncoder().encode(id)) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
    return hash % shared.shards;
  }

  /* Draw a chart of `charts.js` into an element, in place of what was there. `datasets`: name -> rows; `bands`: how many steps high it is. */
  function draw(element, name, datasets, title, bands) {
    const spec = structuredClone(charts[name]);
    spec.datasets = datasets;
    spec.description = title;
    if (bands) spec.height = spec.height.step * bands;
    return vegaEmbed(element, spec, {
      actions: false,
      // Expressions are interpreted, so that the page needs no permission to evaluate text as code.
      ast: true,
      renderer: "svg",
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
      logLevel: 1,  // errors only
    });
  }

  document.addEventListener("click", (event) => {
    // The address of an account's page ends in the account, so the link to the content must leave it alone.
    if (event.target.matches && event.target.matches("[data-skip]")) {
      event.preventDefault();
      document.getElementById("main").focus();
      document.getElementById("main").scrollIntoView();
    }
  });

  return {
    NOTHING, make, fill, number, signed, share, day, addDays, daysBetween, measure, tier, tierLabel, change, accountLink, shardOf, draw, shared,
    setCharts(given) { charts = given; },
    setCommon(given) { Object.assign(shared, given); },
  };
})();
