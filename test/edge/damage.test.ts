import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keywarden } from '../cli/command-line.ts';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';

let upstream: Upstream;
let directory: string;
let edge: TestEdge;
beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
});
afterAll(() => upstream?.stop());
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keywarden-damage-'));
  edge = await start();
  for (const agent of ['ann', 'bob']) await call(agent);
  await edge.verify();
  await edge.stop();
});
afterEach(async () => {
  await edge.stop();
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
    vars: { BANK_KEY: 'sk_live_damage_0123456789' },
  });

async function call(agent: string): Promise<number> {
  const token = await edge.mint(agent, ['bank:all']);
  const response = await fetch(`${edge.proxy('bank')}/v1/1`, { headers: { authorization: `Bearer ${token}` } });
  await response.arrayBuffer();
  return response.status;
}

/** The SQLite files of a kind of object that are no book-keeping of workerd's. */
const filesOf = (kind: string): string[] =>
  readdirSync(join(directory, 'state/storage', kind))
    .filter((name) => name.endsWith('.sqlite') && name !== 'metadata.sqlite')
    .map((name) => join(directory, 'state/storage', kind, name));

/** Overwrites the first page of a table. */
function spoil(file: string, table: string): void {
  const db = new DatabaseSync(file);
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const { rootpage } = db.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(table) as {
    rootpage: number;
  };
  const { page_size: size } = db.prepare('PRAGMA page_size').get() as { page_size: number };
  db.close();
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.alloc(size, 0xa5), 0, size, (rootpage - 1) * size);
  closeSync(fd);
}

const audit = (...args: string[]) => keywarden(['audit', ...args, '--state', edge.state]);

describe('a page of a file under the edge is damaged', () => {
  it('of a ledger: whose it is, is said by all who read the audit; other agents go on, and this one is denied', async () => {
    const ann = filesOf('do/keywarden-Ledger').find((file) => {
      const db = new DatabaseSync(file);
      const [row] = db.prepare('SELECT wires FROM log').all() as { wires: string }[];
      db.close();
      return row?.wires.includes('"ann"');
    });
    spoil(ann as string, 'log');
    edge = await start();
    for (const command of ['verify', 'export']) {
      const { code, stderr } = await audit(command);
      expect(code).toBe(125);
      expect(stderr).toMatch(/error: the edge refuses: The ledger [0-9a-f]{12}… of the agent ann cannot be read/);
    }
    expect(await call('bob')).toBe(200);
    await expect(edge.mint('ann', ['bank:all'])).rejects.toThrow('503');
  });

  it('of D1: everybody who reads the audit hears that it is the database, and no page of it is given out before', async () => {
    spoil(filesOf('d1/miniflare-D1DatabaseObject')[0] as string, 'audit');
    edge = await start();
    for (const command of ['list', 'verify', 'export']) {
      const { code, stdout, stderr } = await audit(command);
      expect({ command, code, stdout }).toEqual({ command, code: 125, stdout: '' });
      expect(stderr).toContain('error: the edge refuses: The D1 database cannot be read or written');
    }
    expect(edge.logs()).not.toContain('keywarden: bug:');
  });
});
