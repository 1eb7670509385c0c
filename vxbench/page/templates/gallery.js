// The gallery: one clip at a time, every method's map at the same frame.

const FRAMES_PER_SECOND = 4;
const TILE = 192; // pixels a picture is drawn at, at least

function makeGallery(form, place) {
  const sets = page.sets.filter((set) => set.pictures.length);
  const controls = form.elements;
  document.getElementById("gallery-empty").hidden = sets.length > 0;
  form.hidden = document.getElementById("gallery-scale").hidden = sets.length === 0;
  if (!sets.length) return;

  const tables = [...new Set(sets.map((set) => set.table))];
  const ofTable = () => sets.filter((set) => set.table === tables[controls.table.value]);
  const chosen = () => ofTable()[controls.set.value];
  let shown = { tiles: [], count: 1 };
  let timer = null;

  const draw = () => {
    const frame = Number(controls.frame.value);
    const share = Number(controls.opacity.value);
    for (const tile of shown.tiles) drawTile(tile, shown, frame, share, controls.boxes.checked);
    controls.time.value = `${frame + 1} of ${shown.count}`;
  };
  const open = async () => {
    const set = chosen();
    const clip = set.pictures[controls.clip.value];
    const opened = await openClip(set, clip);
    if (set !== chosen() || clip !== set.pictures[controls.clip.value]) return; // another was chosen meanwhile
    shown = opened;
    controls.frame.max = String(shown.count - 1);
    controls.frame.value = String(Math.floor(shown.count / 2));
    place.replaceChildren(...shown.tiles.map((tile) => tile.figure));
    draw();
  };
  const chooseSet = () => {
    offer(controls.clip, chosen().pictures.map((clip) => clip.id));
    return open();
  };
  const chooseTable = () => {
    offer(controls.set, ofTable().map((set) => `${set.model} on ${set.datasetName}`));
    return chooseSet();
  };
  const play = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(next, 1000 / FRAMES_PER_SECOND) : null;
    controls.play.setAttribute("aria-pressed", String(on));
    controls.play.textContent = on ? "Pause" : "Play";
  };
  const next = () => {
    controls.frame.value = String((Number(controls.frame.value) + 1) % shown.count);
    draw();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  controls.table.addEventListener("change", chooseTable);
  controls.set.addEventListener("change", chooseSet);
  controls.clip.addEventListener("change", open);
  controls.frame.addEventListener("input", draw);
  controls.boxes.addEventListener("change", draw);
  controls.opacity.addEventListener("input", () => {
    drawScale(document.querySelector("#gallery-scale canvas"), Number(controls.opacity.value));
    draw();
  });
  controls.play.addEventListener("click", () => play(timer === null));
  offer(controls.table, tables);
  drawScale(document.querySelector("#gallery-scale canvas"), Number(controls.opacity.value));
  chooseTable();
}

/** The clip's pictures as pixels: one tile for the frames, one for every method. */
async function openClip(set, clip) {
  const frames = await pixels(clip.frames, clip);
  const index = page.clips[set.dataset].indexOf(clip.id);
  const tiles = [makeTile("frames", clip, null, [])];
  for (const method of set.methods) {
    const map = clip.maps[method.row] ? await pixels(clip.maps[method.row], clip) : null;
    const values = method.why ? [] : valuesBeside(set, method, index);
    tiles.push(makeTile(method.name, clip, map, values, map ? "" : method.why || "no map"));
  }
  return { ...clip, pictures: frames, tiles };
}

/** The frames of an image that holds them side by side, as ImageData each. */
async function pixels(name, clip) {
  const image = new Image();
  image.src = page.images[name];
  await image.decode();
  const canvas = element("canvas", { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const corner = (i) => [(i % clip.columns) * clip.width, Math.floor(i / clip.columns) * clip.height];
  return Array.from({ length: clip.count }, (_, i) => context.getImageData(...corner(i), clip.width, clip.height));
}

function makeTile(name, clip, map, values, why = "") {
  const zoom = Math.max(1, Math.ceil(TILE / clip.width));
  const canvas = element("canvas", { width: clip.width * zoom, height: clip.height * zoom });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", why ? `${name}: ${why}` : `${name}, ${clip.id}`);
  const list = element("dl", {}, ...values.flatMap(({ title, text, why: reason }) => [
    element("dt", {}, title),
    element("dd", { title: reason ?? "" }, text),
  ]));
  const below = why ? [element("p", { className: "faint" }, why)] : [];
  const figure = element("figure", {}, canvas, element("figcaption", {}, element("strong", {}, name), ...below, list));
  return { figure, canvas, zoom, map, isFrames: map === null && !why };
}

function valuesBeside(set, method, clip) {
  return set.metrics.map((metric) => ({ title: metric.title, ...valueOf(method.cell, metric, clip) }));
}

/** One tile at one frame: the frame itself, or the map over it, and the border of the boxes. */
function drawTile(tile, clip, frame, share, withBoxes) {
  const context = tile.canvas.getContext("2d");
  if (!tile.map && !tile.isFrames) return;
  const picture = tile.map ? overlay(clip.pictures[frame], tile.map[frame], share) : clip.pictures[frame];
  const small = element("canvas", { width: clip.width, height: clip.height });
  small.getContext("2d").putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, tile.canvas.width, tile.canvas.height);
  if (withBoxes && clip.boxes.length) drawBorder(context, clip.boxes[frame], tile.zoom);
}

/** Line segments [x0, y0, x1, y1, ...] in pixels of the frame, light on dark, to be seen on any ground. */
function drawBorder(context, segments, zoom) {
  context.beginPath();
  for (let i = 0; i < segments.length; i += 4) {
    context.moveTo(segments[i] * zoom, segments[i + 1] * zoom);
    context.lineTo(segments[i + 2] * zoom, segments[i + 3] * zoom);
  }
  context.lineCap = "square";
  for (const [colour, width] of [["#000000", 4], [page.scale.box, 2]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.stroke();
  }
}
