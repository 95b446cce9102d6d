// Draws a layout on canvas: one path per colour, marks on top. Knows nothing of where the numbers come from.

import { PAINT, paints, type Mode, type Palette } from './colour';
import type { Layout } from './layout';
import { holderOf, STATES, type Picture } from './picture';

export interface Scene {
  picture: Picture;
  layout: Layout;
  fills: Uint8Array;
  palette: Palette;
  mode: Mode;
}

/** Smaller cells have no outline: what is free is faint. */
const OUTLINED_FROM = 5;
/** On smaller cells a cross would leave no colour: what is sick is drawn larger. */
const CROSSED_FROM = 9;
/** Room for the number of GPUs beside a title. */
const COUNT_WIDTH = 80;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const FREE = 0;
const HELD = 2;
const UNHEALTHY = 3;
const NONE = 4;

/** The cells, their marks, names and titles. */
export function paint(canvas: CanvasRenderingContext2D, scene: Scene): void {
  const { layout, palette } = scene;
  canvas.clearRect(0, 0, layout.width, layout.height);
  paintCells(canvas, scene);
  paintOutlines(canvas, scene);
  paintMarks(canvas, scene);
  if (layout.size >= 16 && scene.mode === 'holder') paintLetters(canvas, scene);
  canvas.textBaseline = 'alphabetic';
  canvas.textAlign = 'left';
  for (const group of layout.groups) {
    canvas.font = `600 13px ${FONT}`;
    canvas.fillStyle = palette.text;
    const title = cut(canvas, group.title, layout.width - group.x - COUNT_WIDTH);
    canvas.fillText(title, group.x, group.y + 14);
    const after = canvas.measureText(title).width + 8;
    canvas.font = `400 12px ${FONT}`;
    canvas.fillStyle = palette.quiet;
    canvas.fillText(`${group.gpus.toLocaleString('en')} GPUs`, group.x + after, group.y + 14);
  }
  if (layout.named) paintNames(canvas, scene);
}

function paintCells(canvas: CanvasRenderingContext2D, { layout, fills, palette }: Scene): void {
  const { x, y, size } = layout;
  const colours = paints(palette);
  if (size < OUTLINED_FROM) colours[PAINT.states + FREE] = palette.faint;
  const radius = size >= 11 ? 3 : 0;
  colours.forEach((colour, number) => {
    if (!fills.includes(number)) return;
    canvas.beginPath();
    for (let gpu = 0; gpu < fills.length; gpu++) {
      if (fills[gpu] !== number) continue;
      if (radius) canvas.roundRect(x[gpu] ?? 0, y[gpu] ?? 0, size, size, radius);
      else canvas.rect(x[gpu] ?? 0, y[gpu] ?? 0, size, size);
    }
    canvas.fillStyle = colour;
    canvas.fill();
  });
}

/** A thin line around what nobody has. */
function paintOutlines(canvas: CanvasRenderingContext2D, { picture, layout, palette }: Scene): void {
  const { x, y, size } = layout;
  if (size < OUTLINED_FROM) return;
  canvas.beginPath();
  for (let gpu = 0; gpu < picture.state.length; gpu++) {
    const state = picture.state[gpu];
    if (state !== FREE && state !== NONE) continue;
    if (size >= 11) canvas.roundRect((x[gpu] ?? 0) + 0.5, (y[gpu] ?? 0) + 0.5, size - 1, size - 1, 2.5);
    else canvas.rect((x[gpu] ?? 0) + 0.5, (y[gpu] ?? 0) + 0.5, size - 1, size - 1);
  }
  canvas.strokeStyle = palette.line;
  canvas.lineWidth = 1;
  canvas.stroke();
}

/** A cross on the unhealthy, a dot on the held, a dash on what is not offered. */
function paintMarks(canvas: CanvasRenderingContext2D, { picture, layout, palette }: Scene): void {
  const { x, y, size } = layout;
  const edge = Math.max(1, size * 0.28);
  const cross = new Path2D();
  const dots = new Path2D();
  const dashes = new Path2D();
  const large = new Path2D();
  for (let gpu = 0; gpu < picture.state.length; gpu++) {
    const [left, top] = [x[gpu] ?? 0, y[gpu] ?? 0];
    const state = picture.state[gpu];
    if (state === UNHEALTHY && size < CROSSED_FROM) {
      large.rect(left - 1, top - 1, size + 2, size + 2);
    } else if (state === UNHEALTHY) {
      cross.moveTo(left + edge, top + edge);
      cross.lineTo(left + size - edge, top + size - edge);
      cross.moveTo(left + size - edge, top + edge);
      cross.lineTo(left + edge, top + size - edge);
    } else if (state === HELD) {
      dots.moveTo(left + size * 0.7, top + size / 2);
      dots.arc(left + size / 2, top + size / 2, size * 0.2, 0, 2 * Math.PI);
    } else if (state === NONE) {
      dashes.moveTo(left + edge, top + size / 2);
      dashes.lineTo(left + size - edge, top + size / 2);
    }
  }
  canvas.fillStyle = palette.states[UNHEALTHY] ?? palette.text;
  canvas.fill(large);
  canvas.lineWidth = Math.max(1, size * 0.1);
  canvas.lineCap = 'round';
  canvas.strokeStyle = palette.mark;
  canvas.stroke(cross);
  canvas.strokeStyle = palette.quiet;
  canvas.stroke(dashes);
  canvas.fillStyle = palette.text;
  canvas.fill(dots);
}

