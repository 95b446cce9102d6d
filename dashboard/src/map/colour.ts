// Colours of the map in both themes. Utilisation is one hue from pale to deep, so that it reads without colour vision;
// states differ in lightness and have marks too, so that nothing is said by colour alone. Pure.

import type { Picture } from './picture';

export type Mode = 'utilisation' | 'state' | 'holder';
export const MODES: { mode: Mode; name: string }[] = [
  { mode: 'utilisation', name: 'Utilisation' },
  { mode: 'state', name: 'State' },
  { mode: 'holder', name: 'Gang' },
];

/** Steps of the ramp: 0 %, 10 %, …, 100 %. */
export const STEPS = 11;

export interface Palette {
  ramp: string[];
  states: string[];
  unknown: string;
  holders: string[];
  /** A cell that is empty and too small for an outline. */
  faint: string;
  /** Outline of a cell that is empty, marks on a filled one, names and titles. */
  line: string;
  mark: string;
  text: string;
  quiet: string;
  ring: string;
  veil: string;
}

/** `n` colours along a line through `stops`, which are `#rrggbb`. */
export function ramp(stops: string[], n: number): string[] {
  const rgb = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return Array.from({ length: n }, (_, step) => {
    const along = (step / Math.max(1, n - 1)) * (rgb.length - 1);
    const low = rgb[Math.floor(along)] ?? [0, 0, 0];
    const high = rgb[Math.ceil(along)] ?? low;
    const part = along - Math.floor(along);
    const mix = low.map((value, at) => Math.round(value + ((high[at] ?? value) - value) * part));
    return `#${mix.map((value) => value.toString(16).padStart(2, '0')).join('')}`;
  });
}

// In the order of STATES: free, granted, held, unhealthy, none.
export const LIGHT: Palette = {
  ramp: ramp(['#e4ecf1', '#b4cfe0', '#74a9cb', '#3a7fae', '#1a5a8a', '#0c3a60'], STEPS),
  states: ['#ffffff', '#3a7fae', '#e3b04b', '#c2410c', '#e6e8ea'],
  unknown: '#e6e8ea',
  holders: ['#3a7fae', '#d98e04', '#2f9e7e', '#b0568f', '#7a6fc0', '#6f7f2c', '#a8573a', '#5b7083'],
  faint: '#dbe3e8',
  line: '#9fb0bd',
  mark: '#ffffff',
  text: '#1c2730',
  quiet: '#586773',
  ring: '#101a22',
  veil: 'rgba(255, 255, 255, 0.78)',
};

export const DARK: Palette = {
  ramp: ramp(['#25313b', '#244a66', '#2a6c98', '#4795c6', '#86c3e6', '#cfeaf9'], STEPS),
  states: ['#161d23', '#4795c6', '#d7a233', '#e8613a', '#2a343c'],
  unknown: '#2a343c',
  holders: ['#4f9bcb', '#e0a030', '#45b694', '#d07fb2', '#9a90dc', '#9aab4a', '#cf7d5c', '#8298a9'],
  faint: '#2b3741',
  line: '#52626f',
  mark: '#12181d',
  text: '#e4eaef',
  quiet: '#9aa9b5',
  ring: '#ffffff',
  veil: 'rgba(22, 29, 35, 0.8)',
};

/** Number of a colour in `paints(palette)`. */
export const PAINT = { ramp: 0, states: STEPS, unknown: STEPS + 5, holders: STEPS + 6 };

/** All fills of a palette in one list, so that a cell's colour is one byte. */
export function paints(palette: Palette): string[] {
  return [...palette.ramp, ...palette.states, palette.unknown, ...palette.holders];
}

// Positions in STATES.
const FREE = 0;
const UNHEALTHY = 3;
const NONE = 4;

/** The fill of every GPU. */
export function fills(picture: Picture, mode: Mode): Uint8Array {
  const holders = picture.holderKeys.map((key) => PAINT.holders + (hash(key) % LIGHT.holders.length));
  return Uint8Array.from(picture.state, (state, gpu) => {
    const byState = PAINT.states + state;
    if (state === UNHEALTHY || state === NONE) return byState;
    if (mode === 'utilisation') {
      const percent = picture.utilisation[gpu] ?? -1;
      return percent < 0 ? PAINT.unknown : PAINT.ramp + Math.round(percent / 10);
    }
    if (mode === 'state' || state === FREE) return byState;
    return holders[picture.holder[gpu] ?? -1] ?? byState;
  });
}

/** FNV-1a: the same gang has the same colour on every page. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return value;
}
