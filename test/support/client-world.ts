import { expect, test } from 'vitest';
import type { AuditRowJson } from '../../src/protocol.ts';
import { startTestEdge, type TestEdge } from './edge.ts';
import type { Gate } from './gate.ts';
import { until } from './process.ts';
import { shippedPolicy } from './shipped.ts';

/** An edge with one shipped policy, before a gate that opens to the real credential alone. */
export interface World {
  readonly edge: TestEdge;
  readonly gate: Gate;
  /** The service's id, and its twin's with limits of one call an hour. */
  readonly service: string;
  readonly tight: string;
  readonly stop: () => Promise<void>;
}

export interface WorldOptions {
  /** Name of the policy file that ships. */
  readonly service: string;
  readonly gate: Gate;
  readonly vars: Readonly<Record<string, string>>;
  /** Capabilities of the twin that may be used once an hour. */
  readonly onceAnHour: readonly string[];
  /** What stands behind the gate, ended last. */
  readonly behind?: readonly { readonly stop: () => Promise<unknown> }[];
}

export async function startWorld({ service, gate, vars, onceAnHour, behind = [] }: WorldOptions): Promise<World> {
  const tight = `${service}-tight`;
  const end = async (...things: readonly ({ readonly stop: () => Promise<unknown> } | undefined)[]): Promise<void> => {
    const results = await Promise.allSettled(things.map((thing) => thing?.stop()));
    const failures = results.flatMap((r) => (r.status === 'rejected' ? [r.reason as unknown] : []));
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
  };
  try {
    const edge = await startTestEdge({
      policies: {
        [`${service}.yaml`]: shippedPolicy(service, { origin: gate.origin }),
        [`${tight}.yaml`]: shippedPolicy(service, {
          origin: gate.origin,
          service: tight,
          limits: Object.fromEntries(onceAnHour.map((c) => [c, '1/h'])),
        }),
      },
      vars,
    });
    return { edge, gate, service, tight, stop: () => end(edge, gate, ...behind) };
  } catch (error) {
    await end(gate, ...behind).catch(() => {});
    throw error;
  }
}

/** Runs what must be refused, and gives back the error; fails when it succeeds or takes long. */
export async function refused<E extends Error = Error>(call: () => Promise<unknown>, withinMs = 15_000): Promise<E> {
  const begin = performance.now();
  const outcome = await call().then(
    (value: unknown) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const tookMs = Math.round(performance.now() - begin);
  if (!('error' in outcome))
    throw new Error(`this was to be refused, and succeeded with ${JSON.stringify(outcome.value)?.slice(0, 300)}`);
  expect(outcome.error).toBeInstanceOf(Error);
  expect(tookMs, 'milliseconds until the refusal surfaced').toBeLessThan(withinMs);
  return outcome.error as E;
}

/** The wording that a client sees, by what it stands for. */
export const WORDS = {
  missing: /This call needs a capability that the token does not hold: /,
  condition: /allows this call only when: /,
  expired: /The capability token is invalid, expired or revoked\./,
  limited: /The limit of \S+ is used up\. Try again in \d+ s\./,
} as const;

/** Registers, as the last tests of a file, what must be true after everything that its other tests did. */
export function promisesKept(world: () => World, secrets: () => readonly string[]): void {
  test('the upstream was opened by the real credential each time, and never saw a capability token', () => {
    const { gate } = world();
    expect(gate.seen.length).toBeGreaterThan(0);
    expect(gate.leaks).toEqual([]);
    expect(gate.opened.map((s) => `${s.method} ${s.target}`)).toEqual(gate.seen.map((s) => `${s.method} ${s.target}`));
    for (const seen of gate.seen) {
      const everything = Buffer.concat([
        Buffer.from([seen.target, ...seen.rawHeaders].join('\n'), 'latin1'),
        seen.body(),
      ]).toString('latin1');
      expect(everything).not.toMatch(/eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}/);
    }
  });

  test('every call that reached the upstream has an intent and an outcome in the audit, and none stands there twice', async () => {
    const { edge, gate } = world();
    let rows: AuditRowJson[] = [];
    const of = (...events: string[]): string[] =>
      rows
        .filter((r) => events.includes(r.event))
        .map((r) => r.request_id)
        .sort();
    await until(
      'the outcomes of all calls',
      async () => {
        rows = await edge.audit();
        return of('call.admitted').length === of('call.completed', 'call.failed').length;
      },
      15_000,
    ).catch(() => {});
    expect(of('call.admitted')).toHaveLength(gate.seen.length);
    expect(of('call.completed', 'call.failed')).toEqual(of('call.admitted'));
    expect(new Set(of('call.admitted')).size).toBe(gate.seen.length);
  });

  test('every refusal stands in the audit with its true reason', async () => {
    const reasons = new Set((await world().edge.audit({ event: 'call.denied' })).map((r) => r.reason));
    expect(reasons).toContain('capability_missing');
    expect(reasons).toContain('token_expired');
    expect(reasons).toContain('rate_limited');
  });

  test('the chain verifies, and no secret stands in the audit or the logs', async () => {
    const { edge } = world();
    expect(await edge.verify()).toMatchObject({ ok: true, problems: [] });
    const rows = JSON.stringify(await edge.audit());
    for (const secret of secrets()) {
      expect(rows.includes(secret), 'a credential in the audit').toBe(false);
      expect(edge.logs().includes(secret), 'a credential in the logs').toBe(false);
    }
    expect(edge.logs()).not.toMatch(/eyJ[\w-]{8,}\.eyJ/);
  });
}
