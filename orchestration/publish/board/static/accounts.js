"use strict";

/* The list of accounts. Its view is in the address after #, so that it can be shared and the portfolio can link into it. */
board.list = (rows) => {
  const [ID, NAME, TIER, SCORE, DELTA_7, DELTA_28, ARR, TERM, SEGMENT, STAGE, OWNER, COVERAGE, REASON, MOVE, ACTIONS, BY_HAND] = Array(16).keys();
  const { make, number, share, day, tier, change, accountLink } = board;
  const form = document.getElementById("filters");
  const names = ["q", "tier", "segment", "owner", "stage", "action", "renewal", "move"];

  /* Equal ones keep the order of the data, which is worst first. */
  const atRisk = (row) => (board.shared.atRisk.includes(row[TIER]) ? row[ARR] : null);
  const daysLeft = (row) => (row[TERM] === null ? null : board.daysBetween(board.shared.asOf, row[TERM]));

  function column(title, key, sort, cell, options = {}) {
    return {
      title, name: key, className: options.className || "", searchable: false, type: options.type || "num",
      orderSequence: options.first === "asc" ? ["asc", "desc"] : ["desc", "asc"],
      data: null,
      // The cell itself is made of elements, below; DataTables would take a text for markup.
      render: (_, type, row) => (type === "display" ? "" : sort(row) ?? options.empty ?? -1e18),
      createdCell: (td, _, row) => td.replaceChildren(...[cell(row)].flat()),
      cellType: options.cellType || "td",
    };
  }
  const clipped = (value) => make("bdi", { title: value }, value ?? "");
  const text = (value) => make("bdi", {}, value ?? board.NOTHING);
  const columns = [
    column("Account", "name", (row) => row[NAME].toLowerCase(), (row) => accountLink(row[ID], row[NAME]), { type: "string", first: "asc", cellType: "th" }),
    column("Tier", "tier", (row) => -board.shared.worstFirst.indexOf(row[TIER]), (row) => (row[BY_HAND] ? [tier(row[TIER]), make("span", { class: "quiet by-hand" }, "set by a person")] : tier(row[TIER]))),
    column("Score", "score", (row) => row[SCORE], (row) => number(row[SCORE], 1), { className: "num", first: "asc", empty: 1e18 }),
    column("28 days", "delta", (row) => row[DELTA_28], (row) => change(row[DELTA_28]), { className: "num phone-off", first: "asc", empty: 1e18 }),
    column("ARR", "arr", (row) => row[ARR], (row) => number(row[ARR]), { className: "num phone-off" }),
    column(`ARR ${board.shared.risk}`, "risk", atRisk, (row) => (atRisk(row) === null ? "" : number(atRisk(row))), { className: "num" }),
    column("Renewal", "renewal", daysLeft, (row) => day(row[TERM]), { className: "num phone-off", first: "asc", empty: 1e18 }),
    column("Segment", "segment", (row) => row[SEGMENT] ?? "", (row) => text(row[SEGMENT]), { type: "string", first: "asc", className: "wide" }),
    column("Stage", "stage", (row) => row[STAGE] ?? "", (row) => text(row[STAGE]), { type: "string", first: "asc", className: "wide wider" }),
    column("Owner", "owner", (row) => row[OWNER] ?? "", (row) => text(row[OWNER]), { type: "string", first: "asc", className: "wide" }),
    column("Weakest point", "reason", (row) => row[REASON] ?? "", (row) => clipped(row[REASON]), { type: "string", first: "asc", className: "reason wide" }),
    column("Next action", "next", (row) => row[ACTIONS][0] ?? "", (row) => clipped(row[ACTIONS][0]), { type: "string", first: "desc", className: "reason wide" }),
    column("Coverage", "coverage", (row) => row[COVERAGE], (row) => share(row[COVERAGE]), { className: "num wide wider", first: "asc" }),
  ];

  for (const [name, index] of [["segment", SEGMENT], ["owner", OWNER], ["stage", STAGE], ["action", ACTIONS]]) {
    const values = [...new Set(rows.flatMap((row) => row[index]))].filter((value) => value !== null).sort((a, b) => a.localeCompare(b));
    form.elements[name].append(...values.map((value) => make("option", { value }, value)));
  }

  let view = {};
  const haystack = rows.map((row) => `${row[NAME]}\n${row[ID]}`.toLowerCase());
  function matches(row, index) {
    if (view.q && !haystack[index].includes(view.q.toLowerCase())) return false;
    if (view.tier && !view.tier.split(",").includes(row[TIER])) return false;
    if (view.segment && row[SEGMENT] !== view.segment) return false;
    if (view.owner && row[OWNER] !== view.owner) return false;
    if (view.stage && row[STAGE] !== view.stage) return false;
    if (view.action && !row[ACTIONS].includes(view.action)) return false;
    if (view.move && row[MOVE] !== (view.move === "fell" ? -1 : 1)) return false;
    if (view.renewal) {
      const left = daysLeft(row);
      if (left === null || left < 0 || left > Number(view.renewal)) return false;
    }
    return true;
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
    if (arr) parts.push(`${number(arr)} ${board.shared.currency} ARR`, `${number(risk)} ${board.shared.risk}`);
    board.fill("summary", parts.join(" · "));
  }

  /* From the address to the form. What it names and the form does not have, such as a segment that is gone, is added. */
  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const name of names) {
      const field = form.elements[name];
      const value = given.get(name) ?? "";
      if (field.options && ![...field.options].some((option) => option.value === value)) field.append(make("option", { value }, value));
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

  form.addEventListener("input", () => { apply(); writeAddress(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { apply(); writeAddress(); }));
  table.on("order.dt", () => setTimeout(writeAddress));
  window.addEventListener("hashchange", readAddress);
  readAddress();

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
    const head = ["account_id", "account_name", "tier", "health_score", "delta_7d", "delta_28d", "arr", "arr_at_risk", "term_ends_on", "segment", "stage", "csm", "coverage", "weakest_point", "actions"];
    const lines = table.rows({ search: "applied", order: "applied" }).data().toArray().map((row) =>
      [row[ID], row[NAME], row[TIER], row[SCORE], row[DELTA_7], row[DELTA_28], row[ARR], atRisk(row), row[TERM], row[SEGMENT], row[STAGE], row[OWNER], row[COVERAGE], row[REASON], row[ACTIONS].join("; ")].map(csvCell).join(","));
    const link = make("a", { href: URL.createObjectURL(new Blob(["\ufeff", [head.join(","), ...lines].join("\r\n"), "\r\n"], { type: "text/csv" })), download: `accounts-${board.shared.asOf}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
};
