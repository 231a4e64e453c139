import * as z from 'zod/mini';
import { AgentId, ServiceId, SessionId } from './ids.ts';
import { nullableText } from './parts.ts';

/** What to stop as a whole: every token that reaches it is revoked, and none is minted until it is lifted. */
export const StopScope = z.discriminatedUnion(
  'scope',
  [
    z.strictObject({ scope: z.literal('everything') }),
    z.strictObject({ scope: z.literal('service'), service: ServiceId }),
  ],
  'one of everything, service',
);
export type StopScope = z.infer<typeof StopScope>;

const stopReason = z.optional(z.string().check(z.maxLength(500)));

export const StopRequest = z.discriminatedUnion(
  'scope',
  [
    z.strictObject({ scope: z.literal('everything'), reason: stopReason }),
    z.strictObject({ scope: z.literal('service'), service: ServiceId, reason: stopReason }),
  ],
  'one of everything, service',
);

export const StopTarget = z.discriminatedUnion(
  'scope',
  [
    z.strictObject({ scope: z.literal('everything') }),
    z.strictObject({ scope: z.literal('service'), service: ServiceId }),
    z.strictObject({ scope: z.literal('agent'), agent: AgentId }),
    z.strictObject({ scope: z.literal('session'), session: SessionId }),
    z.strictObject({ scope: z.literal('token'), token_id: z.string().check(z.minLength(1), z.maxLength(128)) }),
  ],
  'one of everything, service, agent, session, token',
);
export type StopTarget = z.infer<typeof StopTarget>;

/** What a stop would hit now: tokens that have not expired. */
export const StopPreview = z.object({
  tokens: z.int(),
  agents: z.array(z.object({ agent: z.string(), tokens: z.int() })),
  sessions: z.array(z.object({ session: z.string(), agent: z.string(), running: z.boolean() })),
});
export type StopPreview = z.infer<typeof StopPreview>;

export const StopJson = z.object({
  scope: z.enum(['everything', 'service']),
  service: nullableText,
  placed_at: z.iso.datetime(),
  placed_by: z.string(),
  reason: nullableText,
});

export const StopListResponse = z.object({ stops: z.array(StopJson) });
export type StopListResponse = z.infer<typeof StopListResponse>;

export const StopResponse = z.object({ tokens: z.int(), agents: z.array(z.string()), sessions: z.int() });
export type StopResponse = z.infer<typeof StopResponse>;
