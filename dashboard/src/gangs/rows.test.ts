import { expect, test } from 'vitest';
import type { Gang } from '../api';
import { gpusOf, rows } from './rows';

function gang(name: string, phase: string, since_ms: number, members = 1): Gang {
  const member = { uid: name, name: `${name}-0`, role: 'worker', state: 'waiting', node: 'h100-3', gpus: 8, gpu_uuids: [] };
  const all = Array.from({ length: members }, () => member);
  return { namespace: 'ml', kind: 'TFJob', name, phase, reason: null, have: members, need: 1, size: 1, since_ms, members: all };
}

const gangs = [
  gang('declared', 'gathering', 1, 0),
  gang('old', 'placed', 1),
  gang('new', 'placed', 9),
  gang('late', 'waiting', 8),
  gang('first', 'waiting', 2, 2),
];
const names = (...args: Parameters<typeof rows> extends [unknown, ...infer Rest] ? Rest : never): string[] =>
  rows(gangs, ...args).map((each) => each.name);

test('those that wait come first, the longest wait on top', () => {
  expect(names('all', '')).toEqual(['first', 'late', 'new', 'old', 'declared']);
  expect(names('waiting', '')).toEqual(['first', 'late', 'declared']);
  expect(names('started', '')).toEqual(['new', 'old']);
});

test('every word of the filter must occur somewhere', () => {
  expect(names('all', 'FIRST tfjob')).toEqual(['first']);
  expect(names('all', 'h100-3 placed')).toEqual(['new', 'old']);
  expect(names('all', 'nothing')).toEqual([]);
});

test('a gang asks for what its members ask for', () => {
  expect(gpusOf(gang('a', 'placed', 0, 3))).toBe(24);
});
