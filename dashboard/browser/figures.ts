// Figures of the page: bytes over the wire, and frames per second with 16,000 GPUs, each beside its floor from the
// same run: frames of an empty page. Prints; judges nothing.

import { test, type Page } from '@playwright/test';
import { nodes } from './program';

const MEASURED_MS = 5_000;
const COLD_BYTES_GOAL = 150 * 1024;

/** Frames per second, and the longest time between two of them, while `during` runs again and again. */
async function frames(page: Page, during: () => Promise<void>): Promise<{ fps: number; longest: number }> {
  const measured = page.evaluate(
    (ms) =>
      new Promise<{ fps: number; longest: number }>((resolve) => {
        const start = performance.now();
        let [count, last, longest] = [0, start, 0];
        const frame = (now: number): void => {
          count++;
          longest = Math.max(longest, now - last);
          last = now;
          if (now - start < ms) requestAnimationFrame(frame);
          else resolve({ fps: (1000 * count) / (now - start), longest });
        };
        requestAnimationFrame(frame);
      }),
    MEASURED_MS,
  );
  let done = false;
  void measured.finally(() => (done = true));
  while (!done) await during();
  return measured;
}

test('figures', async ({ browser }) => {
  const program = await nodes(2_000, 'release');
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
  const rest = (): Promise<void> => page.waitForTimeout(100);
  const floor = await frames(page, rest);

  let bytes = 0;
  page.on('response', async (response) => {
    const { responseBodySize, responseHeadersSize } = await response.request().sizes().catch(() => ({ responseBodySize: 0, responseHeadersSize: 0 }));
    if (!response.url().includes('/api/')) bytes += responseBodySize + responseHeadersSize;
  });
  const began = Date.now();
  await page.goto(program.url);
  await page.locator('.canvases').waitFor();
  const drawn = Date.now() - began;
  const gpus = await page.locator('#map-title + p').textContent();
  const quiet = await frames(page, rest);
  const box = await page.locator('.canvases').boundingBox();
  let step = 0;
  const hover = async (): Promise<void> => {
    step = (step + 37) % 1000;
    if (box) await page.mouse.move(box.x + (box.width * step) / 1000, box.y + (box.height * ((step * 7) % 1000)) / 1000);
  };
  const moving = await frames(page, hover);
  const map = await fetch(`${program.url}api/v1/map`);
  const size = (await map.arrayBuffer()).byteLength;

  const row = (what: string, value: string, note = ''): void => console.log(what.padEnd(44), value.padStart(12), ' ', note);
  row('page over the wire, cold', `${(bytes / 1024).toFixed(1)} KiB`, `goal ${COLD_BYTES_GOAL / 1024} KiB`);
  row('from the request to the map', `${drawn} ms`, gpus ?? '');
  row('frames/s, empty page (floor)', floor.fps.toFixed(0), `longest gap ${floor.longest.toFixed(0)} ms`);
  row('frames/s, 16,000 GPUs, news every second', quiet.fps.toFixed(0), `longest gap ${quiet.longest.toFixed(0)} ms`);
  row('frames/s, the same under a moving pointer', moving.fps.toFixed(0), `longest gap ${moving.longest.toFixed(0)} ms`);
  row('one frame of the map', `${(size / 1024).toFixed(0)} KiB`, `${(size / 16_000).toFixed(1)} bytes per GPU`);
  await program.stop();
});
