import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { answer, echo, garbage, type Handler, ranged } from '../support/upstream.ts';
import { b64, SPELLINGS } from './spellings.ts';
import {
  ALL,
  AWS_ID,
  AWS_SECRET,
  BANK_KEY,
  expectRefused,
  KEYED_KEY,
  PAIR_KEY,
  policiesFor,
  QUERY_KEY,
  rowOf,
  startWorld,
  VARS,
  type World,
} from './world.ts';

/** As short as a credential may be. */
const TERSE_KEY = 'k3y+Qz';
let world: World;
let token: string;
beforeAll(async () => {
  world = await startWorld({
    policies: (origin) => ({
      ...policiesFor(origin),
      'terse.yaml': `service: terse
origin: ${origin}
credential: { scheme: bearer, secret: TERSE_KEY }
capabilities:
  echo: { allow: 'GET /echo/{path+}' }
`,
    }),
    vars: { ...VARS, TERSE_KEY },
  });
  token = await world.token([...ALL, 'terse:echo']);
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

const get = (service: string, target = '/echo/x', fields: readonly string[] = []) =>
  world.call(service, 'GET', target, { token, fields });

/** What no reader could put together to the key again: neither the spelling nor its longer half. */
function expectGone(text: string, spelling: string): void {
  expect(text.includes(spelling)).toBe(false);
  expect(text).toMatch(/\[redacted\]|\*{3}/);
}

describe('threat 1: an echo endpoint returns the injected key', () => {
  it.each([
    ['bank', [BANK_KEY]],
    ['keyed', [KEYED_KEY]],
    ['pair', [PAIR_KEY, b64(`robot:${PAIR_KEY}`)]],
    ['queried', [QUERY_KEY, encodeURIComponent(QUERY_KEY)]],
    ['aws', [AWS_ID, AWS_SECRET]],
  ])('%s: what the upstream says back holds no key, and the audit counts it', async (service, keys) => {
    world.upstream.handle(echo());
    const response = await get(service);
    const wire = response.wire.toString('latin1');
    expect(response.status).toBe(200);
    for (const key of keys) expect(wire.includes(key)).toBe(false);
    expect(wire).toContain('[redacted]');
    expect(await rowOf(world, response, 'credential.echoed')).toMatchObject({ service });
    expect((await rowOf(world, response, 'call.completed')).redactions).toBeGreaterThan(0);
  });

  it('an error page of any status that quotes the Authorization field is scrubbed', async () => {
    for (const status of [400, 401, 403, 404, 500, 503]) {
      world.upstream.handle(
        answer(status, `<h1>bad</h1> Authorization: Bearer ${BANK_KEY}`, { 'content-type': 'text/html' }),
      );
      const response = await get('bank');
      expect(response.status).toBe(status);
      expectGone(response.wire.toString('latin1'), BANK_KEY);
    }
  });

  it('TRACE, which would echo everything, is refused', async () => {
    const response = await world.call('bank', 'TRACE', '/echo/x', { token });
    await expectRefused(world, response, 405, 'method_refused');
  });
});

describe('threat 2: the key in every spelling', () => {
  it.each(SPELLINGS)('%s', async (_, spell) => {
    const spelling = spell(BANK_KEY);
    world.upstream.handle(
      answer(200, Buffer.from(`before ${spelling} after`, 'latin1'), { 'content-type': 'text/plain' }),
    );
    const response = await get('bank');
    const text = response.body.toString('latin1');
    expectGone(text, spelling);
    expect(text).toMatch(/^before .* after$/s);
  });

  it('split at every border by a slow upstream', async () => {
    const spelled = SPELLINGS.filter(([name]) =>
      /^(raw|base64|hex|percent-encoded everywhere, lower case|in \\u escapes|reversed)$/.test(name),
    );
    world.upstream.handle(borders(spelled));
    const calls = spelled.flatMap(([name, spell], i) =>
      Array.from({ length: spell(BANK_KEY).length + 1 }, (_, at) => async () => {
        const response = await get('bank', `/echo/${i}/${at}`);
        const text = response.body.toString('latin1');
        expect(text.includes(spell(BANK_KEY)), `${name} split at ${at}`).toBe(false);
        expect(text, `${name} split at ${at}`).toMatch(/^before \[redacted\]=* after$/);
      }),
    );
    await inTurns(calls, 24);
  });

  it('byte by byte', async () => {
    world.upstream.handle(async (req, res) => {
      req.resume();
      res.writeHead(200, { 'content-type': 'text/plain' });
      for (const byte of Buffer.from(`before ${b64(BANK_KEY)} after`)) {
        res.write(Buffer.of(byte));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      res.end();
    });
    expect((await get('bank')).body.toString()).toMatch(/^before \[redacted\]=* after$/);
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('in a %s-coded answer', async (coding, code) => {
    world.upstream.handle(
      answer(200, code(`before ${BANK_KEY} after`), { 'content-type': 'text/plain', 'content-encoding': coding }),
    );
    const response = await get('bank', '/echo/x', ['Accept-Encoding: gzip, br, zstd']);
    expect(world.upstream.seen[0]?.headers['accept-encoding'] ?? 'identity').not.toMatch(/zstd|deflate/);
    expect(response.headers['content-encoding']).toBeUndefined();
    expect(response.body.toString()).toBe('before [redacted] after');
  });

  it.each(['zstd', 'deflate', 'compress', 'gzip, zstd', 'x-odd', 'gzip, gzip'])(
    'an answer in a coding that we cannot look into (%s) is refused',
    async (coding) => {
      const body = coding === 'deflate' ? deflateSync(BANK_KEY) : Buffer.from(BANK_KEY);
      world.upstream.handle(answer(200, body, { 'content-type': 'text/plain', 'content-encoding': coding }));
      const response = await get('bank');
      expect(response.status).toBe(502);
      expect(response.wire.includes(BANK_KEY)).toBe(false);
      expect(await rowOf(world, response, 'call.failed')).toMatchObject({ reason: 'upstream_coding_unsupported' });
    },
  );

  it.each([
    ['GZIP', gzipSync],
    ['x-gzip', gzipSync],
    ['gzip, identity', gzipSync],
    [', gzip', gzipSync],
    ['BR', brotliCompressSync],
  ])(
    'a coding that the runtime does not undo when it is spelled %s is never passed on coded and unlabelled',
    async (coding, code) => {
      world.upstream.handle(answer(200, code(BANK_KEY), { 'content-type': 'text/plain', 'content-encoding': coding }));
      const response = await get('bank');
      expect(response.wire.includes(code(BANK_KEY))).toBe(false);
      expect(response.status).toBe(502);
      expect(await rowOf(world, response, 'call.failed')).toMatchObject({ reason: 'upstream_coding_unsupported' });
    },
  );

  it.each(['gzip, chunked', 'gzip', 'chunked, gzip', 'chunked, chunked'])(
    'an answer in the transfer coding %s, which the runtime does not undo whole, is refused',
    async (coding) => {
      const coded = gzipSync(BANK_KEY);
      const head = `HTTP/1.1 200 OK\r\ntransfer-encoding: ${coding}\r\n\r\n${coded.length.toString(16)}\r\n`;
      world.upstream.handle(garbage(Buffer.concat([Buffer.from(head), coded, Buffer.from('\r\n0\r\n\r\n')])));
      const response = await get('bank');
      expect(response.wire.includes(coded)).toBe(false);
      expect(response.status).toBe(502);
      expect(await rowOf(world, response, 'call.failed')).toMatchObject({ reason: 'upstream_protocol_error' });
    },
  );

  it('in a multipart answer', async () => {
    const body = `--x\r\ncontent-type: text/plain\r\n\r\n${BANK_KEY}\r\n--x\r\ncontent-transfer-encoding: base64\r\n\r\n${b64(BANK_KEY)}\r\n--x--\r\n`;
    world.upstream.handle(answer(200, body, { 'content-type': 'multipart/mixed; boundary=x' }));
    const text = (await get('bank')).body.toString();
    expect(text).not.toContain(BANK_KEY);
    expect(text).not.toContain(b64(BANK_KEY).replace(/=+$/, ''));
  });

  it.each(['GET', 'HEAD'])('in header values and header names (%s)', async (method) => {
    world.upstream.handle(
      answer(200, 'ok', {
        'x-echo': `Bearer ${BANK_KEY}`,
        'x-echo-64': b64(`Bearer ${BANK_KEY}`),
        [`x-${Buffer.from(BANK_KEY).toString('hex')}`]: '1',
        link: `</next?token=${encodeURIComponent(BANK_KEY)}>; rel="next"`,
        etag: `"${Buffer.from(BANK_KEY).toString('hex')}"`,
        'x-dup': ['a', BANK_KEY],
      }),
    );
    const response = await world.call('bank', method, '/echo/x', { token });
    const wire = response.wire.toString('latin1').toLowerCase();
    for (const s of [
      BANK_KEY,
      b64(`Bearer ${BANK_KEY}`),
      Buffer.from(BANK_KEY).toString('hex'),
      encodeURIComponent(BANK_KEY),
    ]) {
      expect(wire.includes(s.toLowerCase())).toBe(false);
    }
    expect(response.headers['x-echo']).toContain('[redacted]');
    const { redactions } = await rowOf(world, response, 'call.completed');
    expect(redactions).toBeGreaterThan(5);
    expect(await rowOf(world, response, 'credential.echoed')).toMatchObject({ detail: { redactions } });
  });

  it('in the status line, an early hint and a trailer', async () => {
    world.upstream.handle(garbage(`HTTP/1.1 200 OK ${BANK_KEY}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok`));
    const inStatusLine = await get('bank');
    expect(inStatusLine.wire.includes(BANK_KEY)).toBe(false);
    expect(await rowOf(world, inStatusLine, 'credential.echoed')).toMatchObject({ detail: { redactions: 1 } });
    world.upstream.handle(garbage(`HTTP/1.1 200 ${TERSE_KEY}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok`));
    expect((await get('terse')).wire.includes(TERSE_KEY)).toBe(false);
    world.upstream.handle(
      garbage(
        `HTTP/1.1 103 Early Hints\r\nlink: <${BANK_KEY}>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok`,
      ),
    );
    expect((await get('bank')).wire.includes(BANK_KEY)).toBe(false);
    world.upstream.handle(
      garbage(
        `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-echo\r\nconnection: close\r\n\r\n2\r\nok\r\n0\r\nx-echo: ${BANK_KEY}\r\n\r\n`,
      ),
    );
    expect((await get('bank')).wire.includes(BANK_KEY)).toBe(false);
  });

  it('cannot be fetched in pieces: Range and its like do not reach the upstream', async () => {
    world.upstream.handle(echo());
    await get('bank', '/echo/x', [
      'Range: bytes=0-3',
      'If-Range: "x"',
      'X-Amz-Range: bytes=0-3',
      'Request-Range: bytes=0-3',
    ]);
    const names = Object.keys(world.upstream.seen[0]?.headers ?? {});
    expect(names.filter((name) => name.includes('range'))).toEqual([]);
  });

  it('and no answer offers pieces, whatever the upstream says', async () => {
    world.upstream.handle(ranged(Buffer.from('0123456789')));
    const response = await get('bank', '/echo/x', ['Range: bytes=3-5']);
    expect([response.status, response.body.toString()]).toEqual([200, '0123456789']);
    expect(response.headers['accept-ranges']).toBe('none');
  });
});

describe('threat 3: a decoy does not use up the scrubber', () => {
  it('10,000 near matches and 10,000 hits, then the real key', async () => {
    const near = `${BANK_KEY.slice(0, -1)} `.repeat(10_000);
    const hits = `${BANK_KEY},`.repeat(10_000);
    world.upstream.handle(answer(200, `${near}${hits}${b64(BANK_KEY)}`, { 'content-type': 'text/plain' }));
    const response = await get('bank');
    expect(response.body.includes(BANK_KEY)).toBe(false);
    expect(response.body.includes(b64(BANK_KEY).slice(0, -2))).toBe(false);
    expect((await rowOf(world, response, 'call.completed')).redactions).toBe(10_001);
  });
});

describe("threats 20 and 35: answers are nobody else's, and no session comes along", () => {
  it('no-store in the place of what the upstream says about caching; cookies and challenges are dropped', async () => {
    world.upstream.handle(
      answer(200, 'ok', {
        'cache-control': 'public, max-age=31536000',
        expires: 'Wed, 01 Jan 2099 00:00:00 GMT',
        age: '1',
        'cdn-cache-control': 'max-age=1000',
        'set-cookie': ['session=abc', 'other=1'],
        'www-authenticate': 'Basic realm="upstream"',
        'clear-site-data': '"*"',
        'access-control-allow-origin': '*',
      }),
    );
    const { headers } = await get('bank');
    expect(headers['cache-control']).toBe('no-store');
    for (const name of [
      'expires',
      'age',
      'cdn-cache-control',
      'set-cookie',
      'www-authenticate',
      'clear-site-data',
      'access-control-allow-origin',
    ]) {
      expect(headers[name], name).toBeUndefined();
    }
  });

  it('the same request of two agents reaches the upstream twice', async () => {
    world.upstream.handle(answer(200, 'ok', { 'cache-control': 'public, max-age=1000', etag: '"1"' }));
    const other = await world.token(['bank:echo'], 'agent-2');
    await get('bank', '/echo/same');
    await world.call('bank', 'GET', '/echo/same', { token: other });
    expect(world.upstream.seen).toHaveLength(2);
  });
});

/** `/echo/<spelling>/<at>`: that spelling in two chunks, cut at `at`. */
function borders(spelled: typeof SPELLINGS): Handler {
  return async (req, res, seen) => {
    req.resume();
    const [, , i, at] = seen.target.split('/').map(Number);
    const text = Buffer.from(`before ${spelled[i ?? 0]?.[1](BANK_KEY)} after`, 'latin1');
    const cut = 'before '.length + (at ?? 0);
    res.writeHead(200, { 'content-type': 'text/plain' });
    res.write(text.subarray(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 15));
    res.end(text.subarray(cut));
  };
}

async function inTurns(calls: readonly (() => Promise<void>)[], atOnce: number): Promise<void> {
  const waiting = [...calls];
  const worker = async (): Promise<void> => {
    for (let call = waiting.shift(); call !== undefined; call = waiting.shift()) await call();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
