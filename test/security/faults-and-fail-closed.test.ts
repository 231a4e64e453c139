import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../support/process.ts';
import { answer, garbage, type Handler, hang, json, reset, stall } from '../support/upstream.ts';
import { ALL, BANK_KEY, policiesFor, rowOf, rowsOf, startWorld, VARS, type World } from './world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  const nobody = await freePort();
  world = await startWorld({
    policies: (origin) => ({
      ...policiesFor(origin),
      'down.yaml': `service: down\norigin: http://127.0.0.1:${nobody}\ncredential: { scheme: bearer, secret: BANK_KEY }\ncapabilities:\n  read: { allow: "GET /{path+}" }\n`,
    }),
    vars: VARS,
  });
  token = await world.token([...ALL, 'down:read']);
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

describe("threat 27: a broken upstream is a fault with an outcome row, in the service's shape, and tells nothing", () => {
  // workerd says "Network connection lost." to whatever is no HTTP response: what is not told apart there is not told apart here.
  const faults: [string, Handler, number, string][] = [
    ['never answers', hang(), 504, 'upstream_timeout'],
    ['resets the connection', reset(), 502, 'upstream_unreachable'],
    ['speaks no HTTP', garbage(`SSH-2.0-OpenSSH_9.2 ${BANK_KEY}\r\n`), 502, 'upstream_unreachable'],
    ['has a broken status line', garbage(`HTTP/1.1 banana ${BANK_KEY}\r\n\r\n`), 502, 'upstream_unreachable'],
    [
      'has two lengths',
      garbage('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk'),
      502,
      'upstream_unreachable',
    ],
    [
      'has a status beyond 599',
      garbage('HTTP/1.1 999 No\r\ncontent-length: 2\r\n\r\nno'),
      502,
      'upstream_protocol_error',
    ],
    [
      'has the first status beyond',
      garbage('HTTP/1.1 600 No\r\ncontent-length: 2\r\n\r\nno'),
      502,
      'upstream_protocol_error',
    ],
    ['closes before its header section ends', garbage('HTTP/1.1 200 OK\r\ncontent-le'), 502, 'upstream_unreachable'],
  ];
  it.each(faults)('an upstream that %s', async (_, handler, status, reason) => {
    world.upstream.handle(handler);
    const response = await world.call('bank', 'GET', '/v1/balance', { token }).catch((error: Error) => error);
    world.upstream.handle(json({ ok: true }));
    if (response instanceof Error) throw response;
    expect(response.status).toBe(status);
    expect(JSON.parse(response.body.toString())).toMatchObject({ code: reason, error: { code: reason } });
    expect(response.wire.includes(BANK_KEY)).toBe(false);
    expect(world.upstream.seen.length).toBe(1);
    expect(await rowOf(world, response, 'call.admitted')).toMatchObject({ decision: 'allow' });
    expect(await rowOf(world, response, 'call.failed')).toMatchObject({ reason });
  });

  it('a tab in the status line (RFC 9112 §4) is none', async () => {
    world.upstream.handle(garbage('HTTP/1.1 200 All\tright\r\ncontent-length: 2\r\n\r\nok'));
    const response = await world.call('bank', 'GET', '/v1/balance', { token });
    world.upstream.handle(json({ ok: true }));
    expect([response.status, response.statusText, response.body.toString()]).toEqual([200, 'All right', 'ok']);
    expect(await rowOf(world, response, 'call.completed')).toMatchObject({ status: 200 });
  });

  it('an upstream that is not there', async () => {
    const response = await world.call('down', 'GET', '/x', { token });
    expect(response.status).toBe(502);
    expect(await rowOf(world, response, 'call.failed')).toMatchObject({ reason: 'upstream_unreachable' });
  });

  it('whether an upstream that broke off acted on a POST is unknown, and the answer says so; a GET may be sent again', async () => {
    world.upstream.handle(reset());
    const fields = ['Content-Type: application/json'];
    const post = await world.call('bank', 'POST', '/v1/refunds', { token, fields, body: '{"amount":1}' });
    const get = await world.call('bank', 'GET', '/v1/balance', { token });
    world.upstream.handle(json({ ok: true }));
    expect([post.status, get.status]).toEqual([502, 502]);
    expect(post.body.toString()).toContain('Whether it acted on the request is unknown.');
    expect(post.headers).not.toHaveProperty('retry-after');
    expect(get.body.toString()).not.toContain('acted');
    expect(get.headers).toHaveProperty('retry-after');
  });

  it.each<[string, Handler, string, RegExp]>([
    ['breaks off', reset('x'.repeat(100)), 'upstream_protocol_error', /broke off/],
    ['falls silent', stall('x'.repeat(100)), 'upstream_timeout', /^silent for \d+ ms$/],
    [
      'says it is gzip and is not',
      answer(200, `plain ${BANK_KEY}`, { 'content-encoding': 'gzip' }),
      'upstream_protocol_error',
      /decoded/,
    ],
  ])('an answer that %s looks broken to the client, and its outcome says so', async (_, handler, reason, why) => {
    world.upstream.handle(handler);
    const response = await fetch(`${world.edge.proxy('bank')}/v1/balance`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const id = response.headers.get('keywarden-request-id') ?? '';
    const whole = response.ok
      ? await response.text().then(
          () => true,
          () => false,
        )
      : false;
    world.upstream.handle(json({ ok: true }));
    expect(whole).toBe(false);
    await expect
      .poll(async () => await world.edge.audit({ request_id: id }), { timeout: 8_000 })
      .toContainEqual(
        expect.objectContaining({ event: 'call.failed', reason, detail: { why: expect.stringMatching(why) } }),
      );
  });

  it('a fault does not lift a limit or spare a record: every call of this file has exactly one intent and one outcome', async () => {
    const response = await world.call('bank', 'GET', '/v1/balance', { token });
    await rowOf(world, response, 'call.completed');
    expect((await rowsOf(world, response)).map((row) => row.event)).toEqual(['call.admitted', 'call.completed']);
    await expect
      .poll(
        async () => {
          const rows = (await world.edge.audit()).filter((row) => row.event.startsWith('call.'));
          const admitted = rows.filter((row) => row.event === 'call.admitted').length;
          return admitted - rows.filter((row) => ['call.completed', 'call.failed'].includes(row.event)).length;
        },
        { timeout: 8_000 },
      )
      .toBe(0);
    expect(await world.edge.verify()).toMatchObject({ ok: true, problems: [] });
  });
});
