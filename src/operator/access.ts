import { createRemoteJWKSet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { err, ok, type Result } from '../lib/result.ts';
import { isRole, type Operator, type Role } from './roles.ts';

/** Cloudflare Access as configured: who signs, for whom, and what each person may do. */
export interface AccessSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly rolesByEmail: ReadonlyMap<string, ReadonlySet<Role>>;
}

/**
 * Parses the three `KEYWARDEN_ACCESS_*` settings; all of them or none.
 *
 * @param dev Whether an `http://` issuer on loopback is tolerated.
 */
export function parseAccessSettings(
  issuer: string | undefined,
  audience: string | undefined,
  roles: string | undefined,
  dev: boolean,
): Result<AccessSettings | null, string> {
  if (!issuer && !audience && !roles) return ok(null);
  if (!issuer || !audience || !roles) return err('KEYWARDEN_ACCESS_ISSUER, _AUDIENCE and _ROLES go together');
  const url = URL.parse(issuer);
  const loopback = url?.protocol === 'http:' && ['127.0.0.1', 'localhost'].includes(url.hostname);
  if (url === null || !(url.protocol === 'https:' || (dev && loopback)) || url.origin !== issuer) {
    return err('KEYWARDEN_ACCESS_ISSUER is no https origin like https://team.cloudflareaccess.com');
  }
  let written: unknown;
  try {
    written = JSON.parse(roles);
  } catch {
    return err('KEYWARDEN_ACCESS_ROLES is no JSON');
  }
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    return err('KEYWARDEN_ACCESS_ROLES is no object of e-mail address → roles');
  }
  const rolesByEmail = new Map<string, ReadonlySet<Role>>();
  for (const [email, list] of Object.entries(written)) {
    if (!Array.isArray(list) || list.length === 0 || !list.every(isRole))
      return err(`KEYWARDEN_ACCESS_ROLES: the roles of ${email} are not valid`);
    rolesByEmail.set(email.toLowerCase(), new Set<Role>(list));
  }
  return ok({ issuer, audience, rolesByEmail });
}

const jwksByIssuer = new Map<string, JWTVerifyGetKey>();

/**
 * Checks the JWT that Cloudflare Access puts into `Cf-Access-Jwt-Assertion`: signature by the team's published keys,
 * issuer, audience, expiry. A person without a role here is nobody. `expiresAt` is Unix ms.
 */
export async function operatorByAccess(
  assertion: string,
  settings: AccessSettings,
): Promise<(Operator & { readonly expiresAt: number }) | null> {
  let jwks = jwksByIssuer.get(settings.issuer);
  if (jwks === undefined) {
    jwks = createRemoteJWKSet(new URL(`${settings.issuer}/cdn-cgi/access/certs`), { timeoutDuration: 5000 });
    jwksByIssuer.set(settings.issuer, jwks);
  }
  try {
    const { payload } = await jwtVerify(assertion, jwks, {
      issuer: settings.issuer,
      audience: settings.audience,
      algorithms: ['RS256', 'ES256'],
      requiredClaims: ['exp', 'email'],
    });
    const email = typeof payload.email === 'string' ? payload.email.toLowerCase() : '';
    const roles = settings.rolesByEmail.get(email);
    return roles === undefined ? null : { id: email, roles, expiresAt: (payload.exp ?? 0) * 1000 };
  } catch {
    return null;
  }
}
