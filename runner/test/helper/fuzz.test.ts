import { execFileSync, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helperTables } from '../../src/helper/helper-path.ts';

const HELPER = fileURLToPath(new URL('../../helper/', import.meta.url));
const SANITIZED =
  '-std=gnu11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -Isrc';

describe('the judge of paths, under the sanitizers, with the kernel as the oracle', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-fuzz-'));
  const program = join(directory, 'fuzz');
  beforeAll(async () => {
    const tables = join(directory, 'tables.c');
    writeFileSync(tables, await helperTables());
    const sources = ['fuzz/fuzz.c', 'src/judge.c', tables];
    execFileSync('gcc', [...SANITIZED.split(' '), '-o', program, ...sources], { cwd: HELPER });
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  // Three that CI repeats, and one that nobody has seen: its number is in the name.
  it.each([1, 2, 3, randomInt(4, 2 ** 31)])('denies every way to a secret and no other, seed %i', (seed) => {
    const own = mkdtempSync(join(directory, 'tree-'));
    const ran = spawnSync(program, [String(seed), '400000', own], { encoding: 'utf8' });
    expect(ran.stderr).toBe('');
    expect(ran.stdout).toMatch(/^400000 paths: \d{5,} led to the secret, \d{4,} to a plain file\n$/);
    expect(ran.status).toBe(0);
  });
});
