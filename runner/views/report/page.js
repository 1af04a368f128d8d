"use strict";
// Draws the charts of this page from the specifications inside it: at once where they are seen, else when opened.
(function () {
  const embed = window.vegaEmbed;
  const config = JSON.parse(document.getElementById("chart-config").textContent);
  const options = {
    actions: false, ast: true, renderer: "svg", config: config, defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
    formatLocale: undefined,
  };
  function draw(figure) {
    if (figure.dataset.drawn || !embed) { return Promise.resolve(); }
    figure.dataset.drawn = "begun";
    const spec = JSON.parse(figure.querySelector("script").textContent);
    spec.width = "container";
    spec.height = spec.height || 260;
    spec.autosize = { type: "fit-x", contains: "padding" };
    spec.background = null;
    const place = figure.querySelector(".chart");
    return embed(place, spec, options).then(
      function () { figure.dataset.drawn = "done"; },
      function (problem) {
        figure.dataset.drawn = "failed";
        place.textContent = String(problem);
        console.error(problem);
      },
    );
  }
  function drawVisible() {
    for (const figure of document.querySelectorAll("figure[data-chart]")) {
      if (!figure.closest("details:not([open])")) { draw(figure); }
    }
  }
  document.addEventListener("toggle", drawVisible, true);
  window.addEventListener("beforeprint", function () {
    for (const part of document.querySelectorAll("details[data-print]")) { part.open = true; }
    drawVisible();
  });
  drawVisible();
})();
