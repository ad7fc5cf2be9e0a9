"use strict";

board.portfolio = (rows) => {
  const place = (id) => document.getElementById(id);
  const tiers = place("tiers-chart");
  if (!tiers) return;
  const buttons = [...document.querySelectorAll("[data-chart]")];
  function show(name) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.chart === name));
    board.draw(tiers, name, { rows: rows[name] }, tiers.dataset.name);
  }
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.chart));
  show("tiersByAccounts");
  const bands = { renewals: null, segments: new Set(rows.segments.map((row) => row.segment)).size };
  for (const name of Object.keys(bands)) {
    const element = place(`${name}-chart`);
    if (element) board.draw(element, name, { rows: rows[name] }, element.dataset.name, bands[name]);
  }
};
