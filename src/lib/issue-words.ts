import type { z } from 'zod/mini';

/**
 * What is wrong with a value of a request, in words that stand behind the field's name: `ttl_seconds: it must be at most 86400`.
 * A shape that has words of its own says those instead. Of the value itself nothing is said: it may be a secret in a wrong place.
 */
export function issueWords(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'it is missing' : `it must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `it must be ${issue.values.length === 1 ? '' : 'one of '}${quoted(issue.values)}`;
    case 'too_small':
      return bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum);
    case 'too_big':
      return bound(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum);
    case 'invalid_format':
      return issue.format === 'datetime'
        ? 'it is no time as 2026-01-31T12:00:00Z'
        : 'it has not the form that is wanted';
    case 'unrecognized_keys': {
      const known = knownFields(issue.inst);
      const only = known.length === 0 ? '' : `; it takes ${known.join(', ')}`;
      return `it does not take ${quoted(issue.keys)}${only}`;
    }
    default:
      return 'it is not what is wanted here';
  }
}

const quoted = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(', ');

const KINDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
};

/** How much of what is measured, by the kind of the value. */
const UNITS: Readonly<Record<string, readonly [one: string, more: string]>> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
};

function bound(origin: string, words: string, limit: number | bigint): string {
  const unit = UNITS[origin]?.[Number(limit) === 1 ? 0 : 1];
  return unit === undefined ? `it must be ${words} ${limit}` : `it must have ${words} ${limit} ${unit}`;
}

function knownFields(schema: z.core.$ZodRawIssue['inst']): string[] {
  const { shape } = (schema?._zod.def ?? {}) as { readonly shape?: object };
  return Object.keys(shape ?? {});
}
