import { createHmac } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ALL, startWorld, type World } from '../edge/approvals/world.ts';
import { sleep, until } from '../support/process.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';

const SECRET = 'a-webhook-secret-of-more-than-32-characters';
let receiver: Upstream;
let world: World;
beforeAll(async () => {
  receiver = await startUpstream(json({ ok: true }));
  world = await startWorld({
    vars: {
      KEYWARDEN_SIGNALS: '{"rejections":3}',
      KEYWARDEN_ALERT_WEBHOOK_URL: `${receiver.origin}/alerts`,
      KEYWARDEN_WEBHOOK_SECRET: SECRET,
    },
  });
});
afterAll(async () => {
  await world?.stop();
  await receiver?.stop();
});

it('a passed threshold is one alert, told once and signed', async () => {
  const token = await world.edge.mint('prober', ALL);
  for (let i = 0; i < 2; i += 1) await world.send(token, '/v1/nothing');
  await world.edge.operate('/v1/signals');
  await sleep(300);
  expect(receiver.seen).toHaveLength(0);
  await world.send(token, '/v1/nothing');
  for (let i = 0; i < 3; i += 1) await world.edge.operate('/v1/signals');
  await until('the message', () => receiver.seen.length > 0);
  await sleep(500);
  expect(receiver.seen).toHaveLength(1);
  const [message] = receiver.seen;
  const body = String(message?.body());
  expect(JSON.parse(body)).toMatchObject({
    keywarden: { type: 'signal.raised', signal: 'rejections', agent: 'prober', value: 3, threshold: 3 },
  });
  const at = String(message?.headers['keywarden-timestamp']);
  expect(message?.headers['keywarden-signature']).toBe(
    `v1=${createHmac('sha256', SECRET).update(`${at}.${body}`).digest('hex')}`,
  );
  const read = (await (await world.edge.operate('/v1/signals')).json()) as { alerts: object[] };
  expect(read.alerts).toMatchObject([{ signal: 'rejections', agent: 'prober', cleared_at: null }]);

  // It stands in the agent's chain, once, beside what raised it.
  await until('the row', async () => (await raised()).length > 0);
  expect(await raised()).toMatchObject([{ agent: 'prober', reason: 'rejections', detail: { value: 3, threshold: 3 } }]);
});

it('a receiver that is down for a while is told later, and one that hangs keeps no reader waiting', async () => {
  receiver.forget();
  receiver.handle((_request, response) => void response.writeHead(500).end());
  const token = await world.edge.mint('downcast', ALL);
  for (let i = 0; i < 3; i += 1) await world.send(token, '/v1/nothing');
  for (let i = 0; i < 10; i += 1) await world.edge.operate('/v1/signals');
  await sleep(300);
  expect(receiver.seen, 'ten looks are one attempt').toHaveLength(1);
  const received = new Promise<void>((resolve) => receiver.handle(() => resolve()));
  agedBy(20_000);
  const begun = Date.now();
  await world.edge.operate('/v1/signals');
  expect(Date.now() - begun).toBeLessThan(5_000);
  await received;
  receiver.handle(json({ ok: true }));
  agedBy(40_000);
  await world.edge.operate('/v1/signals');
  await until('the message', () => receiver.seen.length === 3);
  await sleep(300);
  agedBy(3_600_000);
  await world.edge.operate('/v1/signals');
  await sleep(300);
  expect(receiver.seen).toHaveLength(3);
});

/** All alerts are as if they had been raised so much earlier. */
function agedBy(ms: number): void {
  const d1 = join(world.edge.state, 'storage/d1');
  for (const name of readdirSync(d1, { recursive: true }).map(String)) {
    if (!name.endsWith('.sqlite') || name.includes('metadata')) continue;
    const database = new DatabaseSync(join(d1, name), { timeout: 10_000 });
    database.prepare('UPDATE signal_alerts SET raised_at = raised_at - ?').run(ms);
    database.close();
  }
}

async function raised(): Promise<{ event: string }[]> {
  const response = await world.edge.operate('/v1/audit?agent=prober&limit=50');
  const { rows } = (await response.json()) as { rows: { event: string }[] };
  return rows.filter(({ event }) => event === 'signal.raised');
}
