import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
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
