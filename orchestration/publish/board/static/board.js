/* What the pages of the board share. Classic scripts only: a page opened from a disk may load neither modules nor JSON.
   Everything that comes from data enters a page as text, never as markup. */
"use strict";

const board = (() => {
  const NOTHING = "–";
  const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
  const DAY = 86400000;
  const REMEMBERED = "customer-health-owner";
  let charts = {};
  let today = null;
  const shared = {};

  /* An element: attributes as text, children as elements or text; null children are left out. */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...present(children));
    return element;
  }

  function fill(id, ...children) {
    const element = document.getElementById(id);
    element.replaceChildren(...present(children));
    return element;
  }

  function present(children) {
    return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
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

  /* 4.37M, 820k, 310: an amount at a glance. */
  function compact(value) {
    if (value === null || value === undefined) return NOTHING;
    for (const [unit, text] of [[1e9, "bn"], [1e6, "M"], [1e3, "k"]]) {
      // 999,950 is 1.0M, not 1,000k.
      if (Math.abs(value) >= unit * 0.9995) {
        const scaled = value / unit;
        return number(scaled, Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2) + text;
      }
    }
    return number(value);
  }

  function counted(value, noun) {
    return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
  }

  function capital(text) {
    return text ? text[0].toUpperCase() + text.slice(1).replaceAll("_", " ") : text;
  }

  /* 2026-06-29 as 29 Jun 2026, without the time zone of the reader. */
  function day(text) {
    if (!text) return NOTHING;
    const [year, month, date] = text.split("-").map(Number);
    return `${date} ${MONTHS[month - 1].slice(0, 3)} ${year}`;
  }

  /* 2026-06 as June 2026. */
  function month(text) {
    const [year, number_] = text.split("-").map(Number);
    return `${MONTHS[number_ - 1]} ${year}`;
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

  function tierLabel(key) {
    const known = shared.tiers.find(([name]) => name === key);
    return known ? known[1] : String(key);
  }

  function tier(key) {
    const known = shared.tiers.some(([name]) => name === key);
    return make("span", { class: `tier tier-${known ? key : "unknown"}` }, tierLabel(key));
  }

  function change(value, digits = 1, unit = "") {
    const rounded = value === null || value === undefined ? 0 : Number(value.toFixed(digits));
    return make("span", { class: `change ${rounded > 0 ? "up" : rounded < 0 ? "down" : ""}` }, signed(value, digits), value === null || value === undefined ? null : unit);
  }

  /* The provisional score of an account on the running day, from ../../today/today.js, which is newer than the board; null where there is
     none. In a list only a change of a point or more: a little changes for almost everybody while a day is young. */
  function soFar(id, score_, inList = false) {
    const now = today === null ? undefined : today.scores.get(id);
    const moved = now === undefined ? 0 : Number((now - score_).toFixed(1));
    if (now === undefined || (inList && Math.abs(moved) < 1)) return null;
    const name = today.day === new Date().toISOString().slice(0, 10) ? "today so far" : `${day(today.day)} so far`;
    const title = `Provisional: ${day(today.day)}, as far as the sources were read at ${today.until} UTC; change since ${day(shared.asOf)}`;
    return make("span", { class: "so-far", title }, inList ? `${name} ` : `${name} ${number(now, 1)} `, change(moved));
  }

  const SVG = "http://www.w3.org/2000/svg";

  function draft(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /* A score as a bar, in an outline up to what it would be without its cap. */
  function scoreBar(value, uncapped) {
    return draft("svg", { class: "score-bar", viewBox: "0 0 50 8", role: "img", "aria-label": `${number(uncapped, 1)} without the cap` },
      draft("rect", { class: "free", x: 0.5, y: 0.5, width: Math.max(uncapped / 2 - 1, 0), height: 7 }), draft("rect", { class: "held", x: 0, y: 0, width: value / 2, height: 8 }));
  }

  function score(value, uncapped) {
    if (uncapped === null) return number(value, 1);
    return make("span", { title: `${number(uncapped, 1)} without the cap` }, number(value, 1), make("span", { class: "below quiet" }, scoreBar(value, uncapped), number(uncapped, 1)));
  }

  function capBadge(cap) {
    return cap === null ? null : make("span", { class: "cap", title: `Capped: ${cap}` }, cap);
  }

  function accountLink(id, name) {
    return make("a", { href: `account.html#${encodeURIComponent(id)}` }, make("bdi", {}, name));
  }

  /* The address of a list of accounts, of the owner whose accounts the page shows. */
  function accountsLink(view) {
    const given = Object.entries({ owner: owner(), ...view }).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    return `accounts.html#${new URLSearchParams(given)}`;
  }

  /* Heads are [title, class]. A row is a list of cells, of which the first names it, or a whole element. */
  function table(heads, rows, caption) {
    return [
      caption ? make("caption", {}, caption) : null,
      make("thead", {}, make("tr", {}, heads.map(([title, kind]) => make("th", { scope: "col", class: kind }, title)))),
      make("tbody", {}, rows.map((cells) => (Array.isArray(cells) ? row(heads, cells) : cells))),
    ];
  }

  function row(heads, [first, ...cells], attributes) {
    return make("tr", attributes, make("th", { scope: "row" }, first), cells.map((cell, i) => make("td", { class: heads[i + 1][1] }, cell)));
  }

  function groupRow(heads, ...content) {
    return make("tr", { class: "group-row" }, make("th", { scope: "colgroup", colspan: heads.length }, content));
  }

  /* [key, rows] in the order in which the keys come first. */
  function grouped(rows, key) {
    const groups = new Map();
    for (const each of rows) groups.set(key(each), [...(groups.get(key(each)) ?? []), each]);
    return [...groups];
  }

  /* FNV-1a over the key's UTF-8: the number of the script that holds its data. */
  function shardOf(key, shards) {
    let hash = 2166136261;
    for (const byte of new TextEncoder().encode(key)) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
    return hash % shards;
  }

  const wanted = {};

  /* Load the entry of a key (null if there is none) and hand it to `then`; only the last one that was asked for is. */
  function find(kind, key, then, failed) {
    const number_ = shardOf(key, shared.shards[kind]);
    wanted[kind] = { number: number_, key, then };
    const script = make("script", { src: `data/${kind}-${number_}.js` });
    script.onload = () => script.remove();
    script.onerror = failed;
    document.head.append(script);
  }

  function shard(kind, number_, entries) {
    const { number: expected, key, then } = wanted[kind];
    if (number_ === expected) then(entries.find(({ id }) => id === key) ?? null);
  }

  /* Draw a chart of `charts.js` into an element, in place of what was there. `datasets`: name -> rows; `bands`: how many steps high it is.
     A row with a `tier` gets its `label`; one with an `href` leads there. */
  async function draw(element, name, datasets, title, bands) {
    const spec = structuredClone(charts[name]);
    const labelled = (rows) => rows.map((each) => (each.tier === undefined ? each : { ...each, label: tierLabel(each.tier) }));
    spec.datasets = Object.fromEntries(Object.entries(datasets).map(([key, rows]) => [key, labelled(rows)]));
    spec.description = title;
    if (bands) spec.height = spec.height.step * bands;
    const { view } = await vegaEmbed(element, spec, {
      actions: false,
      // Expressions are interpreted, so that the page needs no permission to evaluate text as code.
      ast: true,
      renderer: "svg",
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
      logLevel: 1,  // errors only
    });
    const target = (item) => item && item.datum && item.datum.href;
    view.addEventListener("click", (_, item) => { if (target(item)) location.assign(target(item)); });
    view.addEventListener("mouseover", (_, item) => element.classList.toggle("leads", Boolean(target(item))));
    return view;
  }

  /* Whose accounts the page shows: as the address says, else as last chosen; "" is everyone. */
  const choice = document.getElementById("owner");
  const owner = () => choice.value;

  function remembered() {
    try {
      return localStorage.getItem(REMEMBERED) ?? "";
    } catch {
      return "";
    }
  }

  function remember(name) {
    try {
      localStorage.setItem(REMEMBERED, name);
    } catch {
      // Then the links and the address carry it.
    }
  }

  /* What is in the address after #. An account's id is before it, alone: its own "=" and "&" are escaped. */
  function address() {
    const parts = location.hash.slice(1).split("&");
    const id = parts[0].includes("=") ? "" : parts.shift();
    return { id, given: new URLSearchParams(parts.join("&")) };
  }

  function choose(name) {
    if (![...choice.options].some((option) => option.value === name)) choice.append(make("option", { value: name }, name));
    choice.value = name;
    choice.classList.toggle("set", name !== "");
    for (const link of document.querySelectorAll("[data-follow]")) link.hash = name === "" ? "" : `${new URLSearchParams({ owner: name })}`;
  }

  /* From the address, else from memory, to the choice. */
  function readOwner() {
    const given = address().given.get("owner");
    const known = remembered();
    if (given !== null) remember(given);
    choose(given ?? (shared.owners.includes(known) ? known : ""));
  }

  /* Call `show` now, and whenever another owner is chosen or named by the address. */
  function followOwner(show) {
    const read = () => { readOwner(); show(owner()); };
    choice.addEventListener("change", () => {
      remember(owner());
      choose(owner());
      const { id } = address();
      const wanted_ = [id, owner() && `${new URLSearchParams({ owner: owner() })}`].filter(Boolean).join("&");
      history.replaceState(null, "", `#${wanted_}`);
      show(owner());
    });
    window.addEventListener("hashchange", read);
    read();
  }

  /* How many days ago the scored day was, by the reader's clock, in UTC as the days are. */
  function age() {
    return shared.asOf ? daysBetween(shared.asOf, new Date().toISOString().slice(0, 10)) : 0;
  }

  /* Yesterday is the newest day that can be scored, and the day before it is so until the run has ended. */
  function isStale() {
    return age() > shared.cadenceDays + 1;
  }

  function showAge() {
    const place = document.getElementById("stale");
    place.hidden = !isStale();
    if (place.hidden) return;
    const rhythm = shared.cadenceDays === 1 ? "every day" : `every ${number(shared.cadenceDays)} days`;
    place.firstElementChild.replaceChildren(make("strong", {}, "Not up to date. "), `These scores are of ${day(shared.asOf)}, ${number(age())} days ago. `,
      shared.endDate && shared.endDate <= shared.asOf ? `No newer day will come: the configuration ends there (pipeline.end_date = ${shared.endDate}).`
        : `A newer day is expected ${rhythm}. Reload the page; if it stays so, ask the team that runs the pipeline.`);
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
    NOTHING, make, fill, number, signed, share, compact, counted, capital, day, month, addDays, daysBetween, measure, tier, tierLabel, change, score, scoreBar, capBadge, soFar, draft, accountLink,
    accountsLink, table, row, groupRow, grouped, shardOf, find, shard, draw, isStale, owner, choose, remember, readOwner, followOwner, address, shared,
    setCharts(given) { charts = given; },
    /* Once the board has the day as a finished one, what was provisional of it is over. */
    setToday(given) { if (shared.asOf && given.day > shared.asOf) today = { ...given, scores: new Map(given.scores) }; },
    setCommon(given) {
      Object.assign(shared, given);
      choice.append(...shared.owners.map((name) => make("option", { value: name }, name)));
      choice.closest("label").hidden = shared.owners.length < 2;
      showAge();
      // A page may stay open for days.
      setInterval(showAge, 3600000);
    },
  };
})();
