import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Egress, type EgressBounds, openEgress } from '../../src/sandbox/egress/open-egress.ts';
import { namespaceBackend } from '../../src/sandbox/namespace/backend.ts';
import { Place } from './support/sandboxed.ts';

/** Opens and asks in threads; what a request got is its status, or why there was none. */
const AGENT = `
import http.client, json, socket, threading, time
def open_idle(n): return [socket.create_connection(("127.0.0.1", 8787), 10) for _ in range(n)]
def ask(path, seconds):
    began = time.monotonic()
    try:
        c = http.client.HTTPConnection("127.0.0.1", 8787, timeout=seconds)
        c.request("GET", path)
        a = c.getresponse()
        text = a.read().decode()
        return a.status, a.getheader("retry-after"), text, time.monotonic() - began
    except Exception as e: return type(e).__name__, None, "", time.monotonic() - began
def ask_at_once(n, path, seconds):
    got = []
    threads = [threading.Thread(target=lambda: got.append(ask(path, seconds))) for _ in range(n)]
    for t in threads: t.start()
    for t in threads: t.join()
    return got
`;

type Got = readonly [status: number | string, retryAfter: string | null, text: string, seconds: number];

const HELD_MS = 8_000;
const TAKES_MS: Readonly<Record<string, number>> = { '/proxy/slow': 1_500, '/proxy/held': HELD_MS };

let edge: Server;
let [now, most] = [0, 0];
let place: Place;
const ways: Egress[] = [];

beforeAll(async () => {
  place = new Place(namespaceBackend());
  edge = createServer((incoming, outgoing) => {
    now += 1;
    most = Math.max(most, now);
    outgoing.on('close', () => (now -= 1));
    if (incoming.url === '/proxy/parts') outgoing.flushHeaders();
    setTimeout(() => outgoing.end('from the edge'), TAKES_MS[incoming.url ?? ''] ?? 0);
  });
  await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  for (const way of ways) await way.close();
  edge.close();
  place.close();
});

async function inSandbox(name: string, script: string, bounds?: EgressBounds): Promise<{ out: string }> {
  const egressSocket = join(place.directory, name);
  ways.push(await openEgress(egressSocket, `http://127.0.0.1:${(edge.address() as AddressInfo).port}`, bounds));
  const limits = {
    memoryBytes: 512 << 20,
    cpus: 2,
    pids: 1024,
    openFiles: 4096,
    fileBytes: 1 << 20,
    tmpBytes: 1 << 24,
  };
  const ran = await place.python(AGENT + script, { egressSocket, limits });
  expect(ran.exit.code, ran.stderr).toBe(0);
  return { out: ran.stdout };
}

describe('an agent with many connections', () => {
  it('that says nothing on them, and closes none, keeps none of its own requests waiting', async () => {
    const { out } = await inSandbox(
      'idle',
      `
held = []
for _ in range(8):
    held += open_idle(100)
    print(*ask("/proxy/x", 5)[:1])
`,
    );
    expect(out.trim().split('\n')).toEqual(Array(8).fill('200'));
  });

  it('that asks on more of them than pass at once has all of it answered, in turns', async () => {
    most = 0;
    const { out } = await inSandbox('busy', 'print(json.dumps(ask_at_once(400, "/proxy/slow", 30)))');
    const got = JSON.parse(out) as Got[];
    expect(got.map(([status]) => status)).toEqual(Array(400).fill(200));
    expect(most).toBeLessThanOrEqual(128);
  });

  it('whose requests do not end is told so, by a 503 that says when to ask again', async () => {
    const bounds = { connections: 448, silentMs: 1_000, requests: 128, waitMs: 1_000 };
    const { out } = await inSandbox('held', 'print(json.dumps(ask_at_once(470, "/proxy/held", 60)))', bounds);
    const got = JSON.parse(out) as Got[];
    const refused = got.filter(([status]) => status !== 200);
    expect(got).toHaveLength(470);
    expect(refused).toHaveLength(470 - 128);
    for (const [status, retryAfter, text, seconds] of refused) {
      expect([status, retryAfter]).toEqual([503, '1']);
      expect(JSON.parse(text)).toMatchObject({ error: { code: 'too_many_connections' } });
      expect(seconds).toBeLessThan(HELD_MS / 1000);
    }
  });

  it('that asks on and on, and waits for no answer, is cut off: nothing grows without a bound, and no clock is late', async () => {
    const { out } = await inSandbox(
      'ahead',
      `
one = b"GET /proxy/held HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"
c = socket.create_connection(("127.0.0.1", 8787), 5)
sent = 0
try:
    while sent < 100000: sent += c.send(one * 1000) // len(one)
except OSError: pass
print(sent < 100000)
c = socket.create_connection(("127.0.0.1", 8787), 20)
c.sendall(one.replace(b"held", b"x") * 100)
got = b""
while got.count(b"from the edge") < 100: got += c.recv(65536) or exit("it was ended")
print(got.count(b"HTTP/1.1 200"))
`,
    );
    expect(out).toBe('True\n100\n');
  });

  it('that has come past the helper, as one with the same uid can, has no more of them than the runner can bear', async () => {
    const socket = join(place.directory, 'bare');
    ways.push(await openEgress(socket, null, { connections: 448, silentMs: 60_000, requests: 128, waitMs: 1_000 }));
    let open = 0;
    const clients: Socket[] = [];
    // No more at a time than may wait to be let in.
    for (let turn = 0; turn < 10; turn++) {
      for (let i = 0; i < 200; i++)
        clients.push(
          connect(socket, () => (open += 1))
            .on('error', () => {})
            .on('close', () => (open -= 1)),
        );
      await sleep(50);
    }
    await expect.poll(() => open, { timeout: 10_000 }).toBe(1_024);
    for (const client of clients) client.destroy();
  });

  it('harms no other session', async () => {
    const flood = inSandbox('flood', 'held = open_idle(300)\nask_at_once(300, "/proxy/slow", 30)');
    const calm = await inSandbox('calm', 'for _ in range(20): print(ask("/proxy/x", 5)[0])');
    expect(calm.out.trim().split('\n')).toEqual(Array(20).fill('200'));
    await flood;
  });
});

it('an answer in two parts waits for no acknowledgement of the first: a kept connection has many of them in a second', async () => {
  const { out } = await inSandbox(
    'kept',
    `
c = http.client.HTTPConnection("127.0.0.1", 8787)
for turn in range(2):
    began = time.monotonic()
    for _ in range(100):
        c.request("GET", "/proxy/parts")
        assert c.getresponse().read() == b"from the edge"
    print(time.monotonic() - began)
`,
  );
  // With delayed acknowledgements (40 ms each) some four seconds.
  expect(Math.min(...out.trim().split('\n').map(Number))).toBeLessThan(1.5);
});
