import { Hono } from 'hono';
import { asWritten } from '../policy/as-written.ts';
import { approvalWords } from '../policy/decision-words.ts';
import { explainAccess } from '../policy/explain.ts';
import type { OperationRule, RateSpec } from '../policy/ruled.ts';
import { ExplainRequest, type ExplainResponse, type PoliciesResponse } from '../protocol.ts';
import type { Api } from './context.ts';
import { operatorOnly } from './operator-only.ts';
import { refuse } from './refuse.ts';
import { requestOf } from './request.ts';

export const policies = new Hono<Api>();

policies.use('*', operatorOnly('audit', 'approve', 'mint'));

/** The policies that the edge was built with: names of secrets are left out, they are nobody's business here. */
policies.get('/', (c) => {
  const { bundle } = c.get('edge');
  return c.json({
    hash: bundle.hash,
    services: Object.values(bundle.services).map((policy) => ({
      service: policy.service,
      title: policy.title,
      description: policy.description,
      origin: policy.origin,
      scheme: policy.credential.scheme,
      deny: asWritten(policy.deny ?? []).map(ruleJson),
      capabilities: policy.capabilities.map((one) => ({
        name: one.name,
        title: one.title,
        description: one.description,
        allow: asWritten(one.allow).map(ruleJson),
        deny: asWritten(one.deny).map(ruleJson),
        when: one.when,
        limit: rateJson(one.limit),
        approval: one.approval === null ? null : { when: one.approval.when, words: approvalWords(one.approval) },
      })),
    })),
    agents: {
      source: bundle.agents.source,
      grants: bundle.agents.grants.map((grant) => ({
        agent: grant.agent,
        may_hold: [...grant.mayHold],
        max_ttl_seconds: grant.maxTtlSeconds,
        limit: rateJson(grant.limit),
      })),
    },
  } satisfies PoliciesResponse);
});

/** Would this agent with these capabilities be allowed this request, and why? Nothing is sent, nothing is recorded. */
policies.post('/explain', async (c) => {
  const parsed = await requestOf(c, ExplainRequest);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { agent_id, capabilities, service, method, target, headers = {}, body } = parsed.value;
  const edge = c.get('edge');
  const given = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  if (body !== undefined && !given.has('content-type')) given.set('content-type', 'application/json');
  const told = explainAccess(
    edge.bundle,
    {
      service,
      method: method.toUpperCase(),
      target,
      can: capabilities,
      agent: agent_id,
      session: null,
      headers: given,
      body: body ?? null,
      now: Date.now(),
    },
    edge.dev,
  );
  return c.json({
    verdict: told.verdict,
    capability: told.capability,
    path: told.path,
    not_grantable: [...told.notGrantable],
    rules: told.rules.map((rule) => ({ ...rule, conditions: rule.conditions.map((one) => ({ ...one })) })),
    words: [...told.words],
  } satisfies ExplainResponse);
});

const ruleJson = ({ text, when }: OperationRule) => ({ text, when });
const rateJson = (rate: RateSpec | null) =>
  rate === null ? null : { count: rate.count, period_ms: rate.periodMs, burst: rate.burst };
