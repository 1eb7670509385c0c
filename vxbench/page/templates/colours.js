// Maps over grey frames, as vxbench.figures.drawing draws them.

/** The picture of one frame: frame and map are ImageData of equal size, share is that of the map's usual opacity. */
function overlay(frame, map, share) {
  const picture = new ImageData(frame.width, frame.height);
  const [low, high] = page.scale.opacity;
  for (let i = 0; i < picture.data.length; i += 4) {
    const grey = 0.299 * frame.data[i] + 0.587 * frame.data[i + 1] + 0.114 * frame.data[i + 2];
    const level = map.data[i];
    const opacity = share * (low + ((high - low) * level) / 255);
    for (let channel = 0; channel < 3; channel += 1) {
      picture.data[i + channel] = (1 - opacity) * grey + opacity * page.scale.colours[3 * level + channel];
    }
    picture.data[i + 3] = 255;
  }
  return picture;
}

/** Draws the scale over mid-grey into a canvas one pixel high. */
function drawScale(canvas, share) {
  const level = Array.from({ length: canvas.width }, (_, x) => Math.round((x * 255) / (canvas.width - 1)));
  const pixels = (values) => new ImageData(Uint8ClampedArray.from(values.flatMap((v) => [v, v, v, 255])), canvas.width);
  canvas.getContext("2d").putImageData(overlay(pixels(level.map(() => 128)), pixels(level), share), 0, 0);
}
