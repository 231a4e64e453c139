import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

/** Builds the console, and refuses one that is too heavy to open quickly: what `index.html` names, gzipped. */
const MOST_KB = 100;
const root = new URL('../console/', import.meta.url);

await build({ configFile: new URL('vite.config.ts', root).pathname });
const page = readFileSync(new URL('dist/index.html', root), 'utf8');
if (/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=/i.test(page)) fail('index.html has something inline');
const named = [...page.matchAll(/(?:src|href)="\/console\/([^"]+)"/g)].map((match) => match[1] as string);
const first = ['index.html', ...named].reduce((sum, name) => sum + gzipped(`dist/${name}`), 0) / 1000;
const all = readdirSync(new URL('dist/assets', root)).reduce((sum, name) => sum + gzipped(`dist/assets/${name}`), 0);
console.log(
  `console: first load ${first.toFixed(1)} kB gzip (at most ${MOST_KB}), ${(all / 1000).toFixed(1)} kB in all`,
);
if (first > MOST_KB) fail('the first load is too heavy');

function gzipped(name: string): number {
  return gzipSync(readFileSync(new URL(name, root)), { level: 9 }).byteLength;
}

function fail(message: string): never {
  console.error(`console: ${message}`);
  process.exit(1);
}
