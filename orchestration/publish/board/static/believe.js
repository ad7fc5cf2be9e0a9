"use strict";

board.believe = (rows) => {
  // What was found out is of everyone's accounts; only the links follow the choice.
  board.followOwner(() => {});
  for (const element of document.querySelectorAll("[data-chart]")) {
    const name = element.dataset.chart;
    const isForecast = name === "forecast";
    const links = rows[name].map((row) => (row.tier ? { ...row, href: board.accountsLink({ tier: row.tier, renewal: isForecast ? row.start.slice(0, 7) : "" }) } : row));
    board.draw(element, isForecast ? name : "rates", { rows: links }, element.dataset.name, isForecast ? null : rows[name].length);
  }
};
