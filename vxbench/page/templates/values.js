// The values clip by clip: one table at a time, one row a clip, one column a method.

function makeValues(form, place, count) {
  const controls = form.elements;
  const datasets = [...new Set(page.sets.map((set) => set.dataset))].filter((name) => page.clips[name].length);
  form.hidden = datasets.length === 0;
  if (!datasets.length) return;

  const ofData = () => page.sets.filter((set) => set.dataset === datasets[controls.dataset.value]);
  const chosen = () => ofData()[controls.set.value];
  const filter = () => {
    const wanted = controls.filter.value.trim().toLowerCase();
    const rows = [...place.querySelectorAll("tbody tr")];
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} clips`;
  };
  const show = () => {
    const table = valuesTable(chosen(), chosen().metrics[controls.metric.value]);
    place.replaceChildren(table);
    makeSortable(table);
    filter();
  };
  const chooseSet = () => {
    offer(controls.metric, chosen().metrics.map((metric) => metric.title));
    show();
  };
  const chooseData = () => {
    offer(controls.set, ofData().map((set) => `${set.table}, ${set.model}`));
    chooseSet();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  controls.dataset.addEventListener("change", chooseData);
  controls.set.addEventListener("change", chooseSet);
  controls.metric.addEventListener("change", show);
  controls.filter.addEventListener("input", filter);
  offer(controls.dataset, datasets.map((name) => page.sets.find((set) => set.dataset === name).datasetName));
  chooseData();
}

function valuesTable(set, metric) {
  const head = (text, className) => element("th", { scope: "col", className }, text);
  const heads = element("tr", {}, head("Clip", ""), ...set.methods.map(({ name }) => head(name, "number")));
  const rows = set.clips.map((index) => {
    const cells = set.methods.map((method) => valueCell(valueOf(method.cell, metric, index), method.why));
    return element("tr", {}, element("th", { scope: "row" }, page.clips[set.dataset][index]), ...cells);
  });
  const title = `${metric.title}, ${set.model} on ${set.datasetName}, ${set.table}`;
  return element("table", {}, element("caption", {}, title), element("thead", {}, heads), element("tbody", {}, ...rows));
}

function valueCell({ text, number, why }, whole) {
  const missing = number === undefined;
  const cell = element("td", { className: missing ? "number missing" : "number", title: missing ? whole || why : "" }, text);
  if (!missing) cell.dataset.sort = String(number);
  return cell;
}
