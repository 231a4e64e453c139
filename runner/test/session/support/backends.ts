import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Backend } from '../../../src/sandbox/backend.ts';
import { backendOf } from '../../../src/session/choose-backend.ts';
import { plainBackend } from './plain-backend.ts';

/** The session's life is the same on every backend: on one that isolates nothing, and on the real one. */
export async function backendsUnderTest(): Promise<{ name: string; backend: Backend }[]> {
  const found = [{ name: 'plain', backend: plainBackend() }];
  const real = fileURLToPath(new URL('../../../src/sandbox/namespace/backend.ts', import.meta.url));
  if (existsSync(real)) found.push({ name: 'namespace', backend: await backendOf('namespace') });
  return found;
}
