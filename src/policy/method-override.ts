import type { Denial } from '../denial.ts';
import { looseName } from '../lib/query-params.ts';

/**
 * Whether frameworks take a parameter or field of this name for the request's method (Rails, Laravel, Symfony), so that the
 * upstream would do something else than what was judged.
 *
 * @param name As in a query, or decoded.
 */
export const isMethodOverride = (name: string): boolean => looseName(name) === '_method';

/** Header fields in which frameworks look for the request's method. */
const FIELDS: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-method-override',
  'x-http-method',
  'http-method-override',
  'x-original-method',
  'x-forwarded-method',
]);

/**
 * The denial of a request with such a field: it would change what was decided about. Refused, so that the agent learns it.
 *
 * @param fields Names in lower case.
 */
export function methodOverrideIn(fields: Iterable<readonly [string, string]>): Denial | null {
  for (const [header] of fields)
    if (FIELDS.has(header))
      return { kind: 'header_refused', header, why: 'it would change the method that the policy decides about' };
  return null;
}
