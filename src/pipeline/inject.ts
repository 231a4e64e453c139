import type { Fault } from '../fault.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { inject as injectCredential } from '../upstream/inject.ts';
import { readCredentials } from '../upstream/secrets.ts';
import { parseSigV4Scope, presignedScopeOf } from '../upstream/sigv4-scope.ts';
import type { Admitted, Injected } from './call.ts';
import { roomOf } from './gather.ts';

/** Step 5: the credential is read, for the first time, after the intent is durable; and put where the scheme wants it. */
export async function inject(admitted: Admitted): Promise<Result<Injected, Fault>> {
  const { call, policy, outgoing } = admitted.authorized;
  const credentials = readCredentials(call.env, policy.credential);
  if (!credentials.ok) return err(credentials.error);
  const room = roomOf();
  const request = await injectCredential(policy.credential, credentials.value, outgoing, {
    now: call.startedAt,
    gather: room.gather,
    scope:
      policy.credential.scheme === 'sigv4'
        ? (parseSigV4Scope(call.fields.get('authorization') ?? null) ?? presignedScopeOf(call.query))
        : null,
  });
  if (!request.ok) {
    room.leave();
    return err(request.error);
  }
  return ok({ admitted, request: request.value, credentials: credentials.value, sent: room.leave } as Injected);
}
