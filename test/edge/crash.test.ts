import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestEdge } from '../support/edge.ts';
import { sleep } from '../support/process.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';

let upstream: Upstream;
let directory: string;

beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
  directory = mkdtempSync(join(tmpdir(), 'keywarden-crash-'));
});
afterAll(async () => {
  await upstream?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const start = () =>
  startTestEdge({
    directory,
    policies: {
      'bank.yaml': `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities:
  all: { allow: "GET /v1/{id}" }
`,
    },
    vars: { BANK_KEY: 'sk_live_crash_0123456789' },
  });

describe('SIGKILL for workerd under load', () => {
  it('every call that reached the upstream has an intent, nothing doubles, the chain verifies', async () => {
    const reached = new Set<string>();
    for (const lifetimeMs of [300, 700, 1_300, 2_200]) {
      const edge = await start();
      const token = await edge.mint('crasher', ['bank:all']);
      let over = false;
      const call = async (worker: number): Promise<void> => {
        for (let i = 0; !over; i++) {
          await fetch(`${edge.proxy('bank')}/v1/${lifetimeMs}-${worker}-${i}`, {
            headers: { authorization: `Bearer ${token}` },
          })
            .then((r) => r.arrayBuffer())
            .catch(() => sleep(20));
        }
      };
      const load = Promise.all(Array.from({ length: 8 }, (_, worker) => call(worker)));
      await sleep(lifetimeMs);
      await edge.kill9Workerd();
      over = true;
      await load;
      await edge.stop();
    }
    for (const one of upstream.seen) reached.add(one.target);
    expect(reached.size).toBeGreaterThan(50);
    expect(upstream.seen).toHaveLength(reached.size);

    const edge = await start();
    try {
      const verified = await edge.verify();
      expect(verified.problems).toEqual([]);
      expect(verified.ok).toBe(true);
      const rows = [];
      for (let cursor: string | null = null; ; ) {
        const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
        const page = (await (await edge.operate(`/v1/audit?limit=1000&agent=crasher${query}`)).json()) as {
          rows: { event: string; path: string; request_id: string; seq: number }[];
          next_cursor: string | null;
        };
        rows.push(...page.rows);
        cursor = page.next_cursor;
        if (cursor === null) break;
      }
      const intents = rows.filter((row) => row.event === 'call.admitted');
      const paths = intents.map((row) => row.path);
      expect([...reached].filter((path) => !paths.includes(path))).toEqual([]);
      expect(new Set(paths).size).toBe(paths.length);
      expect(new Set(rows.map((row) => row.seq)).size).toBe(rows.length);
      const outcomes = rows.filter((row) => row.event === 'call.completed').map((row) => row.request_id);
      expect(new Set(outcomes).size).toBe(outcomes.length);
    } finally {
      await edge.stop();
    }
  });
});
