import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AuditRowJson } from '../../src/protocol.ts';
import { keywarden } from '../cli/command-line.ts';
import { answer, json } from '../support/upstream.ts';
import { rowOf, startWorld, type World } from './world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  world = await startWorld();
  token = await world.token(['bank:read', 'bank:echo']);
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => {
  world.upstream.handle(json({ ok: true }));
  world.upstream.forget();
});

/** Every text in a row: one line of printable ASCII. Spaces are fine in an explanation, but not in what a client names. */
function expectHarmless(row: AuditRowJson): void {
  const texts = [...Object.values(row), ...Object.values(row.detail)].filter((value) => typeof value === 'string');
  for (const text of texts) expect(text).toMatch(/^[\x20-\x7e]*$/);
  for (const text of [row.path, row.query_names, row.service, row.method]) {
    expect(text ?? '').toMatch(/^[\x21-\x7e]*$/);
    expect((text ?? '').length).toBeLessThanOrEqual(512);
  }
}

const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const EVIL: [string, string][] = [
  ['CR LF', '%0d%0acall.admitted'],
  ['an ANSI escape', '%1b[31mred%1b[0m'],
  ['an OSC 8 link', '%1b]8;;http://evil.example%07x%1b]8;;%07'],
  ['bidi override', utf8('\u202e/gnp.x')],
  ['bidi override, encoded', '%E2%80%AEgnp.x'],
  ['line separator', utf8('a\u2028b')],
  ['NUL', '%00x'],
  ['raw Latin-1', '\xff\xfe'],
  ['HTML', '<script>alert(1)</script>'],
  ['a spreadsheet formula', '=cmd|calc!A1'],
  ['4,000 characters', 'x'.repeat(4000)],
];

describe('threat 36: what a client names cannot break a log line, a terminal or a page', () => {
  it.each(EVIL)('%s in the path, the query names, the service and the user agent', async (_, evil) => {
    const tries = [
      world.call('bank', 'GET', `/v1/customers/${evil}`, { token }),
      world.call('bank', 'GET', `/v1/nothing?${evil}=1&ok=2`, { token }),
      world.call(`bank${evil}`, 'GET', '/v1/balance', { token }),
      world.call('bank', 'GET', '/v1/nothing', {
        token,
        fields: [`User-Agent: ${evil}`, `X-Evil: ${evil}`, `Referer: ${evil}`],
      }),
      world.call('bank', 'GET', `/v1/nothing/${evil}`, {}),
    ];
    let rows = 0;
    for (const response of await Promise.all(tries)) {
      if (response.headers['keywarden-request-id'] === undefined) {
        // The runtime's parser refused it: 400, and never in our logs.
        expect(response.status).toBe(400);
        continue;
      }
      for (const row of await world.edge.audit({ request_id: response.headers['keywarden-request-id'] })) {
        expectHarmless(row);
        rows += 1;
      }
      // What we answer names no raw byte either.
      if (response.status >= 400) expect(response.body.toString('latin1')).toMatch(/^[\x20-\x7e\n]*$/);
    }
    expect(rows).toBeGreaterThan(0);
  });

  it("an upstream's status text and fields do not get into the row", async () => {
    world.upstream.handle(answer(418, 'x', { 'x-evil': 'a\u00e9\u009b31m' }));
    const response = await world.call('bank', 'GET', '/echo/x', { token });
    expectHarmless(await rowOf(world, response, 'call.completed'));
  });

  it('the command line prints rows without a control character, one line each in NDJSON', async () => {
    const env = { KEYWARDEN_URL: world.edge.url, KEYWARDEN_OPERATOR_KEY: world.edge.operatorKey };
    const listed = await keywarden(['audit', 'list'], { env });
    expect(listed.code, listed.stderr).toBe(0);
    expect(listed.stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]/);
    const exported = await keywarden(['audit', 'export'], { env });
    expect(exported.code, exported.stderr).toBe(0);
    const lines = exported.stdout.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(20);
    for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
    expect(exported.stdout).toMatch(/^[\x20-\x7e\n]*$/);
    expect(world.edge.logs()).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  });
});
