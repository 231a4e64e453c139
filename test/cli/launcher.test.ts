import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { BIN, keywarden, oldNode, scratch } from './command-line.ts';

const node = oldNode();
const place = scratch();
afterEach(() => place.remove());

describe.skipIf(node === null)('started by an old Node', () => {
  const old = { node: node ?? '' };

  it('does what a new one does, exit code and arguments kept', async () => {
    const version = await keywarden(['--version'], old);
    expect(version).toEqual(await keywarden(['--version']));
    expect((await keywarden(['no such command; $(echo x)'], old)).code).toBe(2);
    expect((await keywarden(['no such command; $(echo x)'], old)).stderr).toContain(
      "unknown command 'no such command; $(echo x)'",
    );
  });

  it('says what it needs where no newer one is installed', async () => {
    // The launcher alone, as if npm had skipped the optional package.
    mkdirSync(join(place.path, 'bin'), { recursive: true });
    place.file('package.json', '{"type":"module"}');
    const bin = join(place.path, 'bin/keywarden.js');
    copyFileSync(BIN, bin);
    const { code, stdout, stderr } = await keywarden(['--version'], { ...old, bin, cwd: place.path });
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr).toMatch(/^keywarden: error: Node\.js \d+\.\d+\.\d+ is too old.*\nkeywarden: hint: .*npm install/);
  });
});
