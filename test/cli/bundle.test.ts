import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { checkout } from './checkout.ts';
import { keywarden } from './command-line.ts';

const { at, remove } = checkout('scripts/runner.js');
afterAll(remove);

const RECORD = at('runner/dist/built.json');
const SOURCE = at('runner/src/cli/program.ts');

function bundle(): void {
  const { status, stderr } = spawnSync(process.execPath, [at('scripts/runner.js')], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  // So that it can be told from the sources.
  const main = at(`runner/dist/${JSON.parse(readFileSync(RECORD, 'utf8')).main}`);
  const text = readFileSync(main, 'utf8');
  if (!text.startsWith('process.stdout.write')) writeFileSync(main, `process.stdout.write('bundle ');${text}`);
}

async function loadedFrom(): Promise<'bundle' | 'sources'> {
  const { code, stdout, stderr } = await keywarden(['--version'], { bin: at('runner/bin/keywarden.js') });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^(bundle )?\d+\.\d+\.\d+\n$/);
  return stdout.startsWith('bundle') ? 'bundle' : 'sources';
}

describe('the bundle', () => {
  beforeEach(bundle);

  it('is what starts, while it is of these very sources', async () => expect(await loadedFrom()).toBe('bundle'));

  it('is passed over as soon as one of its sources changes, and taken again when it was made anew', async () => {
    appendFileSync(SOURCE, '// changed\n');
    expect(await loadedFrom()).toBe('sources');
    bundle();
    expect(await loadedFrom()).toBe('bundle');
  });

  it('is passed over even when a source keeps its size and its time', async () => {
    const { atime, mtime } = statSync(SOURCE);
    const text = readFileSync(SOURCE, 'utf8');
    writeFileSync(SOURCE, text.replace('without ever holding', 'without even holding'));
    utimesSync(SOURCE, atime, mtime);
    expect(statSync(SOURCE).size).toBe(Buffer.byteLength(text));
    expect((await keywarden(['--help'], { bin: at('runner/bin/keywarden.js') })).stdout).toContain(
      'without even holding',
    );
    expect(await loadedFrom()).toBe('sources');
  });

  it.each(['', '{', '{}', '{"main":"main.js"}'])('is passed over when its record is %j', async (record) => {
    writeFileSync(RECORD, record);
    expect(await loadedFrom()).toBe('sources');
  });

  it('names lines of the sources in a stack, when one is asked for', async () => {
    const text = readFileSync(SOURCE, 'utf8');
    writeFileSync(SOURCE, `${text}\nthrow new Error('a bug');\n`);
    bundle();
    const debug = { bin: at('runner/bin/keywarden.js'), env: { KEYWARDEN_DEBUG: '1' } };
    expect((await keywarden(['--version'], debug)).stderr).toMatch(/a bug\n {4}at .*runner\/src\/cli\/program\.ts:\d+/);
    writeFileSync(SOURCE, text);
  });
});

describe('compiled code', () => {
  const folder = at('runner/.compiled');
  const start = () => keywarden(['--version'], { bin: at('runner/bin/keywarden.js') });
  const isUsed = (path: string): boolean => statSync(path).nlink > 2;
  beforeEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is kept in the package, in a folder that is ours alone', async () => {
    await start();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(isUsed(folder)).toBe(true);
  });

  it.each([0o755, 0o770, 0o777])('is not kept in a folder that others may enter (mode %o)', async (mode) => {
    mkdirSync(folder);
    spawnSync('chmod', [mode.toString(8), folder]);
    expect((await start()).code).toBe(0);
    expect(isUsed(folder)).toBe(false);
  });

  it('is not kept behind a link, nor in what is no folder', async () => {
    const elsewhere = at('elsewhere');
    mkdirSync(elsewhere, { mode: 0o700 });
    symlinkSync(elsewhere, folder);
    expect((await start()).code).toBe(0);
    expect(isUsed(elsewhere)).toBe(false);
    rmSync(folder);
    writeFileSync(folder, '');
    expect((await start()).code).toBe(0);
  });

  it.skipIf(process.getuid?.() !== 0)("is not kept in somebody else's folder", async () => {
    mkdirSync(folder, { mode: 0o700 });
    spawnSync('chown', ['65534', folder]);
    expect((await start()).code).toBe(0);
    expect(isUsed(folder)).toBe(false);
  });
});
