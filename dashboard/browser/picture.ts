// The README's picture: the demo once a GPU has died and gangs wait, in light and dark.

import { test } from '@playwright/test';
import { fileURLToPath } from 'node:url';
import { demo } from './program';

const UNTIL_MS = 60_000;

test('the picture', async ({ browser }) => {
  test.setTimeout(3 * UNTIL_MS);
  const program = await demo();
  for (const theme of ['light', 'dark'] as const) {
    const page = await browser.newPage({
      viewport: { width: 1440, height: 900 },
      deviceScaleFactor: 1.5,
      colorScheme: theme,
    });
    await page.goto(program.url);
    await page.waitForFunction(
      () => {
        const figure = (name: string): number =>
          Number(document.querySelector(`[data-figure="${name}"]`)?.textContent);
        return figure('unhealthy') > 0 && figure('waiting') > 0;
      },
      undefined,
      { timeout: UNTIL_MS },
    );
    const name = `../../docs/dashboard${theme === 'dark' ? '-dark' : ''}.png`;
    await page.screenshot({ path: fileURLToPath(new URL(name, import.meta.url)) });
    await page.close();
  }
  await program.stop();
});