/** The first letter of who has it. */
function paintLetters(canvas: CanvasRenderingContext2D, { picture, layout, palette }: Scene): void {
  const { x, y, size } = layout;
  canvas.font = `600 ${Math.round(size * 0.5)}px ${FONT}`;
  canvas.textAlign = 'center';
  canvas.textBaseline = 'middle';
  canvas.fillStyle = palette.mark;
  for (let gpu = 0; gpu < picture.state.length; gpu++) {
    if (STATES[picture.state[gpu] ?? 0] !== 'granted') continue;
    const letter = holderOf(picture, gpu)?.name.charAt(0).toUpperCase();
    if (letter) canvas.fillText(letter, (x[gpu] ?? 0) + size / 2, (y[gpu] ?? 0) + size / 2 + 0.5);
  }
}

function paintNames(canvas: CanvasRenderingContext2D, { picture, layout, palette }: Scene): void {
  canvas.font = `400 11px ${FONT}`;
  canvas.textBaseline = 'alphabetic';
  canvas.textAlign = 'left';
  const room = layout.columns * layout.pitch - 2;
  picture.nodes.forEach((node, at) => {
    const marks = `${node.cordoned ? ' ⊘' : ''}${node.reporting ? '' : ' ?'}`;
    canvas.fillStyle = palette.quiet;
    canvas.fillText(fit(canvas, node.name, marks, room), layout.nodeX[at] ?? 0, (layout.nodeY[at] ?? 0) - 5);
  });
}

/** A name cut at the front, since nodes differ at the end. */
function fit(canvas: CanvasRenderingContext2D, name: string, marks: string, room: number): string {
  if (canvas.measureText(name + marks).width <= room) return name + marks;
  let cut = name;
  while (cut.length > 1 && canvas.measureText(`…${cut}${marks}`).width > room) cut = cut.slice(1);
  return `…${cut}${marks}`;
}

/** A title cut at the end. */
function cut(canvas: CanvasRenderingContext2D, title: string, room: number): string {
  if (canvas.measureText(title).width <= room) return title;
  let kept = title;
  while (kept.length > 1 && canvas.measureText(`${kept}…`).width > room) kept = kept.slice(0, -1);
  return `${kept}…`;
}

/** What lies over the cells: a veil over those that are not lit, a ring around the one looked at. */
export function paintOver(
  canvas: CanvasRenderingContext2D,
  { layout, palette }: Scene,
  lit: Uint8Array | null,
  at: number,
  focused: boolean,
): void {
  const { x, y, size } = layout;
  canvas.clearRect(0, 0, layout.width, layout.height);
  if (lit) {
    const dark = new Path2D();
    const rings = new Path2D();
    for (let gpu = 0; gpu < lit.length; gpu++) {
      const [left, top] = [x[gpu] ?? 0, y[gpu] ?? 0];
      if (!lit[gpu]) dark.rect(left, top, size, size);
      // Small cells would be all ring.
      else if (size >= 8) rings.roundRect(left + 0.75, top + 0.75, size - 1.5, size - 1.5, size >= 11 ? 2.5 : 0);
    }
    canvas.fillStyle = palette.veil;
    canvas.fill(dark);
    canvas.strokeStyle = palette.ring;
    canvas.lineWidth = 1.5;
    canvas.stroke(rings);
  }
  if (at >= 0 && at < x.length) {
    canvas.strokeStyle = palette.ring;
    canvas.lineWidth = focused ? 3 : 2;
    canvas.beginPath();
    canvas.roundRect((x[at] ?? 0) - 2, (y[at] ?? 0) - 2, size + 4, size + 4, size >= 11 ? 4 : 0);
    canvas.stroke();
  }
}
