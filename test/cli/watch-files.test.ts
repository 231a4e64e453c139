import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { watchFiles } from '../../runner/src/edge/watch-files.ts';
import { policyPlaces, readPolicyFiles } from '../../runner/src/policy/policy-files.ts';
import { until } from '../support/process.ts';

/** As `keywarden dev` watches: the policies' places, and the file of the secrets. */
let root: string;
let unwatch: () => void;
let last: string | undefined;

const at = (...parts: string[]): string => join(root, ...parts);
const write = (name: string, text: string): void => writeFileSync(at(name), text);

function textOf(): string {
  try {
    const policies = readPolicyFiles(at('policies')).map((file) => ('text' in file ? file.text : '?'));
    return [...policies, readFileSync(at('vars'), 'utf8')].join();
  } catch {
    return 'gone';
  }
}

const told = (text: string): Promise<void> => until(`${text} is told`, () => last === text);

function watchAll(): void {
  const paths = () => [at('policies'), ...policyPlaces(at('policies')), at('vars')];
  unwatch = watchFiles(
    paths,
    async () => {
      last = textOf();
    },
    10,
  );
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'keywarden-watch-'));
  last = undefined;
  mkdirSync(at('policies'));
  write('policies/a.yaml', 'one');
  write('vars', 'v');
});
afterEach(() => {
  unwatch();
  rmSync(root, { recursive: true });
});

describe('what changes is told', () => {
  it('of a folder that was replaced by another of the same name, as a checkout does', async () => {
    watchAll();
    mkdirSync(at('next'));
    write('next/a.yaml', 'two');
    rmSync(at('policies'), { recursive: true });
    renameSync(at('next'), at('policies'));
    await told('two,v');
    write('policies/a.yaml', 'three');
    await told('three,v');
  });

  it('of a folder that was gone for a while', async () => {
    watchAll();
    cpSync(at('policies'), at('kept'), { recursive: true });
    rmSync(at('policies'), { recursive: true });
    await told('gone');
    renameSync(at('kept'), at('policies'));
    await told('one,v');
    write('policies/a.yaml', 'two');
    await told('two,v');
  });

  it('where links lead, and when they lead elsewhere', async () => {
    for (const name of ['first', 'second', 'elsewhere']) mkdirSync(at(name));
    write('first/a.yaml', 'first');
    write('second/a.yaml', 'second');
    write('elsewhere/b.yaml', 'b');
    write('elsewhere/vars', 'w');
    rmSync(at('policies'), { recursive: true });
    rmSync(at('vars'));
    symlinkSync(at('first'), at('policies'));
    symlinkSync(at('elsewhere/b.yaml'), at('first/b.yaml'));
    symlinkSync(at('elsewhere/vars'), at('vars'));
    watchAll();
    write('elsewhere/b.yaml', 'B');
    await told('first,B,w');
    write('elsewhere/vars', 'x');
    await told('first,B,x');
    symlinkSync(at('second'), at('link'));
    renameSync(at('link'), at('policies'));
    await told('second,x');
    write('second/a.yaml', 'third');
    await told('third,x');
    expect(textOf()).toBe('third,x');
  });
});
