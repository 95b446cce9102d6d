// After the build: a gzip beside every file that gets smaller by it, for the server to send as it is.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const dist = new URL('../dist', import.meta.url).pathname;
let bytes = 0;
for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
  if (!/\.(html|js|css|svg)$/.test(name)) continue;
  const plain = readFileSync(join(dist, name));
  const compressed = gzipSync(plain, { level: 9 });
  if (compressed.length < plain.length) writeFileSync(join(dist, `${name}.gz`), compressed);
  bytes += Math.min(compressed.length, plain.length);
}
console.log(`page: ${(bytes / 1024).toFixed(1)} KiB compressed`);
