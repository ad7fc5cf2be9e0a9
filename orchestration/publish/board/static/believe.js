"use strict";

board.believe = (rows) => {
  for (const element of document.querySelectorAll("[data-chart]")) {
    const name = element.dataset.chart;
    const isForecast = name === "forecast";
    board.draw(element, isForecast ? name : "rates", { rows: rows[name] }, element.dataset.name, isForecast ? null : rows[name].length);
  }
};
