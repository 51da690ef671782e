"use strict";
// A number leads to its row: the row's table comes with it, headings and all.
addEventListener("hashchange", () => {
  const row = document.getElementById(location.hash.slice(1));
  const table = row && row.closest(".wide");
  if (table) table.scrollIntoView({ block: "nearest" });
});
// The graph: artifacts that the chosen experiment does not need step back.
const chosen = document.getElementById("graph-experiment");
if (chosen) chosen.addEventListener("change", () => {
  for (const part of document.querySelectorAll(".graph [data-experiments]")) {
    const users = part.dataset.experiments.split(" ");
    part.classList.toggle("off", chosen.value !== "" && !users.includes(chosen.value));
  }
});
