import type { Access } from '../../src/access.ts';
import type { Denial } from '../../src/denial.ts';
import type { Result } from '../../src/lib/result.ts';
import { parseBody } from '../../src/policy/body.ts';
import { canonicalPathOf } from '../../src/policy/canonical-path.ts';
import { compilePolicies, type PolicyProblem } from '../../src/policy/compile.ts';
import { type AccessGrant, decideAccess, planAccess } from '../../src/policy/decide.ts';
import type { PolicyBundle, ServicePolicy } from '../../src/policy/ruled.ts';
import { compileService } from '../../src/policy/service.ts';

/** A service around the given lines of YAML, which begin at column 1. */
export function serviceYaml(lines: string, head = ''): string {
  return `service: pay\norigin: https://api.example.com\ncredential: { scheme: bearer, secret: PAY_KEY }\n${head}${lines}`;
}

export function bundleOf(...texts: string[]): PolicyBundle {
  const compiled = compilePolicies(
    texts.map((text, i) => ({ name: `${i}.yaml`, text })),
    { allowLoopbackHttp: false },
  );
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error, null, 1));
  return compiled.value;
}

export function policyOf(lines: string, head = ''): ServicePolicy {
  return bundleOf(serviceYaml(lines, head)).services['pay'] as ServicePolicy;
}

export function problemsOf(text: string, name = 'pay.yaml'): PolicyProblem[] {
  const compiled = compilePolicies([{ name, text }], { allowLoopbackHttp: false });
  return compiled.ok ? [] : compiled.error;
}

export interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
  readonly held?: readonly string[];
  readonly agent?: string;
  readonly session?: string | null;
  readonly now?: number;
}

/** The two phases in one, as the pipeline runs them. */
export function ask(policy: ServicePolicy, asked: Asked): Result<AccessGrant, Denial> {
  const path = canonicalPathOf(asked.path, policy.escapedSlash, policy.escapedPercent);
  if (!path.ok) return { ok: false, error: { kind: 'path_refused', why: path.error } };
  const access: Access = {
    service: policy.service,
    method: asked.method ?? 'GET',
    path: path.value,
    query: asked.query ?? '',
  };
  const held = asked.held ?? policy.capabilities.map((capability) => capability.name);
  const plan = planAccess(compileService(policy), access, new Set(held));
  if (!plan.ok) return plan;
  const headers = new Map(Object.entries(asked.headers ?? {}));
  const bytes =
    typeof asked.body === 'string' ? new TextEncoder().encode(asked.body) : (asked.body ?? new Uint8Array());
  const parsed = plan.value.needsBody
    ? parseBody(bytes, headers.get('content-type') ?? null, headers.get('content-encoding') ?? null)
    : null;
  const body = parsed === null ? {} : parsed.ok ? { body: parsed.value } : { bodyRefusal: parsed.error };
  const { agent = 'a', session = null, now = 0 } = asked;
  return decideAccess(plan.value, { query: access.query, headers, ...body, agent, session, now });
}

/** `allow`, `approval`, or the denial's kind. */
export function verdictOf(policy: ServicePolicy, asked: Asked): string {
  const decision = ask(policy, asked);
  if (!decision.ok) return decision.error.kind;
  return decision.value.approval === null ? 'allow' : 'approval';
}

export const json = (value: unknown): Pick<Asked, 'headers' | 'body'> => ({
  headers: { 'content-type': 'application/json' },
  body: typeof value === 'string' ? value : JSON.stringify(value),
});
export const form = (body: string): Pick<Asked, 'headers' | 'body'> => ({
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body,
});
