"use strict";

board.believe = (rows) => {
  for (const element of document.querySelectorAll("[data-chart]")) {
    const name = element.dataset.chart;
    board.draw(element, "rates", { rows: rows[name] }, element.dataset.name, rows[name].length);
  }
};
