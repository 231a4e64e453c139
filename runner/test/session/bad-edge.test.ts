import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { EdgeClient } from '../../src/client/edge-client.ts';
import { sessionEdge } from '../../src/session/session-edge.ts';

/** What answers where an edge should, and is none. */
let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function edgeThat(answers: RequestListener): Promise<EdgeClient> {
  const listening = createServer(answers).listen(0, '127.0.0.1');
  server = listening;
  await new Promise((resolve) => listening.once('listening', resolve));
  const url = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  return new EdgeClient({ url, operatorKey: 'kwop_0123456789abcdef', source: 'a test' });
}

it.each([200, 500])('an answer without an end (%s) is not kept to its end', async (status) => {
  let sent = 0;
  const chunk = Buffer.alloc(1024 ** 2, ' ');
  const client = await edgeThat((_, response) => {
    response.writeHead(status);
    const more = (): void => {
      do sent += chunk.length;
      while (response.write(chunk));
    };
    response.on('drain', more);
    more();
  });
  await expect(sessionEdge(client).revoke('ses_x')).rejects.toThrow(
    status === 200 ? /larger than 32 MiB/ : /status 500/,
  );
  expect(sent).toBeLessThan(256 * 1024 ** 2);
});

it.each(['before it answers', 'in the middle of its answer'])(
  'an edge that falls silent %s is not waited for',
  async (when) => {
    const client = await edgeThat((_, response) => {
      if (when !== 'before it answers') response.write('{"half');
    });
    const impatient = new EdgeClient({ url: client.url, operatorKey: 'kwop_0123456789abcdef', source: 'a test' }, 300);
    const read = async (): Promise<void> => {
      for await (const _ of await impatient.stream('/v1/audit/export'));
    };
    await expect(read()).rejects.toThrow(/nothing came for 0.3 s/);
  },
);

describe('a token', () => {
  it.each([
    ['of several variables', 'a\0LD_PRELOAD=/tmp/x', 'tok_1'],
    ['of several lines', 'a\nb', 'tok_1'],
    ['without an end', 'a'.repeat(20_000), 'tok_1'],
    ['of nothing', '', 'tok_1'],
    ['whose id fills a receipt', 'token', 'x'.repeat(100_000)],
  ])('%s is none', async (_, token, id) => {
    const minted = {
      token,
      token_id: id,
      agent_id: 'a',
      capabilities: ['bank:read'],
      expires_at: '2030-01-01T00:00:00Z',
    };
    const client = await edgeThat((_request, response) => response.end(JSON.stringify(minted)));
    const grant = { agent: 'a', session: 'ses_x', capabilities: ['bank:read'], ttlSeconds: 60 };
    await expect(sessionEdge(client).mint(grant)).rejects.toThrow(/a token that is none|a shape this keywarden/);
  });
});

describe('the edge does not take a receipt', () => {
  const refusing = (status: number, code: string) =>
    edgeThat((_request, response) => {
      const words = 'whatever it says to people';
      const problem = { type: 'x', title: 'x', status, detail: words, instance: 'x', code, message: words };
      response.writeHead(status).end(JSON.stringify({ ...problem, error: { message: words, type: 'x', code } }));
    });

  it.each([
    [404, 'session_unknown'],
    [403, 'session_foreign'],
    [409, 'session_ended'],
    [400, 'receipt_invalid'],
  ])('and never will: %s %s', async (status, code) => {
    expect(await sessionEdge(await refusing(status, code)).end('ses_x', 'a.b.c')).toBe(false);
  });

  it.each([
    [503, 'ledger_unavailable'],
    [401, 'operator_key_invalid'],
    [400, 'request_invalid'],
  ])('and may another time: %s %s', async (status, code) => {
    await expect(sessionEdge(await refusing(status, code)).end('ses_x', 'a.b.c')).rejects.toThrow('the edge refuses:');
  });
});
