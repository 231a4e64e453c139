import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maskerOf } from '../../src/session/mask.ts';
import { maskArgv } from '../../src/session/mask-argv.ts';

const SECRET = 'hunter2-Sesam+Öffne/dich';
const KEY = 'sk_live_abcdefghijklmnop';

async function through(secrets: Record<string, string>, chunks: readonly Uint8Array[]): Promise<string> {
  const sink = new PassThrough();
  const stream = maskerOf(new Map(Object.entries(secrets))).stream(sink);
  const all = text(sink);
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await new Promise((resolve) => stream.once('end', resolve));
  sink.end();
  return all;
}

describe('what the agent prints', () => {
  it.each<[string, string]>([
    ['raw', KEY],
    ['base64', Buffer.from(`x${KEY}y`).toString('base64')],
    ['base64url', Buffer.from(`xx${KEY}yy`).toString('base64url')],
    ['percent', [...KEY].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('')],
    ['hex', Buffer.from(KEY).toString('hex')],
    ['backwards', [...KEY].reverse().join('')],
    ['JSON', JSON.stringify({ key: KEY })],
  ])('holds no secret spelled as %s', async (_, spelled) => {
    const out = await through({ KEY }, [Buffer.from(`before ${spelled} after\n`)]);
    expect(out).toContain('[redacted]');
    expect(out).toMatch(/^before .* after\n$/);
    // But for bits that base64 shares with its neighbours.
    expect(out).not.toContain(spelled.slice(4, -4));
  });

  it('holds none wherever its chunks are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), async (cuts) => {
        const bytes = Buffer.from(`a ${KEY} b ${encodeURIComponent(KEY)} c`);
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i += 1) {
          const size = cuts[i % cuts.length] ?? 1;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(await through({ KEY }, chunks)).toBe('a [redacted] b [redacted] c');
      }),
      { numRuns: 50 },
    );
  });

  it('passes untouched, byte by byte, when there is none', async () => {
    const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7) % 256));
    const sink = new PassThrough();
    const stream = maskerOf(new Map([['KEY', KEY]])).stream(sink);
    const chunks: Buffer[] = [];
    sink.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.end(bytes);
    await new Promise((resolve) => stream.once('end', resolve));
    expect(Buffer.concat(chunks)).toEqual(bytes);
  });

  it('a secret of several lines and beyond ASCII is found by its pieces', async () => {
    const pem = '-----BEGIN KEY-----\nMIIBVAIBADANBgkqhkiG\n9w0BAQEFAASCAT4wggE6\n-----END KEY-----';
    const out = await through({ PEM: pem, SECRET }, [Buffer.from(`${pem}\n${SECRET}\n`)]);
    expect(out).not.toContain('MIIBVAIBADANBgkqhkiG');
    expect(out).not.toContain('hunter2-Sesam');
  });

  it('a secret too short to be told from text is refused by name, not by value', () => {
    expect(() => maskerOf(new Map([['PIN', '1234']]))).toThrow(/PIN is too short/);
    expect(() => maskerOf(new Map([['PIN', ' 1234 ']]))).toThrow(/PIN is too short/);
    expect(maskerOf(new Map([['PIN', '123456']])).text('a 123456 b')).toBe('a [redacted] b');
  });
});

describe('a command line in a receipt', () => {
  it.each<[string, string[], string[]]>([
    ['a telling option', ['curl', '--api-key=abc'], ['curl', '--api-key=[masked]']],
    ['a telling option and its value', ['x', '--password', 'abc', 'y'], ['x', '--password', '[masked]', 'y']],
    ['a variable', ['env', 'DB_PASSWORD=abc'], ['env', 'DB_PASSWORD=[masked]']],
    ['userinfo', ['git', 'https://u:p@host/x'], ['git', 'https://[masked]@host/x']],
    ['what looks like a key', ['x', 'Bearer sk_live_51HxYzAbCdEfGhIjKl'], ['x', 'Bearer [masked]']],
    [
      'ordinary words stay',
      ['python3', 'agent.py', '--verbose', '-n', '10'],
      ['python3', 'agent.py', '--verbose', '-n', '10'],
    ],
    [
      'an option behind a telling one is no value',
      ['x', '--token', '--verbose', 'y'],
      ['x', '--token', '--verbose', 'y'],
    ],
    ['a word that is no option tells nothing', ['x', 'my-token', 'abc'], ['x', 'my-token', 'abc']],
    ['what is no telling name stays', ['env', 'LANG=C', '--color=always'], ['env', 'LANG=C', '--color=always']],
    ['a short word of both kinds', ['x', 'a1'.repeat(11)], ['x', 'a1'.repeat(11)]],
    ['a long word of both kinds', ['x', 'a1'.repeat(12)], ['x', '[masked]']],
    ['long words of one kind stay', ['x', 'a'.repeat(30), '1'.repeat(30)], ['x', 'a'.repeat(30), '1'.repeat(30)]],
    ['the program is what it is', [`p${'1'.repeat(30)}`, 'x'], [`p${'1'.repeat(30)}`, 'x']],
    [
      'paths stay',
      ['node', '/work/node_modules/pkg/dist/index-2.js'],
      ['node', '/work/node_modules/pkg/dist/index-2.js'],
    ],
  ])('%s', (_, argv, expected) => {
    expect(maskArgv(argv)).toEqual({ argv: expected, omitted: 0 });
  });

  it('is bounded', () => {
    const { argv, omitted } = maskArgv(['x', ...Array.from({ length: 100 }, () => 'word '.repeat(100))]);
    expect(argv).toHaveLength(64);
    expect(omitted).toBe(37);
    expect(Math.max(...argv.map((a) => a.length))).toBe(256);
  });
});
