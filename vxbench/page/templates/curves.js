// Lines of a chart are shown by the box of their method, and brought forward while a pointer or the focus is on it.

function makeLegend(figure) {
  for (const label of figure.querySelectorAll(".legend label")) {
    const box = label.querySelector("input");
    const lines = figure.querySelectorAll(`.chart [data-line="${box.dataset.line}"]`);
    const mark = (on) => lines.forEach((line) => line.classList.toggle("forward", on));
    const show = () => lines.forEach((line) => line.classList.toggle("off", !box.checked));
    box.addEventListener("change", show);
    show(); // a browser may restore a box of an earlier visit
    for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focusin", true], ["focusout", false]]) {
      label.addEventListener(event, () => mark(on));
    }
  }
}
