"use strict";

board.believe = (rows) => {
  // What was found out is of everyone's accounts; only the links follow the choice.
  board.followOwner(() => {});
  for (const element of document.querySelectorAll("[data-chart]")) {
    const name = element.dataset.chart;
    const isForecast = name === "forecast";
    board.draw(element, isForecast ? name : "rates", { rows: rows[name] }, element.dataset.name, isForecast ? null : rows[name].length);
  }
};
