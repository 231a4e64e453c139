import { globSync, readFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const sources = globSync('src/**/*.ts', { cwd: root });
const filesWith = (pattern: RegExp): string[] =>
  sources.filter((file) => pattern.test(withoutComments(readFileSync(`${root}${file}`, 'utf8'))));

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

describe('fences', () => {
  it('a credential is revealed in the schemes and the scrubber only', () => {
    const outside = filesWith(/\.reveal\(/).filter((f) => !/^src\/upstream\/(schemes|scrub)\//.test(f));
    expect(outside).toEqual([]);
  });

  it('the global fetch is called in the forward step, and to tell reviewers; neither follows a redirect', () => {
    // The others go to addresses of the operators' own configuration, without any service's credential.
    const callers = ['src/pipeline/forward.ts', 'src/webhook/signed.ts'];
    // `override async fetch(` is a Durable Object's own handler, and calls nothing.
    expect(
      filesWith(/(?<![.\w]|override async )fetch\(/)
        .filter((f) => f !== 'src/index.ts')
        .sort(),
    ).toEqual(callers);
    for (const caller of callers) expect(readFileSync(`${root}${caller}`, 'utf8')).toContain("redirect: 'manual'");
  });

  it('nothing is evaluated from text', () => {
    expect(filesWith(/\beval\(|new Function\(/)).toEqual([]);
  });

  it('the pure rooms own no clock and no randomness', async () => {
    const layers = (await import(`${root}.dependency-cruiser.mjs`)) as { pure: string };
    // The JSON of approvals names shapes of the protocol, and is pure all the same.
    const pure = sources.filter((file) => new RegExp(`${layers.pure}|^src/approvals/json`).test(file));
    expect(pure.length).toBeGreaterThan(80);
    const owners = filesWith(/Date\.now\(|Math\.random\(|crypto\.(randomUUID|getRandomValues)/);
    expect(owners.filter((file) => pure.includes(file))).toEqual([]);
  });
});

/** The projects that `npm run check:types` runs, each with the files that it names itself. */
function projects(): { name: string; files: string[] }[] {
  const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { scripts: Record<string, string> };
  return [...(scripts['check:types'] ?? '').matchAll(/tsc -p (\S+)/g)].map(([, name = '']) => {
    const { config } = ts.readConfigFile(root + name, ts.sys.readFile);
    const { fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, dirname(root + name));
    return { name, files: fileNames.map((file) => relative(root, file)) };
  });
}

describe('types', () => {
  it('of every file are checked, in one project', () => {
    const found = Map.groupBy(
      projects().flatMap(({ name, files }) => files.map((file) => ({ name, file }))),
      ({ file }) => file,
    );
    const all = globSync('**/*.{ts,tsx,mts,cts}', { cwd: root, exclude: ['**/node_modules', '**/.*/**', '**/dist'] });
    expect(all.length).toBeGreaterThan(600);
    expect(all.filter((file) => !found.has(file))).toEqual([]);
    expect([...found].filter(([, where]) => where.length > 1)).toEqual([]);
  });
});
