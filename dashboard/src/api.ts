// What the server says, as in src/api/*.rs, and how it is asked. Paths are relative to the page.

export interface Fit {
  gpus_per_member: number;
  members: number;
}

export interface Cluster {
  ready: boolean;
  version: number;
  now_ms: number;
  nodes: number;
  nodes_reporting: number;
  pods: number;
  gpus: { capacity: number; free: number; claimed: number; unhealthy: number };
  gangs: Record<string, number>;
  waiting_gangs: number;
  largest_fit: Fit[];
}

export interface Reason {
  label: string;
  sentence: string;
}

export interface Member {
  uid: string;
  name: string;
  role: string;
  state: string;
  node: string | null;
  gpus: number;
  gpu_uuids: string[];
}

export interface Gang {
  namespace: string;
  kind: string;
  name: string;
  phase: string;
  reason: Reason | null;
  have: number;
  need: number | null;
  size: number | null;
  since_ms: number;
  members: Member[];
}

export interface Holder {
  namespace: string;
  kind: string;
  name: string;
}

/** Columns: one entry per node in `nodes`, one entry per GPU, node after node, in `gpus`. */
export interface Frame {
  models: string[];
  pools: string[];
  holders: Holder[];
  nodes: { name: string[]; model: number[]; pool: number[]; gpus: number[]; flags: number[] };
  gpus: { state: string; utilisation: number[]; memory: number[]; holder: number[] };
}

export interface NodeGpu {
  uuid: string;
  model: string;
  memory_mib: number;
  unhealthy: string | null;
  pod: { uid: string; namespace: string | null; name: string | null } | null;
  utilisation_percent: number;
  memory_used_mib: number;
  temperature_c: number;
  power_mw: number;
}

export interface NodeDetail {
  name: string;
  cordoned: boolean;
  reporting: boolean;
  gpus: NodeGpu[];
}

export interface Explanation {
  reason: Reason | null;
  member: { name: string; gpus: number; cpu_milli: number; memory_bytes: number } | null;
  changes: { label: string; sentence: string }[];
  funnel: { condition: string; nodes: number }[];
  obstacles: {
    node: string;
    label: string;
    sentence: string;
    condition: string;
    holders: (Holder & { gpus: number })[];
  }[];
}

/** Asks for JSON below `api/v1/`. Throws an error whose message is a sentence for a person. */
export async function ask<T>(path: string): Promise<T> {
  return (await (await request(path)).json()) as T;
}

async function request(path: string): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(`api/v1/${path}`, { headers: { accept: 'application/json' } });
  } catch {
    throw new Error('Muster does not answer.');
  }
  if (answer.ok) return answer;
  const said: unknown = await answer.json().catch(() => null);
  const error = said && typeof said === 'object' && 'error' in said ? String(said.error) : null;
  throw new Error(error ?? `Muster answered ${answer.status}.`);
}

/** Answers that have a tag, as they were last read: what has not changed is not read again. */
const known = new Map<string, { tag: string; value: unknown }>();

/** Like `ask`, for paths whose answers have a tag: the same object as before while the answer is the same. */
export async function askAgain<T>(path: string): Promise<T> {
  const answer = await request(path);
  const tag = answer.headers.get('etag') ?? '';
  const before = known.get(path);
  if (before && tag !== '' && before.tag === tag) {
    await answer.body?.cancel();
    return before.value as T;
  }
  const value = (await answer.json()) as T;
  known.set(path, { tag, value });
  return value;
}

/** A path below `api/v1/` with its parts escaped. */
export function path(...parts: string[]): string {
  return parts.map(encodeURIComponent).join('/');
}

/** Identity of a gang or pod on this page. */
export function keyOf(who: Holder): string {
  return `${who.namespace}/${who.kind}/${who.name}`;
}
