import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Relative, so that the page works below any path of a proxy.
  base: './',
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // Everything is a file of its own: the content security policy allows nothing inside the markup.
    assetsInlineLimit: 0,
    modulePreload: false,
    license: { fileName: 'licenses.md' },
  },
  // `npm run dev` shows what a running `muster demo` says.
  server: { proxy: { '/api': 'http://127.0.0.1:7070' } },
  test: { include: ['src/**/*.test.ts'] },
});
