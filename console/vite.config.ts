import { defineConfig } from 'vite';

/** Built files only: the Worker serves them, under a policy that lets nothing inline and nothing foreign run. */
export default defineConfig({
  root: new URL('.', import.meta.url).pathname,
  base: '/console/',
  publicDir: 'public',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  logLevel: 'warn',
});
