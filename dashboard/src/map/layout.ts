// Where each GPU stands on the map: nodes as small blocks, blocks in groups, groups in rows. Pure.

import { model } from '../words';
import type { Picture } from './picture';

export interface Group {
  title: string;
  /** Positions of its nodes in the picture. */
  nodes: number[];
  gpus: number;
  x: number;
  y: number;
  width: number;
}

export interface Layout {
  width: number;
  height: number;
  /** Side of a cell, and distance from one cell to the next. */
  size: number;
  pitch: number;
  /** Whether there is room for the nodes' names. */
  named: boolean;
  groups: Group[];
  /** Per GPU: left and top edge. */
  x: Float32Array;
  y: Float32Array;
  /** Per node: left and top edge of its cells. */
  nodeX: Float32Array;
  nodeY: Float32Array;
  /** Columns of cells in a block. */
  columns: number;
}

const COLUMNS = 4;
const SIZES = [34, 30, 26, 22, 19, 16, 13, 11, 9, 8, 7, 6, 5, 4, 3];
/** Cells that are smaller leave no room for a node's name. */
const NAMED_FROM = 16;
const TITLE = 26;
const NAME = 17;
const GROUP_GAP = 28;

/** Nodes by pool and model, the largest groups first. */
export function group(picture: Picture): Group[] {
  const groups = new Map<string, Group>();
  picture.nodes.forEach((node, at) => {
    const title = [node.pool, node.model ? model(node.model) : 'Model not reported'].filter(Boolean).join(' · ');
    const found = groups.get(title) ?? { title, nodes: [], gpus: 0, x: 0, y: 0, width: 0 };
    found.nodes.push(at);
    found.gpus += node.gpus;
    groups.set(title, found);
  });
  return [...groups.values()].sort((a, b) => b.gpus - a.gpus || a.title.localeCompare(b.title));
}

/** The largest cells with which everything is at most `tall`, or the smallest there are. */
export function arrange(picture: Picture, width: number, tall: number): Layout {
  let layout = place(picture, width, SIZES[0] ?? 3);
  for (const size of SIZES.slice(1)) {
    if (layout.height <= tall) break;
    layout = place(picture, width, size);
  }
  return layout;
}

function place(picture: Picture, width: number, size: number): Layout {
  const named = size >= NAMED_FROM;
  const pitch = size + (size >= 9 ? 2 : 1);
  const between = named ? 12 : Math.max(2, Math.round(size / 2));
  const blockWidth = COLUMNS * pitch + between;
  const total = picture.state.length;
  const layout: Layout = {
    width,
    height: 0,
    size,
    pitch,
    named,
    groups: group(picture),
    x: new Float32Array(total),
    y: new Float32Array(total),
    nodeX: new Float32Array(picture.nodes.length),
    nodeY: new Float32Array(picture.nodes.length),
    columns: COLUMNS,
  };
  let shelf = { x: 0, y: 0, height: 0 };
  for (const each of layout.groups) {
    const rows = Math.max(1, ...each.nodes.map((at) => Math.ceil((picture.nodes[at]?.gpus ?? 0) / COLUMNS)));
    const blockHeight = rows * pitch + between + (named ? NAME : 0);
    const across = Math.max(1, Math.floor((width + between) / blockWidth));
    each.width = Math.max(Math.min(each.nodes.length, across) * blockWidth, titleWidth(each));
    if (shelf.x > 0 && shelf.x + each.width > width) shelf = { x: 0, y: shelf.y + shelf.height, height: 0 };
    each.x = shelf.x;
    each.y = shelf.y;
    each.nodes.forEach((node, at) => {
      const x = each.x + (at % across) * blockWidth;
      const y = each.y + TITLE + Math.floor(at / across) * blockHeight + (named ? NAME : 0);
      setNode(picture, layout, node, x, y);
    });
    const height = TITLE + Math.ceil(each.nodes.length / across) * blockHeight + 8;
    shelf = { x: shelf.x + each.width + GROUP_GAP, y: shelf.y, height: Math.max(shelf.height, height) };
  }
  layout.height = shelf.y + shelf.height;
  return layout;
}

/** Room for a group's title, so that neighbours do not write over each other. */
function titleWidth(group: Group): number {
  return 7 * group.title.length + 90;
}

function setNode(picture: Picture, layout: Layout, at: number, x: number, y: number): void {
  const node = picture.nodes[at];
  if (!node) return;
  layout.nodeX[at] = x;
  layout.nodeY[at] = y;
  for (let gpu = 0; gpu < node.gpus; gpu++) {
    layout.x[node.first + gpu] = x + (gpu % COLUMNS) * layout.pitch;
    layout.y[node.first + gpu] = y + Math.floor(gpu / COLUMNS) * layout.pitch;
  }
}

/** The GPU under a point, or -1. */
export function hit(layout: Layout, x: number, y: number): number {
  for (let gpu = 0; gpu < layout.x.length; gpu++) {
    const dx = x - (layout.x[gpu] ?? 0);
    const dy = y - (layout.y[gpu] ?? 0);
    if (dx >= 0 && dy >= 0 && dx < layout.pitch && dy < layout.pitch) return gpu;
  }
  return -1;
}

/** The first GPU as one reads, or the last. */
function corner(layout: Layout, last: boolean): number {
  const order = (gpu: number): number => (layout.y[gpu] ?? 0) * 1e5 + (layout.x[gpu] ?? 0);
  let best = 0;
  for (let gpu = 1; gpu < layout.x.length; gpu++) {
    if (last ? order(gpu) > order(best) : order(gpu) < order(best)) best = gpu;
  }
  return best;
}

/** The GPU next to another one in the direction of a key; itself at the edge, -1 for a key that moves nothing. */
export function move(layout: Layout, from: number, key: string): number {
  const last = layout.x.length - 1;
  if (last < 0) return -1;
  if (key === 'Home' || key === 'End') return corner(layout, key === 'End');
  const side = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (!side) return -1;
  if (from < 0 || from > last) return corner(layout, false);
  const [dx = 0, dy = 0] = side;
  let best = from;
  let least = Infinity;
  for (let gpu = 0; gpu <= last; gpu++) {
    const x = (layout.x[gpu] ?? 0) - (layout.x[from] ?? 0);
    const y = (layout.y[gpu] ?? 0) - (layout.y[from] ?? 0);
    const along = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    // The same row or column counts more than a short way.
    const cost = along + aside * 64;
    const sideways = dx !== 0 && aside > layout.pitch / 2;
    if (along > 0.5 && !sideways && cost < least) [best, least] = [gpu, cost];
  }
  return best;
}
