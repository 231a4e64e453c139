import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keywarden, scratch } from './command-line.ts';

const KEY = 'kwop_0123456789012345678901234567890123456789012';
// Nobody listens on port 1 of loopback: what is found shows in the error that it cannot be reached.
const NOWHERE = 'http://127.0.0.1:1';
const LIST = ['audit', 'list'];

let place: ReturnType<typeof scratch>;
beforeEach(() => (place = scratch()));
afterEach(() => place.remove());

const state = (directory: string, url = NOWHERE): void => {
  place.file(`${directory}/operator.key`, `${KEY}\n`, 0o600);
  place.file(`${directory}/edge.json`, JSON.stringify({ url, pid: 1, started_at: '2026-01-01T00:00:00Z' }), 0o600);
};

describe('finding the edge', () => {
  it('in the nearest .keywarden/ upwards', async () => {
    state('.keywarden', 'http://127.0.0.1:1');
    state('a/.keywarden', 'http://127.0.0.1:2');
    mkdirSync(join(place.path, 'a/b/c'), { recursive: true });
    mkdirSync(join(place.path, 'd'));
    expect((await keywarden(LIST, { cwd: join(place.path, 'a/b/c') })).stderr).toContain('http://127.0.0.1:2');
    expect((await keywarden(LIST, { cwd: join(place.path, 'd') })).stderr).toContain('http://127.0.0.1:1 ');
  });

  it('--state wins over the environment, the environment over the directory', async () => {
    state('.keywarden', 'http://127.0.0.1:1');
    state('other', 'http://127.0.0.1:2');
    const env = { KEYWARDEN_URL: 'http://127.0.0.1:3', KEYWARDEN_OPERATOR_KEY: KEY };
    expect((await keywarden(LIST, { cwd: place.path, env })).stderr).toContain('http://127.0.0.1:3');
    expect((await keywarden([...LIST, '--state', 'other'], { cwd: place.path, env })).stderr).toContain(
      'http://127.0.0.1:2',
    );
  });

  it('says what to do when there is none', async () => {
    const { code, stderr } = await keywarden(LIST, { cwd: place.path });
    expect(code).toBe(125);
    expect(stderr).toMatch(/error: no edge found/);
    expect(stderr).toMatch(/hint: start one: keywarden dev/);
  });

  it('half of the environment is an error, not a reason to look elsewhere', async () => {
    state('.keywarden');
    const halves: Record<string, string>[] = [{ KEYWARDEN_URL: NOWHERE }, { KEYWARDEN_OPERATOR_KEY: KEY }];
    for (const env of halves) {
      const { code, stderr } = await keywarden(LIST, { cwd: place.path, env });
      expect(code).toBe(125);
      expect(stderr).toMatch(/KEYWARDEN_URL.*KEYWARDEN_OPERATOR_KEY|KEYWARDEN_OPERATOR_KEY.*KEYWARDEN_URL/);
    }
  });

  it('a wrong operator key of the environment is mended in the environment, not in a file', async () => {
    const env = { KEYWARDEN_URL: NOWHERE, KEYWARDEN_OPERATOR_KEY: 'short' };
    const { code, stderr } = await keywarden(LIST, { cwd: place.path, env });
    expect(code).toBe(125);
    expect(stderr).toMatch(/error: the environment variable KEYWARDEN_OPERATOR_KEY holds no operator key/);
    expect(stderr).toMatch(/hint: set KEYWARDEN_OPERATOR_KEY/);
    expect(stderr).not.toContain('file');
  });

  it('says that an edge which was there is not running', async () => {
    state('.keywarden');
    const { code, stderr } = await keywarden(LIST, { cwd: place.path });
    expect(code).toBe(125);
    expect(stderr).toMatch(/error: the edge at http:\/\/127\.0\.0\.1:1 cannot be reached/);
  });
});

describe('the operator key is guarded', () => {
  it.each(['operator.key', 'edge.json'])('%s that others can read is refused', async (name) => {
    state('.keywarden');
    const file = join(place.path, '.keywarden', name);
    chmodSync(file, 0o640);
    const { code, stderr } = await keywarden(LIST, { cwd: place.path });
    expect(code).toBe(125);
    expect(stderr).toContain('open to others (mode 0640)');
    expect(stderr).toContain(`hint: chmod 600 ${file}`);
    expect(stderr).not.toContain(KEY);
  });

  it.each(['http://keywarden.example.com', 'http://10.0.0.1:8787', 'http://127.0.0.1.example.com'])(
    'it does not travel unencrypted to %s',
    async (url) => {
      const { code, stderr } = await keywarden(LIST, {
        cwd: place.path,
        env: { KEYWARDEN_URL: url, KEYWARDEN_OPERATOR_KEY: KEY },
      });
      expect(code).toBe(125);
      expect(stderr).toContain('must not travel in the clear');
      expect(stderr).not.toContain(KEY);
    },
  );

  it.each(['ftp://x', 'nonsense', 'https://user:pw@keywarden.example.com'])(
    '%s is no address of an edge',
    async (url) => {
      const { code } = await keywarden(LIST, {
        cwd: place.path,
        env: { KEYWARDEN_URL: url, KEYWARDEN_OPERATOR_KEY: KEY },
      });
      expect(code).toBe(125);
    },
  );

  it('a damaged edge.json is said to be damaged', async () => {
    state('.keywarden');
    place.file('.keywarden/edge.json', '{"url":', 0o600);
    expect((await keywarden(LIST, { cwd: place.path })).stderr).toMatch(/edge\.json is damaged/);
  });
});
