"use strict";
// The graph: artifacts that the chosen experiment does not need step back.
const chosen = document.getElementById("graph-experiment");
if (chosen) chosen.addEventListener("change", () => {
  for (const part of document.querySelectorAll(".graph [data-experiments]")) {
    const users = part.dataset.experiments.split(" ");
    part.classList.toggle("off", chosen.value !== "" && !users.includes(chosen.value));
  }
});
