// A frame of the server as typed arrays, and what follows from two of them. Pure.

import { keyOf, type Frame, type Holder } from '../api';

/** State of a GPU: the letters of the frame, in order of trouble. */
export const STATES = ['free', 'granted', 'held', 'unhealthy', 'none'] as const;
export type State = (typeof STATES)[number];
const LETTERS = 'fghxn';

export const STATE_WORDS: Record<State, string> = {
  free: 'Free',
  granted: 'In use',
  held: 'Held for a starting gang',
  unhealthy: 'Unhealthy',
  none: 'Not offered',
};

export interface NodeInfo {
  name: string;
  /** Empty where no agent has said. */
  model: string;
  pool: string;
  cordoned: boolean;
  reporting: boolean;
  /** Its GPUs are `first` to `first + gpus - 1`. */
  first: number;
  gpus: number;
}

export interface Picture {
  nodes: NodeInfo[];
  holders: Holder[];
  holderKeys: string[];
  /** Per GPU: position in `STATES`. */
  state: Uint8Array;
  /** Per GPU, percent; -1 unknown. */
  utilisation: Int8Array;
  memory: Int8Array;
  /** Per GPU: position in `holders`; -1 nobody. */
  holder: Int32Array;
  /** Per GPU: position in `nodes`. */
  node: Uint32Array;
}

export function decode(frame: Frame): Picture {
  const nodes: NodeInfo[] = [];
  const total = frame.gpus.state.length;
  const node = new Uint32Array(total);
  let first = 0;
  frame.nodes.name.forEach((name, at) => {
    const gpus = frame.nodes.gpus[at] ?? 0;
    const flags = frame.nodes.flags[at] ?? 0;
    nodes.push({
      name,
      model: frame.models[frame.nodes.model[at] ?? -1] ?? '',
      pool: frame.pools[frame.nodes.pool[at] ?? -1] ?? '',
      cordoned: (flags & 1) !== 0,
      reporting: (flags & 2) === 0,
      first,
      gpus,
    });
    node.fill(at, first, first + gpus);
    first += gpus;
  });
  const state = new Uint8Array(total);
  for (let at = 0; at < total; at++) state[at] = Math.max(0, LETTERS.indexOf(frame.gpus.state.charAt(at)));
  return {
    nodes,
    holders: frame.holders,
    holderKeys: frame.holders.map(keyOf),
    state,
    utilisation: Int8Array.from(frame.gpus.utilisation),
    memory: Int8Array.from(frame.gpus.memory),
    holder: Int32Array.from(frame.gpus.holder),
    node,
  };
}

export function stateOf(picture: Picture, gpu: number): State {
  return STATES[picture.state[gpu] ?? 0] ?? 'free';
}

export function nodeOf(picture: Picture, gpu: number): NodeInfo | undefined {
  return picture.nodes[picture.node[gpu] ?? -1];
}

export function holderOf(picture: Picture, gpu: number): Holder | undefined {
  return picture.holders[picture.holder[gpu] ?? -1];
}

/** GPUs of a node by state. */
export function countStates(picture: Picture, node: NodeInfo): Record<State, number> {
  const counts: Record<State, number> = { free: 0, granted: 0, held: 0, unhealthy: 0, none: 0 };
  for (let gpu = node.first; gpu < node.first + node.gpus; gpu++) counts[stateOf(picture, gpu)]++;
  return counts;
}

/** Mean utilisation of a node in percent; `null` where no agent reports. */
export function meanUtilisation(picture: Picture, node: NodeInfo): number | null {
  const read = picture.utilisation.subarray(node.first, node.first + node.gpus).filter((percent) => percent >= 0);
  return read.length ? Math.round(read.reduce((sum, percent) => sum + percent, 0) / read.length) : null;
}

/** What fell sick or recovered between two pictures, in sentences. */
export function news(before: Picture, after: Picture): string[] {
  const sick = (picture: Picture): Map<string, number> =>
    new Map(picture.nodes.map((node) => [node.name, countStates(picture, node).unhealthy]));
  const was = sick(before);
  const said: string[] = [];
  for (const [name, now] of sick(after)) {
    const then = was.get(name);
    if (then === undefined || then === now) continue;
    const change = Math.abs(now - then);
    const gpus = change === 1 ? '1 GPU' : `${change} GPUs`;
    said.push(now > then ? `${gpus} on ${name} became unhealthy.` : `${gpus} on ${name} recovered.`);
  }
  return said;
}

/** Which GPUs to show bright: those of a holder, or those that a text matches. `null` is all. */
export function lit(picture: Picture, holder: string | null, filter: string): Uint8Array | null {
  const wanted = filter.trim().toLowerCase();
  if (holder === null && wanted === '') return null;
  const byHolder = picture.holderKeys.map((key) =>
    holder !== null ? key === holder : key.toLowerCase().includes(wanted),
  );
  const byNode = picture.nodes.map(
    (node) => holder === null && `${node.name} ${node.model} ${node.pool}`.toLowerCase().includes(wanted),
  );
  return Uint8Array.from(picture.state, (_, gpu) =>
    Number(byHolder[picture.holder[gpu] ?? -1] === true || byNode[picture.node[gpu] ?? -1] === true),
  );
}
