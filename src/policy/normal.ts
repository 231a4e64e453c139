import { DEFAULT_TTL_SECONDS } from './grants.ts';
import { bytesOf, millisecondsOf, rateOf } from './quantity.ts';
import type {
  AgentsPolicy,
  ApprovalSpec,
  CapabilityPolicy,
  CredentialSpec,
  OperationRule,
  RateSpec,
  ServicePolicy,
} from './ruled.ts';
import { operationsOf } from './template.ts';
import type {
  WrittenAgents,
  WrittenApproval,
  WrittenCapability,
  WrittenEntries,
  WrittenLimit,
  WrittenService,
} from './written.ts';

/** From written to ruled: defaults filled in, templates and quantities read. Total: what is written has been checked. */
export function servicePolicyOf(written: WrittenService): ServicePolicy {
  const prefix = written.prefix ?? written.service;
  return {
    service: written.service,
    prefix,
    title: written.title ?? titleOf(written.service),
    description: written.description ?? '',
    origin: written.origin,
    credential: credentialOf(written.credential),
    errors: written.errors ?? 'problem',
    maxBodyBytes: bytesOf(written.max_body ?? '1MiB') ?? 0,
    timeoutMs: millisecondsOf(written.timeout ?? '30s') ?? 0,
    idleTimeoutMs: millisecondsOf(written.idle_timeout ?? '60s') ?? 0,
    dropHeaders: (written.headers?.drop ?? []).map((name) => name.toLowerCase()),
    defaultHeaders: Object.fromEntries(
      Object.entries(written.headers?.set ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
    ),
    response: {
      scrub: written.response?.scrub ?? true,
      cache: written.response?.cache ?? false,
      ranges: written.response?.ranges ?? false,
      redirects: written.response?.redirects ?? [],
      ...(written.response?.same_path_pages === true ? { samePathPages: true as const } : {}),
    },
    trailingSlash: written.trailing_slash ?? false,
    ...(written.escaped_slash === true ? { escapedSlash: true as const } : {}),
    ...(written.escaped_percent === true ? { escapedPercent: true as const } : {}),
    deny: rulesOf(written.deny),
    capabilities: Object.entries(written.capabilities).map(([name, one]) =>
      capabilityOf(`${prefix}:${name}`, name, one),
    ),
  };
}

function capabilityOf(fullName: string, name: string, written: WrittenCapability): CapabilityPolicy {
  return {
    name: fullName,
    title: written.title ?? titleOf(name),
    description: written.description ?? '',
    allow: rulesOf(written.allow),
    deny: rulesOf(written.deny),
    when: written.when ?? null,
    limit: limitOf(written.limit),
    approval: approvalOf(written.approval),
  };
}

/** `read_balance` → `Read balance`. */
function titleOf(name: string): string {
  const words = name.replace(/[-_:.]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Entries as written, as a list, each with its text and its condition. */
function entriesOf(written: WrittenEntries | undefined): { match: string; when: string | null }[] {
  if (written === undefined) return [];
  const list = Array.isArray(written) ? written : [written];
  return list.map((one) =>
    typeof one === 'string' ? { match: one, when: null } : { match: one.match, when: one.when ?? null },
  );
}

function rulesOf(written: WrittenEntries | undefined): OperationRule[] {
  return entriesOf(written).flatMap(({ match, when }) => {
    const rules = operationsOf(match, when);
    return rules.ok ? rules.value : [];
  });
}

function limitOf(written: WrittenLimit | undefined): RateSpec | null {
  if (written === undefined) return null;
  return typeof written === 'string' ? rateOf(written) : rateOf(written.rate, written.burst ?? null);
}

function approvalOf(written: WrittenApproval | undefined): ApprovalSpec | null {
  if (written === undefined) return null;
  const spec = written === 'required' ? {} : written;
  return {
    when: spec.when ?? null,
    reviewers: spec.reviewers ?? null,
    count: spec.count ?? 1,
    ttlMs: millisecondsOf(spec.ttl ?? '15m') ?? 0,
    ...(spec.alike === undefined
      ? {}
      : {
          alike: {
            count: spec.alike.count,
            forMs: millisecondsOf(spec.alike.for ?? '10m') ?? 0,
            same: [...new Set(spec.alike.same ?? ['path', 'query'])].sort(),
          },
        }),
    ...(spec.separate === true ? { separate: true as const } : {}),
  };
}

function credentialOf(written: WrittenService['credential']): CredentialSpec {
  switch (written.scheme) {
    case 'bearer':
    case 'query':
      return written;
    case 'header':
      return { ...written, header: written.header.toLowerCase(), prefix: written.prefix ?? '' };
    case 'basic':
      return { ...written, username: written.username ?? null };
    case 'sigv4':
      return {
        ...written,
        sessionToken: written.sessionToken ?? null,
        region: written.region ?? null,
        service: written.service ?? null,
      };
  }
}

export function agentsPolicyOf(written: WrittenAgents): AgentsPolicy {
  return {
    source: 'file',
    grants: written.agents.map((grant) => ({
      agent: grant.id,
      mayHold: grant.may_hold,
      maxTtlSeconds:
        grant.max_ttl === undefined ? DEFAULT_TTL_SECONDS : Math.floor((millisecondsOf(grant.max_ttl) ?? 0) / 1000),
      limit: limitOf(grant.limit),
    })),
  };
}
