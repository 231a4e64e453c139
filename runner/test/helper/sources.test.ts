import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { helperPath } from '../../src/helper/helper-path.ts';

const SOURCES = fileURLToPath(new URL('../../helper/src/', import.meta.url));

describe('the helper', () => {
  const texts = readdirSync(SOURCES).map((name) => readFileSync(join(SOURCES, name), 'utf8'));
  it('is under 800 lines of C in all, none of them longer than 140 signs', () => {
    expect(texts.join('').split('\n').length - 1).toBeLessThan(800);
    expect(
      Math.max(
        ...texts
          .join('')
          .split('\n')
          .map(({ length }) => length),
      ),
    ).toBeLessThanOrEqual(140);
  });
  it('is static: it needs nothing of the sandbox that it is PID 1 of', async () => {
    // ELF64: no program header of the kind PT_INTERP.
    const program = readFileSync(await helperPath());
    const [start, size, count] = [
      Number(program.readBigUInt64LE(32)),
      program.readUInt16LE(54),
      program.readUInt16LE(56),
    ];
    const kinds = Array.from({ length: count }, (_, i) => program.readUInt32LE(start + i * size));
    expect(kinds).not.toContain(3);
  });
  it('knows the kernel’s Landlock', async () =>
    expect(execFileSync(await helperPath(), ['offers'], { encoding: 'utf8' })).toMatch(/^\d+\n$/));
});
