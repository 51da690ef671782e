"use strict";
{
  const field = (name) => document.getElementById("gallery-" + name);
  const cards = document.querySelector(".cards");
  const all = cards ? [...cards.querySelectorAll(".card")] : [];
  const shown = () => all.filter((card) => !card.hidden);
  // The IoU of the chosen experiment, or the mean of all; NaN where there is none.
  const iou = (card) => {
    const method = field("method").value;
    const value = method === "" ? card.dataset.mean : JSON.parse(card.dataset.iou)[Number(method)];
    return value === null || value === "" || value === undefined ? NaN : Number(value);
  };
  const orders = {
    chosen: () => 0,
    best: (card) => -iou(card),
    worst: (card) => iou(card),
    disagreement: (card) => (card.dataset.disagreement === "" ? NaN : -Number(card.dataset.disagreement)),
  };
  const arrange = () => {
    const wanted = field("class").value, split = field("split").value, only = field("only").checked;
    const method = field("method").value;
    for (const card of all) {
      const fits = wanted === "" || card.dataset.classes.split(" ").includes(wanted);
      card.hidden = !fits || (split !== "" && card.dataset.split !== split);
      for (const part of card.querySelectorAll(".method[data-methods]"))
        part.hidden = only && method !== "" && !part.dataset.methods.split(" ").includes(method);
    }
    const key = orders[field("sort").value];
    const keyed = all.map((card, position) => ({ card, position, value: key(card) }));
    keyed.sort((a, b) => {
      if (Number.isNaN(a.value) !== Number.isNaN(b.value)) return Number.isNaN(a.value) ? 1 : -1;
      return (Number.isNaN(a.value) ? 0 : a.value - b.value) || a.position - b.position;
    });
    cards.append(...keyed.map((item) => item.card));
    const visible = shown();
    all.forEach((card) => { card.tabIndex = -1; });
    if (visible.length) visible.sort((a, b) => keyed.findIndex((i) => i.card === a) - keyed.findIndex((i) => i.card === b))[0].tabIndex = 0;
    field("count").textContent = visible.length + " of " + all.length + " images of this page";
  };
  const look = () => {
    cards.style.setProperty("--opacity", field("opacity").value / 100);
    field("opacity-value").textContent = field("opacity").value + " %";
    if (field("size").value !== field("size").defaultValue) cards.style.setProperty("--cell", field("size").value + "px");
    else cards.style.removeProperty("--cell");
  };
  const move = (card, step) => {
    const visible = [...cards.querySelectorAll(".card:not([hidden])")];
    const next = visible[visible.indexOf(card) + step];
    if (!next) return;
    visible.forEach((other) => { other.tabIndex = -1; });
    next.tabIndex = 0;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  if (cards) {
    for (const name of ["class", "split", "sort", "method", "only"]) field(name).addEventListener("change", arrange);
    for (const name of ["opacity", "size"]) field(name).addEventListener("input", look);
    cards.addEventListener("keydown", (event) => {
      const card = event.target.closest(".card");
      if (!card || event.ctrlKey || event.altKey || event.metaKey) return;
      const steps = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 };
      if (event.key in steps) { move(card, steps[event.key]); event.preventDefault(); }
      if (event.key === "+" || event.key === "-") {
        field("opacity").value = Number(field("opacity").value) + (event.key === "+" ? 10 : -10);
        look();
      }
    });
    arrange();
    look();
  }
}
