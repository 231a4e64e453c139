import * as z from 'zod/mini';
import { AgentId, CapabilityName } from './ids.ts';
import { nullableText } from './parts.ts';

const RateJson = z.object({ count: z.int(), period_ms: z.int(), burst: z.int() });

const RuleJson = z.object({ text: z.string(), when: nullableText });

export const CapabilityPolicyJson = z.object({
  name: CapabilityName,
  title: z.string(),
  description: z.string(),
  allow: z.array(RuleJson),
  deny: z.array(RuleJson),
  when: nullableText,
  limit: z.nullable(RateJson),
  approval: z.nullable(z.object({ when: nullableText, words: z.string() })),
});
export type CapabilityPolicyJson = z.infer<typeof CapabilityPolicyJson>;

export const PoliciesResponse = z.object({
  hash: z.string(),
  services: z.array(
    z.object({
      service: z.string(),
      title: z.string(),
      description: z.string(),
      origin: z.string(),
      scheme: z.string(),
      deny: z.array(RuleJson),
      capabilities: z.array(CapabilityPolicyJson),
    }),
  ),
  agents: z.object({
    source: z.enum(['file', 'absent']),
    grants: z.array(
      z.object({
        agent: z.string(),
        may_hold: z.array(z.string()),
        max_ttl_seconds: z.int(),
        limit: z.nullable(RateJson),
      }),
    ),
  }),
});
export type PoliciesResponse = z.infer<typeof PoliciesResponse>;

export const ExplainRequest = z.strictObject({
  agent_id: AgentId,
  capabilities: z.array(CapabilityName).check(z.maxLength(100)),
  service: z.string().check(z.minLength(1), z.maxLength(64)),
  method: z.string().check(z.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/, 'a method is an RFC 9110 token')),
  /** Path and query as after `/proxy/<service>`. */
  target: z.string().check(z.regex(/^\//, 'a path begins with /'), z.maxLength(4096)),
  headers: z.optional(z.record(z.string().check(z.maxLength(128)), z.string().check(z.maxLength(4096)))),
  body: z.optional(z.string().check(z.maxLength(32_768))),
});
export type ExplainRequest = z.infer<typeof ExplainRequest>;

export const ExplainResponse = z.object({
  verdict: z.enum(['allow', 'deny', 'approval']),
  capability: nullableText,
  path: nullableText,
  not_grantable: z.array(z.string()),
  rules: z.array(
    z.object({
      effect: z.enum(['allow', 'deny']),
      capability: z.string(),
      operation: z.string(),
      held: z.boolean(),
      conditions: z.array(
        z.object({
          text: z.string(),
          value: z.union([z.boolean(), z.enum(['unevaluable', 'unknown'])]),
          why: nullableText,
        }),
      ),
    }),
  ),
  words: z.array(z.string()),
});
export type ExplainResponse = z.infer<typeof ExplainResponse>;
