import { expect, test } from 'vitest';
import type { Frame } from '../api';
import { fills, PAINT, ramp } from './colour';
import { arrange, hit, move } from './layout';
import { countStates, decode, lit, meanUtilisation, news } from './picture';

/** Two nodes: 8 GPUs, 4 GPUs. */
function frame(state = 'ggghfffxffff'): Frame {
  return {
    models: ['NVIDIA H100', 'NVIDIA L40S'],
    pools: ['training', ''],
    holders: [{ namespace: 'ml', kind: 'TFJob', name: 'mnist' }],
    nodes: { name: ['a', 'b'], model: [0, 1], pool: [0, 1], gpus: [8, 4], flags: [1, 2] },
    gpus: {
      state,
      utilisation: [90, 80, 70, 0, 0, 0, 0, 0, -1, -1, -1, -1],
      memory: [50, 50, 50, 0, 0, 0, 0, 0, -1, -1, -1, -1],
      holder: [0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1],
    },
  };
}

test('a frame is read as columns', () => {
  const picture = decode(frame());
  const [a, b] = picture.nodes;
  expect(a).toMatchObject({ name: 'a', model: 'NVIDIA H100', cordoned: true, reporting: true, first: 0, gpus: 8 });
  expect(b).toMatchObject({ name: 'b', pool: '', cordoned: false, reporting: false, first: 8, gpus: 4 });
  expect(countStates(picture, a!)).toEqual({ free: 3, granted: 3, held: 1, unhealthy: 1, none: 0 });
  expect(meanUtilisation(picture, a!)).toBe(30);
  expect(meanUtilisation(picture, b!)).toBeNull();
});

test('news are what fell sick or recovered', () => {
  const before = decode(frame());
  expect(news(before, before)).toEqual([]);
  expect(news(before, decode(frame('ggghffffxxff')))).toEqual([
    '1 GPU on a recovered.',
    '2 GPUs on b became unhealthy.',
  ]);
});

test('a gang or a text lights its GPUs', () => {
  const picture = decode(frame());
  expect(lit(picture, null, ' ')).toBeNull();
  expect([...lit(picture, 'ml/TFJob/mnist', '')!]).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect([...lit(picture, null, 'l40s')!]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
  expect([...lit(picture, null, 'MNIST')!].filter(Boolean)).toHaveLength(4);
});

test('colours follow the mode, and trouble shows in each', () => {
  const picture = decode(frame());
  const by = (mode: 'utilisation' | 'state' | 'holder') => fills(picture, mode);
  expect(by('utilisation')[0]).toBe(PAINT.ramp + 9);
  expect(by('utilisation')[8]).toBe(PAINT.unknown);
  expect(by('state')[0]).toBe(PAINT.states + 1);
  expect(by('holder')[0]).toBe(by('holder')[3]);
  for (const mode of ['utilisation', 'state', 'holder'] as const) expect(by(mode)[7]).toBe(PAINT.states + 3);
});

test('a ramp begins and ends at its stops', () => {
  expect(ramp(['#000000', '#ffffff'], 3)).toEqual(['#000000', '#808080', '#ffffff']);
});

test('every GPU has its own place inside the map', () => {
  const picture = decode(frame());
  for (const width of [320, 1200]) {
    const layout = arrange(picture, width, 400);
    const places = new Set<string>();
    for (let gpu = 0; gpu < 12; gpu++) {
      const [x, y] = [layout.x[gpu]!, layout.y[gpu]!];
      places.add(`${x} ${y}`);
      expect(x + layout.size).toBeLessThanOrEqual(width);
      expect(y + layout.size).toBeLessThanOrEqual(layout.height);
      expect(hit(layout, x + 1, y + 1)).toBe(gpu);
    }
    expect(places.size).toBe(12);
  }
  expect(hit(arrange(picture, 320, 400), 319, 0)).toBe(-1);
});

test('sixteen thousand GPUs fit on a page', () => {
  const nodes = 2000;
  const each = <T>(value: T, n = nodes): T[] => Array.from({ length: n }, () => value);
  const many: Frame = {
    ...frame(),
    nodes: { name: each('n'), model: each(0), pool: each(0), gpus: each(8), flags: each(0) },
    gpus: {
      state: 'f'.repeat(16_000),
      utilisation: each(0, 16_000),
      memory: each(0, 16_000),
      holder: each(-1, 16_000),
    },
  };
  const layout = arrange(decode(many), 1500, 700);
  expect(layout.height).toBeLessThanOrEqual(700);
  expect(layout.size).toBeGreaterThanOrEqual(5);
});

test('arrow keys walk from cell to cell and stop at the edge', () => {
  const layout = arrange(decode(frame()), 1200, 400);
  expect(move(layout, -1, 'ArrowRight')).toBe(0);
  expect(move(layout, 0, 'ArrowRight')).toBe(1);
  expect(move(layout, 0, 'ArrowDown')).toBe(4);
  expect(move(layout, 5, 'ArrowUp')).toBe(1);
  expect(move(layout, 0, 'ArrowLeft')).toBe(0);
  expect(move(layout, 3, 'ArrowRight')).toBe(8);
  expect(move(layout, 2, 'Home')).toBe(0);
  expect(move(layout, 0, 'End')).toBe(7);
  expect(move(layout, 0, 'a')).toBe(-1);
});
