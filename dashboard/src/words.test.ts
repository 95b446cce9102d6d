import { expect, test } from 'vitest';
import { count, label, memory, model, span } from './words';

test('spans have one unit or two', () => {
  expect([-5, 8_900, 61_000, 7_500_000, 7_200_000, 273_600_000].map(span)).toEqual([
    '0 s',
    '8 s',
    '1 min',
    '2 h 5 min',
    '2 h',
    '3 d 4 h',
  ]);
});

test('labels are read as words', () => {
  expect(label('InsufficientGpus')).toBe('Insufficient GPUs');
  expect(label('InsufficientCpu')).toBe('Insufficient CPU');
  expect(label('WaitingForMembers')).toBe('Waiting for members');
  expect(label('Queued')).toBe('Queued');
});

test('one is not many', () => {
  expect(count(1, 'node')).toBe('1 node');
  expect(count(1200, 'GPU')).toBe('1,200 GPUs');
});

test('models lose their maker, memory gains a unit', () => {
  expect(model('NVIDIA H100 80GB HBM3')).toBe('H100 80GB HBM3');
  expect(memory(512)).toBe('512 MiB');
  expect(memory(81_559)).toBe('80 GiB');
});
