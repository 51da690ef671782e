"use strict";
// A number links to its row: scroll the row's table into view too, so that its headings can be read.
addEventListener("hashchange", () => {
  const row = document.getElementById(location.hash.slice(1));
  const table = row && row.closest(".wide");
  if (table) table.scrollIntoView({ block: "nearest" });
});
// The graph: dim the artifacts that the chosen experiment does not need.
const chosen = document.getElementById("graph-experiment");
if (chosen) chosen.addEventListener("change", () => {
  for (const part of document.querySelectorAll(".graph [data-experiments]")) {
    const users = part.dataset.experiments.split(" ");
    part.classList.toggle("off", chosen.value !== "" && !users.includes(chosen.value));
  }
});
