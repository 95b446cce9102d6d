// Numbers and states as words for a person.

/** `1 node`, `2 nodes`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** A span of milliseconds, in its largest unit or two: `8 s`, `3 min`, `2 h 5 min`, `3 d 4 h`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return min % 60 ? `${h} h ${min % 60} min` : `${h} h`;
  const d = Math.floor(h / 24);
  return h % 24 ? `${d} d ${h % 24} h` : `${d} d`;
}

/** `InsufficientGpus` as `Insufficient GPUs`. */
export function label(pascal: string): string {
  const words = pascal.replace(/([a-z])([A-Z])/g, '$1 $2').split(' ');
  return words
    .map((word, at) => (/^(Gpus?|Cpu)$/.test(word) ? word.toUpperCase().replace('S', 's') : at ? word.toLowerCase() : word))
    .join(' ');
}

/** `NVIDIA A100-SXM4-80GB` as `A100-SXM4-80GB`: the maker is the same for all. */
export function model(name: string): string {
  return name.replace(/^(NVIDIA|Tesla) /, '');
}

/** Amount of memory given in MiB. */
export function memory(mib: number): string {
  return mib < 1024 ? `${mib} MiB` : `${(mib / 1024).toFixed(mib < 10240 ? 1 : 0)} GiB`;
}
