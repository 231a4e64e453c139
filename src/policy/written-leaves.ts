import { z } from 'zod';
import { checkCondition } from './conditions.ts';
import { DURATION_PATTERN, millisecondsOf, RATE_PATTERN } from './quantity.ts';
import { operationsOf } from './template.ts';

/** What several parts of a written policy are made of. */

/** What a check adds to an issue besides its message. */
export interface Complaint {
  readonly fix: string;
  /** Where in the string, in UTF-16 units. */
  readonly offset?: number;
}

export type Context = z.core.$RefinementCtx<unknown>;

export function complain(context: Context, message: string, fix: string, offset?: number): void {
  context.addIssue({ code: 'custom', message, params: { fix, ...(offset === undefined ? {} : { offset }) } });
}

export const patterned = (pattern: RegExp, message: string, fix: string) =>
  z.string().regex(pattern, { error: `${message}\n${fix}` });

/** The same, saying what was written: for what is never a secret. */
export const spelt = (pattern: RegExp, what: string, fix: string) =>
  z.string().regex(pattern, { error: ({ input }) => `'${String(input).slice(0, 60)}' is ${what}\n${fix}` });

/** Fields that the edge itself owns (RFC 9110 §7.6.1, message framing, routing). */
const OWN_FIELD =
  /^(connection|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade|host|content-length|expect|via|forwarded|x-forwarded-.*|x-real-ip|cf-.*|cookie)$/;

export const fieldName = patterned(
  /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/,
  'no header field name',
  'write an RFC 9110 token, such as X-Api-Key',
).superRefine((name, context) => {
  if (OWN_FIELD.test(name.toLowerCase()))
    complain(context, `'${name}' is set by the edge and by nobody else`, 'remove it');
});

export const duration = (max: string) =>
  spelt(DURATION_PATTERN, 'no duration', "write a number and its unit, such as '30s', '15m' or '1h'").superRefine(
    (text, context) => {
      const ms = millisecondsOf(text);
      if (ms !== null && ms > (millisecondsOf(max) ?? 0))
        complain(context, `${text} is more than ${max}`, `write at most '${max}'`);
    },
  );

export const condition = z
  .string()
  .superRefine((text, context) => {
    const checked = checkCondition(text);
    if (!checked.ok) complain(context, checked.error.message, checked.error.fix, checked.error.offset);
  })
  .describe(
    'A CEL condition over method, path, params, query, headers, body, agent, session and now. What cannot be evaluated (a missing field, another type) denies.',
  );

export const operation = z
  .string()
  .superRefine((text, context) => {
    const read = operationsOf(text, null);
    if (!read.ok) complain(context, read.error.message, read.error.fix);
  })
  .describe(
    "Method and path template: 'GET /v1/customers/{id}', 'GET|HEAD /{key+}', '* /v1/keys'. GET does not include HEAD.",
  );

const conditionalOperation = z
  .strictObject({ match: operation, when: condition.optional() })
  .describe('An operation with its own condition.');

const entry = z.union([operation, conditionalOperation]);
export const entries = z.union([
  operation,
  conditionalOperation,
  z.array(entry).min(1, { error: 'the list is empty\nwrite an operation, or remove the field' }),
]);

const rate = spelt(RATE_PATTERN, 'no rate', "write calls per period: '10/s', '60/min', '500/h' or '1000/day'");

export const limit = z
  .union([
    rate.describe('Calls per period; as many at once.'),
    z.strictObject({
      rate: rate.describe('Calls per period.'),
      burst: z
        .int()
        .min(1, { error: 'a burst of less than 1 allows nothing\nwrite 1 or more' })
        .max(9_999_999)
        .optional()
        .describe('Most calls at once; the whole count if absent.'),
    }),
  ])
  .describe("How often: '60/min', or { rate: 10/min, burst: 3 }.");
