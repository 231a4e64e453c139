import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { inProject } from '../runner/src/project.ts';

/** What would be uploaded: the bundle that wrangler makes, with the project's own policies in it. Bytes, after gzip. */
export function bundleGzipBytes(directory: string): number {
  const out = join(directory, 'bundle');
  execFileSync(
    process.execPath,
    [inProject('node_modules/wrangler/bin/wrangler.js'), 'deploy', '--dry-run', '--outdir', out],
    {
      cwd: inProject(),
      env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const files = readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(m?js|wasm)$/.test(name));
  if (files.length === 0) throw new Error('wrangler wrote no bundle');
  return files.reduce((sum, name) => sum + gzipSync(readFileSync(join(out, name)), { level: 6 }).byteLength, 0);
}

/** `npm run check:size`. */
if (import.meta.main) {
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-size-'));
  const kib = bundleGzipBytes(directory) / 1024;
  rmSync(directory, { recursive: true, force: true });
  console.log(`the Worker is ${kib.toFixed(1)} KiB gzip; the bound is 300`);
  process.exitCode = kib < 300 ? 0 : 1;
}
