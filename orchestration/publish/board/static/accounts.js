"use strict";

/* The list of accounts. Its view is in the address after #, so that it can be shared and the portfolio can link into it. */
board.list = (rows) => {
  const [ID, NAME, TIER, SCORE, UNCAPPED, CAP, DELTA_7, DELTA_28, UNCAPPED_BEFORE, ARR, TERM, SEGMENT, STAGE, OWNER, COVERAGE, REASON, MOVE, ACTIONS, WEAKEST, BY_HAND, RUNS] = Array(21).keys();
  const { make, number, share, day, tier, change, accountLink, shared } = board;
  const form = document.getElementById("filters");
  const choice = form.elements.owner;
  const names = ["q", "tier", "segment", "owner", "stage", "action", "renewal", "move", "weakest", "on"];

  /* Equal ones keep the order of the data, which is worst first. */
  const atRisk = (row) => (shared.atRisk.includes(row[TIER]) ? row[ARR] : null);
  const daysLeft = (row) => (row[TERM] === null ? null : board.daysBetween(shared.asOf, row[TERM]));

  function column(title, key, sort, cell, options = {}) {
    return {
      title, name: key, className: options.className || "", searchable: false, type: options.type || "num",
      orderSequence: options.first === "asc" ? ["asc", "desc"] : ["desc", "asc"],
      data: null,
      // The cell itself is made of elements, below; DataTables would take a text for markup.
      render: (_, type, row) => (type === "display" ? "" : sort(row) ?? options.empty ?? -1e18),
      createdCell: (td, _, row) => td.replaceChildren(...[cell(row)].flat(2)),
      cellType: options.cellType || "td",
    };
  }
  /* Under a cap the score stands still, so what moves below it is shown, too. */
  const movement = (row) => [change(row[DELTA_28]), row[UNCAPPED] === null || row[UNCAPPED_BEFORE] === null ? [] : make("span", { class: "quiet below" }, "uncapped ", change(row[UNCAPPED] - row[UNCAPPED_BEFORE]))];
  const clipped = (value) => make("bdi", { title: value }, value ?? "");
  const text = (value) => make("bdi", {}, value ?? board.NOTHING);
  const columns = [
    column("Account", "name", (row) => row[NAME].toLowerCase(), (row) => accountLink(row[ID], row[NAME]), { type: "string", first: "asc", cellType: "th" }),
    column("Tier", "tier", (row) => -shared.worstFirst.indexOf(row[TIER]), (row) => [tier(row[TIER]), row[BY_HAND] ? make("span", { class: "quiet by-hand" }, "set by a person") : [], board.capBadge(row[CAP]) ?? []]),
    // Within a cap by the score that it would be without it.
    column("Score", "score", (row) => row[SCORE] * 1000 + (row[UNCAPPED] ?? row[SCORE]), (row) => [board.score(row[SCORE], row[UNCAPPED]), board.soFar(row[ID], row[SCORE], true) ?? []], { className: "num", first: "asc", empty: 1e18 }),
    column("28 days", "delta", (row) => row[DELTA_28], movement, { className: "num phone-off", first: "asc", empty: 1e18 }),
    column("ARR", "arr", (row) => row[ARR], (row) => number(row[ARR]), { className: "num phone-off" }),
    column(`ARR ${shared.words.risk}`, "risk", atRisk, (row) => (atRisk(row) === null ? "" : number(atRisk(row))), { className: "num" }),
    column("Renewal", "renewal", daysLeft, (row) => day(row[TERM]), { className: "num phone-off", first: "asc", empty: 1e18 }),
    column("Segment", "segment", (row) => row[SEGMENT] ?? "", (row) => text(row[SEGMENT]), { type: "string", first: "asc", className: "wide" }),
    column("Stage", "stage", (row) => row[STAGE] ?? "", (row) => text(row[STAGE]), { type: "string", first: "asc", className: "wide wider" }),
    column("Owner", "owner", (row) => row[OWNER], (row) => text(row[OWNER]), { type: "string", first: "asc", className: "wide" }),
    column("Weakest point", "reason", (row) => row[REASON] ?? "", (row) => clipped(row[REASON]), { type: "string", first: "asc", className: "reason wide" }),
    column("Next action", "next", (row) => row[ACTIONS][0] ?? "", (row) => clipped(row[ACTIONS][0]), { type: "string", first: "desc", className: "reason wide" }),
    column("Coverage", "coverage", (row) => row[COVERAGE], (row) => share(row[COVERAGE]), { className: "num wide wider", first: "asc" }),
  ];

  const nameless = { [SEGMENT]: "No segment", [STAGE]: "No stage" };
  const valueOf = (row, index) => row[index] ?? nameless[index];
  for (const [name, index] of [["segment", SEGMENT], ["stage", STAGE], ["action", ACTIONS], ["weakest", WEAKEST]]) {
    const values = [...new Set(rows.flatMap((row) => valueOf(row, index) ?? []))].sort((a, b) => a.localeCompare(b));
    form.elements[name].append(...values.map((value) => make("option", { value }, name === "weakest" ? board.capital(value) : value)));
  }
  const months = [...new Set(rows.map((row) => row[TERM]).filter(Boolean).map((term) => term.slice(0, 7)))].sort().slice(0, 12);
  form.elements.renewal.append(...months.map((value) => make("option", { value }, board.month(value))));

  let view = {};
  const haystack = rows.map((row) => [row[NAME], row[ID], row[OWNER], row[SEGMENT], row[REASON], row[CAP], ...row[ACTIONS]].join("\n").toLowerCase());

  /* The tier on a day; undefined where the account was not scored. */
  function tierOn(row, offset) {
    for (let i = 0; i < row[RUNS].length; i += 3) {
      if (row[RUNS][i] <= offset && offset <= row[RUNS][i + 1]) return shared.tiers[row[RUNS][i + 2]][0];
    }
    return undefined;
  }

  /* A number of days from the newest scored one, a month (2026-07), or the first and the last day (2026-07-27..2026-08-02). */
  function renews(row, when) {
    if (row[TERM] === null) return false;
    if (/^\d+$/.test(when)) return daysLeft(row) >= 0 && daysLeft(row) <= Number(when);
    const [from, to] = when.split("..");
    return to ? row[TERM] >= from && row[TERM] <= to : row[TERM].startsWith(from);
  }

  function matches(row, index) {
    const words = view.q ? view.q.toLowerCase() : "";
    if (words && !haystack[index].includes(words)) return false;
    const key = view.on ? tierOn(row, board.daysBetween(shared.firstDay, view.on)) : row[TIER];
    if (key === undefined || (view.tier && !view.tier.split(",").includes(key))) return false;
    if (view.segment && valueOf(row, SEGMENT) !== view.segment) return false;
    if (view.owner && row[OWNER] !== view.owner) return false;
    if (view.stage && valueOf(row, STAGE) !== view.stage) return false;
    if (view.weakest && row[WEAKEST] !== view.weakest) return false;
    if (view.action && !row[ACTIONS].includes(view.action)) return false;
    if (view.move && row[MOVE] !== (view.move === "fell" ? -1 : 1)) return false;
    return !view.renewal || renews(row, view.renewal);
  }

  DataTable.ext.search.push((settings, _, index) => matches(rows[index], index));
  const table = new DataTable("#accounts", {
    data: rows, columns, deferRender: true, pageLength: 50, autoWidth: false, orderMulti: false, searching: true,
    order: { name: "risk", dir: "desc" },
    layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging" },
    language: { info: "_START_ to _END_ of _TOTAL_", infoEmpty: "", infoFiltered: "", emptyTable: "No account is scored yet.", zeroRecords: "No account matches these filters." },
    headerCallback: (head) => { for (const cell of head.querySelectorAll("th")) cell.setAttribute("scope", "col"); },
    createdRow: (tr) => tr.cells[0].setAttribute("scope", "row"),
  });

  function summarize() {
    const shown = table.rows({ search: "applied" }).data().toArray();
    const risk = shown.reduce((sum, row) => sum + (atRisk(row) ?? 0), 0);
    const arr = shown.reduce((sum, row) => sum + (row[ARR] ?? 0), 0);
    const parts = [`${number(shown.length)} of ${number(rows.length)}`];
    if (view.on) parts.push(`tier on ${day(view.on)}; accounts that have left since are not listed`);
    if (arr) parts.push(`${number(arr)} ${shared.currency} ARR`, `${number(risk)} ${shared.words.risk}`);
    board.fill("summary", parts.join(" · "));
  }

  const optionText = (name, value) => (name === "renewal" && value.includes("..") ? value.split("..").map(day).join(" to ") : value);

  /* From the address to the form. What it names and the form does not have, such as a segment that is gone, is added. */
  function readAddress() {
    const { given } = board.address();
    board.readOwner();
    for (const name of names.filter((each) => each !== "owner")) {
      const field = form.elements[name];
      const value = given.get(name) ?? "";
      if (field.options && ![...field.options].some((option) => option.value === value)) field.append(make("option", { value }, optionText(name, value)));
      field.value = value;
    }
    const sort = columns.findIndex((each) => each.name === given.get("sort"));
    if (sort >= 0) table.order([sort, given.get("dir") === "asc" || given.get("dir") === "desc" ? given.get("dir") : columns[sort].orderSequence[0]]);
    apply();
  }

  function apply() {
    view = Object.fromEntries(names.map((name) => [name, form.elements[name].value]));
    for (const name of names) form.elements[name].classList.toggle("set", name !== "q" && view[name] !== "");
    table.draw();
    summarize();
  }

  function writeAddress() {
    const given = new URLSearchParams(Object.entries(view).filter(([, value]) => value !== ""));
    const [[index, dir]] = table.order().length ? table.order() : [[5, "desc"]];
    if (columns[index].name !== "risk" || dir !== "desc") { given.set("sort", columns[index].name); given.set("dir", dir); }
    const wanted = `#${given}`;
    if (wanted !== (location.hash || "#")) history.replaceState(null, "", wanted);
  }

  function update() {
    board.remember(choice.value);
    board.choose(choice.value);
    apply();
    writeAddress();
  }

  form.addEventListener("input", update);
  choice.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  table.on("order.dt", () => setTimeout(writeAddress));
  window.addEventListener("hashchange", readAddress);
  readAddress();
  writeAddress();

  /* A cell that a spreadsheet would take for a formula begins with an apostrophe: orchestration/publish/exports/text.py. */
  const [breaks, hidden, formula] = ["breaks", "hidden", "formula"].map((name) => new RegExp(board.shared[name], "gu"));
  function csvCell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    let safe = value.replace(breaks, " ").replace(hidden, "").replace(formula, "'");
    if (/^[\t\r\n]/.test(value) && !safe.startsWith("'")) safe = `'${safe}`;
    return `"${safe.replaceAll('"', '""')}"`;
  }

  board.csvCell = csvCell;

  document.getElementById("csv").addEventListener("click", () => {
    const head = ["account_id", "account_name", "tier", "health_score", "delta_7d", "delta_28d", "arr", "arr_at_risk", "term_ends_on", "segment", "stage", "csm", "coverage", "weakest_point", "actions", "uncapped_score", "cap"];
    const lines = table.rows({ search: "applied", order: "applied" }).data().toArray().map((row) =>
      [row[ID], row[NAME], row[TIER], row[SCORE], row[DELTA_7], row[DELTA_28], row[ARR], atRisk(row), row[TERM], row[SEGMENT], row[STAGE], row[OWNER], row[COVERAGE], row[REASON], row[ACTIONS].join("; "), row[UNCAPPED], row[CAP]].map(csvCell).join(","));
    const link = make("a", { href: URL.createObjectURL(new Blob(["\ufeff", [head.join(","), ...lines].join("\r\n"), "\r\n"], { type: "text/csv" })), download: `accounts-${shared.asOf}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
};
