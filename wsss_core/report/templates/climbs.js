"use strict";
for (const climb of document.querySelectorAll(".climb")) {
  const slider = climb.querySelector(".step"), button = climb.querySelector(".play"), status = climb.querySelector(".status");
  const steps = JSON.parse(climb.dataset.steps), scores = JSON.parse(climb.dataset.scores), iou = JSON.parse(climb.dataset.iou);
  const all = Number(climb.dataset.all), last = steps.length - 1;
  let playing = null;
  const look = () => {
    const frame = Number(slider.value), step = steps[frame];
    climb.style.setProperty("--frame", frame);
    climb.style.setProperty("--at", all > 1 ? (step - 1) / (all - 1) : 0.5);
    status.textContent = "step " + step + " of " + all + ": score " + scores[frame].toFixed(2) +
      (iou.length ? ", IoU of the sum " + (100 * iou[frame]).toFixed(1) + " %" : "");
    slider.setAttribute("aria-valuetext", status.textContent);
  };
  const stop = () => { clearInterval(playing); playing = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (playing !== null) { stop(); return; }
    if (Number(slider.value) === last) slider.value = 0;
    look();
    button.textContent = "Stop";
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      look();
      if (Number(slider.value) >= last) stop();
    }, Math.max(120, Math.min(500, 5000 / steps.length)));
  });
  slider.addEventListener("input", () => { stop(); look(); });
  look();
}
