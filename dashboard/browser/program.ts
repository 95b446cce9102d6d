// The real program as the tests start it: `muster demo` on a port of its own, asked and stopped like any server.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const STARTED_MS = 20_000;
const STOPPED_MS = 10_000;

export interface Program {
  url: string;
  port: number;
  /** Asks it to end and waits until it has. Fails if it had ended before, or does not end in time. */
  stop(): Promise<void>;
}

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Starts the demo. */
export async function demo(port?: number): Promise<Program> {
  const on = port ?? (await freePort());
  return start('target/debug/muster', 'cargo build -p muster', ['demo', '--headless', '--listen', `127.0.0.1:${on}`], on);
}

/** Starts nodes with 8 GPUs each, which report every second; a debug build unless the speed is measured. */
export async function nodes(count: number, profile: 'debug' | 'release'): Promise<Program> {
  const port = await freePort();
  const build = `cargo build ${profile === 'release' ? '--release ' : ''}--example large_cluster`;
  return start(`target/${profile}/examples/large_cluster`, build, [`127.0.0.1:${port}`, String(count)], port);
}

async function start(program: string, build: string, args: string[], port: number): Promise<Program> {
  if (!existsSync(ROOT + program)) throw new Error(`${program} is not built: run ${build}`);
  const child = spawn(ROOT + program, args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  const url = `http://127.0.0.1:${port}/`;
  const until = Date.now() + STARTED_MS;
  while (!(await ready(url))) {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
    if (Date.now() > until) throw new Error(`${program} does not answer at ${url}: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { url, port, stop: () => stop(child) };
}

async function ready(url: string): Promise<boolean> {
  try {
    const cluster = (await (await fetch(`${url}api/v1/cluster`)).json()) as { ready: boolean };
    return cluster.ready;
  } catch {
    return false;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error(`the program had ended with ${child.exitCode}`);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('the program does not end')), STOPPED_MS).unref();
  });
  await Promise.race([ended, late]).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
}
