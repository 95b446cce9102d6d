import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'browser',
  outputDir: 'test-results',
  // One server and one browser at a time: the tests stop and start the server.
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: 'list',
  projects: [
    { name: 'tests', testMatch: '*.spec.ts' },
    // Not tests: they print figures and take the README's picture.
    { name: 'figures', testMatch: 'figures.ts' },
    { name: 'picture', testMatch: 'picture.ts' },
  ],
  use: { launchOptions: { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] } },
});
