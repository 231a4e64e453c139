import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { postSigned, receiverOf } from '../../src/webhook/signed.ts';

const SECRET = 'a secret of 32 characters, no le';
const NAME = 'KEYWARDEN_ALERT_WEBHOOK_URL';

describe('where messages may go', () => {
  it('over https, to any host', () => {
    for (const dev of [true, false])
      expect(receiverOf(NAME, 'https://hooks.example/T/B', SECRET, dev)).toEqual({
        ok: true,
        value: { url: 'https://hooks.example/T/B', secret: SECRET },
      });
  });

  it.each(['http://127.0.0.1:1/x', 'http://localhost:1/x', 'http://[::1]:1/x'])(
    'in the clear to this machine alone, and under keywarden dev alone: %s',
    (url) => {
      expect(receiverOf(NAME, url, SECRET, true)).toMatchObject({ ok: true });
      expect(receiverOf(NAME, url, SECRET, false)).toEqual({ ok: false, error: `${NAME} is no https URL` });
    },
  );

  it.each(['http://hooks.example/x', 'http://127.0.0.1.hooks.example/x', 'ftp://127.0.0.1/x', 'hooks.example', ''])(
    'never to %j',
    (url) => {
      expect(receiverOf(NAME, url, SECRET, true)).toEqual({ ok: false, error: `${NAME} is no https URL` });
    },
  );

  it('with a secret of 32 characters at least; what is wrong is told without it', () => {
    expect(SECRET).toHaveLength(32);
    for (const secret of [undefined, '', SECRET.slice(1)]) {
      const judged = receiverOf(NAME, 'https://hooks.example/x', secret, false);
      expect(judged).toEqual({ ok: false, error: expect.stringContaining('KEYWARDEN_WEBHOOK_SECRET is missing or') });
      if (secret) expect(JSON.stringify(judged)).not.toContain(secret);
    }
  });
});

describe('a message', () => {
  interface Got {
    readonly url: string | undefined;
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
  }
  const got: Got[] = [];
  let status = 200;
  let server: Server;
  let origin: string;
  beforeAll(async () => {
    server = createServer(async (req, res) => {
      let body = '';
      for await (const chunk of req) body += chunk;
      got.push({ url: req.url, headers: req.headers, body });
      res.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end(status === 204 ? undefined : 'ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());
  beforeEach(() => void got.splice(0));
  const post = (answer: number): Promise<boolean> => {
    status = answer;
    return postSigned({ url: `${origin}/hook`, secret: SECRET }, { text: 'é' }, 1_800_000_000_999);
  };

  it('is signed over its time, in whole seconds, and over its body', async () => {
    expect(await post(200)).toBe(true);
    const expected = createHmac('sha256', SECRET).update('1800000000.{"text":"é"}').digest('hex');
    expect(got).toMatchObject([
      {
        headers: { 'keywarden-timestamp': '1800000000', 'keywarden-signature': `v1=${expected}` },
        body: '{"text":"é"}',
      },
    ]);
  });

  it('is taken when the receiver says so, and only then', async () => {
    for (const [answer, taken] of [
      [204, true],
      [304, false],
      [404, false],
      [500, false],
    ] as const)
      expect(await post(answer), String(answer)).toBe(taken);
  });

  it('goes nowhere but to the receiver: a redirect is not followed, and is no taking', async () => {
    expect(await post(302)).toBe(false);
    expect(got.map(({ url }) => url)).toEqual(['/hook']);
  });

  it('that reaches nobody was not taken', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    expect(await postSigned({ url: `http://127.0.0.1:${port}/`, secret: SECRET }, {}, 0)).toBe(false);
  });
});
