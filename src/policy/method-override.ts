import { looseName } from '../lib/query-params.ts';

/**
 * Whether frameworks take a parameter or field of this name for the request's method (Rails, Laravel, Symfony), so that the
 * upstream would do something else than what was judged.
 *
 * @param name As in a query, or decoded.
 */
export const isMethodOverride = (name: string): boolean => looseName(name) === '_method';
