import * as z from 'zod/mini';

/** An agent's id: the token's `sub` (RFC 7519 §4.1.2). Printable, bounded, safe in logs and URLs. */
export const AgentId = z
  .string()
  .check(
    z.regex(
      /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/,
      'an agent id is 1 to 128 of A-Z a-z 0-9 . _ : @ / - and begins with a letter or digit',
    ),
    z.describe('Agent id: the sub of its tokens'),
  );

/** A session's id: the token's `sid`. */
export const SessionId = z
  .string()
  .check(
    z.regex(
      /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/,
      'a session id is 1 to 128 of A-Z a-z 0-9 . _ : - and begins with a letter or digit',
    ),
    z.describe('Session id: the sid of its tokens'),
  );

/** A service's id, spelt as policies may spell it. */
export const ServiceId = z
  .string()
  .check(
    z.maxLength(64, 'a service is named as in its policy'),
    z.regex(/^[a-z][a-z0-9]*(?:[-_:.][a-z0-9]+)*$/, 'a service is named as in its policy'),
  );

/** A capability's full name. */
export const CapabilityName = z
  .string()
  .check(
    z.regex(/^[a-z][a-z0-9._:-]{1,127}$/, 'a capability is written service:name, as in stripe:read_balance'),
    z.describe('Capability, service:name'),
  );
