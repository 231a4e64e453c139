import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { counted } from '../../runner/src/counted.ts';
import { clockCheck } from '../../runner/src/doctor/clock.ts';
import { edgeChecks } from '../../runner/src/doctor/edge.ts';
import { type FakeEdge, startFakeEdge } from '../support/fake-edge.ts';
import { keywarden, scratch } from './command-line.ts';

const NOW = Date.parse('2026-11-27T03:44:17Z');
const S = 1000;

describe('the clock check', () => {
  it.each([
    ['the same', 0, 'ok', /within 3 s/],
    ['a little ahead', 3 * S, 'ok', /within 3 s/],
    ['a little behind', -3 * S, 'ok', /within 3 s/],
    ['seconds ahead', 4 * S, 'warning', /^4 s ahead of the edge's/],
    ['seconds behind', -10 * S, 'warning', /^10 s behind the edge's/],
    ['as far off as the edge tolerates', 60 * S, 'warning', /^60 s ahead/],
    ['farther', 61 * S, 'broken', /^61 s ahead of the edge's, which tolerates 60 s/],
    ['minutes behind', -600 * S, 'broken', /^10 min behind/],
    ['in another time zone', 7200 * S, 'broken', /^2 h ahead/],
    ['years behind', -NOW, 'broken', /^\d+ h behind/],
  ] as const)('ours is %s', (_, ours, state, detail) => {
    const check = clockCheck(NOW, NOW + ours, NOW + ours);
    expect(check).toMatchObject({ name: 'clock', state, detail: expect.stringMatching(detail) });
    expect(check.mend === null).toBe(state === 'ok');
  });

  it('a slow answer is no skew', () => {
    expect(clockCheck(NOW, NOW - 1 * S, NOW + 9 * S).state).toBe('ok');
    expect(clockCheck(NOW, NOW - 9 * S, NOW + 1 * S).state).toBe('ok');
    expect(clockCheck(NOW, NOW + 5 * S, NOW + 14 * S)).toMatchObject({ state: 'warning' });
  });
});

describe('keywarden doctor against an edge', () => {
  let edge: FakeEdge;
  beforeAll(async () => {
    edge = await startFakeEdge();
    edge.answer('/v1/audit', { rows: [], next_cursor: null });
    Object.assign(process.env, edge.env);
  });
  afterAll(() => {
    for (const name of Object.keys(edge.env)) delete process.env[name];
    edge.stop();
  });
  const health = (skewMs: number, more: object = {}): void => {
    const now = new Date(Date.now() + skewMs).toISOString();
    edge.answer('/healthz', {
      status: 'ok',
      now,
      policy_hash: 'x',
      services: ['bank'],
      notes: [],
      problems: [],
      ...more,
    });
  };
  const states = async (): Promise<Record<string, string>> =>
    Object.fromEntries((await edgeChecks(undefined)).map((check) => [check.name, check.state]));

  it.each([
    [0, 'ok'],
    [-20 * S, 'warning'],
    [20 * S, 'warning'],
    [-120 * S, 'broken'],
    [120 * S, 'broken'],
  ])('whose clock is %d ms off', async (skew, state) => {
    health(skew);
    expect(await states()).toEqual({ edge: 'ok', clock: state, 'operator key': 'ok' });
  });

  it('that answers otherwise than an edge is broken, and nothing is said of its clock', async () => {
    for (const body of [{ now: undefined }, { now: 'noon' }, { services: 7 }]) {
      health(0, body);
      expect(await states()).toEqual({ edge: 'broken' });
    }
    edge.answer('/healthz', '<html>');
    expect(await edgeChecks(undefined)).toMatchObject([
      { state: 'broken', detail: expect.stringMatching(/not as an edge/) },
    ]);
  });

  it('a warning is told with its mend, and is no failure; a clock beyond the tolerance is', async () => {
    health(-20 * S);
    const warned = await keywarden(['doctor'], { env: edge.env });
    expect(warned.stdout).toMatch(/^warning {2}clock: \d+ s ahead of the edge's: .*\n {9}mend: .*timedatectl/m);
    health(-120 * S);
    const broken = await keywarden(['doctor'], { env: edge.env });
    expect(broken.stdout).toMatch(/^broken {3}clock: 2 min ahead of the edge's, which tolerates 60 s/m);
    expect([warned.code, broken.code]).toEqual([0, 1]);
  });
});

it('keywarden doctor tells the first problem of the policies and its mend, and of more that they are more', async () => {
  const folder = scratch();
  const policies = join(folder.path, 'policies');
  const doctor = async (more: string): Promise<string> => {
    const head = 'service: bank\norigin: https://bank.example\ncredential: { scheme: bearer, secret: BANK_KEY }\n';
    folder.file('policies/bank.yaml', `${head}capabilities: { read: { allow: GET /v1, limt: 1/s } }\n${more}`);
    return (await keywarden(['doctor', '--policies', policies], { cwd: folder.path })).stdout;
  };
  try {
    const first = "bank\\.yaml:4:41: unknown field 'limt'\\n +mend: did you mean 'limit'\\?";
    expect(await doctor('')).toMatch(new RegExp(`policies: 1 problem: .*${first}\\n`));
    expect(await doctor('shape: round\n')).toMatch(
      new RegExp(`policies: 2 problems, the first: .*${first}; keywarden policy check ${policies} tells all\\n`),
    );
  } finally {
    folder.remove();
  }
});

it.each([
  [0, 'row', '0 rows'],
  [1, 'row', '1 row'],
  [2, 'capability', '2 capabilities'],
  [1, 'capability', '1 capability'],
  [2, 'process', '2 processes'],
])('%d %s is %s', (count, noun, words) => expect(counted(count, noun)).toBe(words));
