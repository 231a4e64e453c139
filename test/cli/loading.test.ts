import { describe, expect, it } from 'vitest';
import { keywarden } from './command-line.ts';

/** What a start loads is what a person waits for. */
const TELL =
  "data:text/javascript,import{registerHooks}from'node:module';" +
  "registerHooks({load(url,context,next){console.error('loads '+url);return next(url,context)}})";

async function loadedBy(...command: string[]): Promise<string[]> {
  const { code, stderr } = await keywarden(command, { env: { NODE_OPTIONS: `--import "${TELL}"` } });
  expect(code, stderr).toBe(0);
  return [...stderr.matchAll(/^loads (.*)$/gm)].map((match) => match[1] as string);
}

const of = (files: readonly string[], what: RegExp): string[] => files.filter((file) => what.test(file));
const HEAVY = /node_modules\/(miniflare|workerd|esbuild|dockerode|prom-client|yaml|jose|@marcbachmann|smol-toml)\//;
/** By the names of entries in the bundle, and of sources. */
const HEAVY_PARTS = /\/(offline|start-edge|selftest-attack|doctor-examine|metrics|webapi)[-.]/;

describe('a command loads what it needs, and no more', () => {
  it('the help: no schemas, no client, nothing of a command but its options', async () => {
    const files = await loadedBy('--help');
    expect(of(files, HEAVY)).toEqual([]);
    expect(of(files, HEAVY_PARTS)).toEqual([]);
    expect(of(files, /zod|protocol\.ts|edge-client|-actions[-.]/)).toEqual([]);
  });

  it('a run: neither workerd nor Docker, nor the compiler of policies', async () => {
    const files = await loadedBy('run', '--dry-run', '--no-edge', '--backend', 'namespace', '--', 'true');
    expect(of(files, HEAVY)).toEqual([]);
    expect(of(files, HEAVY_PARTS)).toEqual([]);
  });

  it.each([[['--help']], [['run', '--dry-run', '--no-edge', '--backend', 'namespace', '--', 'true']]])(
    '%j does not load undici, as an import of node:http or a fetch would',
    async (command) => {
      const print = "data:text/javascript,process.on('exit',()=>console.error(process.moduleLoadList.join()))";
      const { stderr } = await keywarden(command, { env: { NODE_OPTIONS: `--import "${print}"` } });
      expect(stderr).toContain('NativeModule events');
      expect(stderr).not.toContain('undici');
    },
  );
});
