// Which gangs the table shows, in which order. Pure.

import type { Gang } from '../api';

export type Group = 'all' | 'waiting' | 'started';
export const GROUPS: { group: Group; name: string }[] = [
  { group: 'all', name: 'All' },
  { group: 'waiting', name: 'Waiting' },
  { group: 'started', name: 'Started' },
];

const ORDER = ['waiting', 'gathering', 'released', 'binding', 'placed'];

export const PHASE_WORDS: Record<string, string> = {
  gathering: 'Gathering',
  waiting: 'Waiting',
  released: 'Starting',
  binding: 'Binding',
  placed: 'Placed',
};

/** Whether a gang has not been given a place yet. */
export function waits(gang: Gang): boolean {
  return gang.phase === 'waiting' || gang.phase === 'gathering';
}

export function gpusOf(gang: Gang): number {
  return gang.members.reduce((sum, member) => sum + member.gpus, 0);
}

/** Those of a group in which every word of the filter occurs, those that wait first: waiting ones oldest first, started ones newest first. */
export function rows(gangs: Gang[], group: Group, filter: string): Gang[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return gangs
    .filter((gang) => group === 'all' || (group === 'waiting') === waits(gang))
    .filter((gang) => {
      const text = words.length ? textOf(gang) : '';
      return words.every((word) => text.includes(word));
    })
    .sort(
      (a, b) =>
        // Of a gang without pods only the owner has been seen: nothing can be said of it yet.
        Number(a.members.length === 0) - Number(b.members.length === 0) ||
        ORDER.indexOf(a.phase) - ORDER.indexOf(b.phase) ||
        (waits(a) ? a.since_ms - b.since_ms : b.since_ms - a.since_ms) ||
        a.name.localeCompare(b.name),
    );
}

function textOf(gang: Gang): string {
  const nodes = gang.members.map((member) => `${member.name} ${member.node ?? ''}`);
  const { namespace, kind, name, phase, reason } = gang;
  return [namespace, kind, name, phase, PHASE_WORDS[phase], reason?.label, reason?.sentence, ...nodes].join(' ').toLowerCase();
}
