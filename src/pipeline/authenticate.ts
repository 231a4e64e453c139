import { locateToken, type TokenPlaces } from '../capability/locate.ts';
import { verifyToken } from '../capability/verify.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { keyParamOf } from '../policy/canonical-query.ts';
import type { CredentialSpec } from '../policy/ruled.ts';
import type { Authenticated, Call } from './call.ts';

/** Step 1: who speaks? The token is taken from wherever the service's SDK puts the vendor's key. */
export async function authenticate(call: Call, edge: Edge): Promise<Result<Authenticated, Denial>> {
  const token = locateToken(call.fields, call.query, placesOf(call.policy?.credential ?? null));
  if (!token.ok) return token;
  const cached = edge.verifiedTokens.get(token.value, call.startedAt);
  if (cached !== undefined) return ok({ call, principal: cached, token: token.value } as Authenticated);
  const principal = await verifyToken(token.value, edge.keys.verifying, edge.expected, call.startedAt / 1000);
  if (!principal.ok) return err(principal.error);
  edge.verifiedTokens.put(token.value, principal.value);
  return ok({ call, principal: principal.value, token: token.value } as Authenticated);
}

const placesOf = (spec: CredentialSpec | null): TokenPlaces => ({
  header: spec?.scheme === 'header' ? spec.header.toLowerCase() : null,
  prefix: spec?.scheme === 'header' ? spec.prefix : '',
  queryParam: spec === null ? null : keyParamOf(spec),
});
