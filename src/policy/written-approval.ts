import { z } from 'zod';
import { millisecondsOf } from './quantity.ts';
import { complain, condition, duration, spelt } from './written-leaves.ts';

const SAME = /^(path|query|body\.[A-Za-z0-9_$[\].-]{1,100})$/;

const alike = z
  .strictObject({
    count: z
      .int()
      .min(2, { error: 'one call is what a plain yes allows\nwrite 2 or more, or remove alike' })
      .max(100, { error: 'more than 100 calls are no approval any more\nwrite 100 or less' })
      .describe('Most calls that one yes may cover.'),
    for: duration('1h')
      .superRefine((text, context) => {
        const ms = millisecondsOf(text);
        if (ms !== null && ms < 1000) complain(context, `${text} covers nothing`, "write at least '1s'");
      })
      .optional()
      .describe("How long that yes is good; '10m' if absent, at most '1h'."),
    same: z
      .array(spelt(SAME, 'nothing that can be kept the same', "write 'path', 'query', or a field as 'body.charge'"))
      .min(1, { error: 'the list is empty\nname what must stay the same, or remove the field' })
      .max(20)
      .optional()
      .describe('What must be the same besides the capability and its operation; [path, query] if absent.'),
  })
  .describe('Lets a reviewer allow some calls of the same kind by one yes: { count, for, same }.');

export const approval = z
  .union([
    z.literal('required').describe('A person agrees to every call.'),
    z.strictObject({
      when: condition.optional().describe('Only when this holds, or cannot be told. CEL.'),
      reviewers: spelt(
        /^[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}$/,
        'no group of reviewers',
        'write one name: a group of KEYWARDEN_OPERATORS, a role (admin), or the id of one operator',
      )
        .optional()
        .describe('Who may decide, of those with the role approve: a group, a role, or one operator by id.'),
      count: z
        .union([z.literal(1), z.literal(2)])
        .optional()
        .describe('How many people must agree: 1 or 2.'),
      ttl: duration('1d')
        .superRefine((text, context) => {
          const ms = millisecondsOf(text);
          if (ms !== null && ms < 1000) complain(context, `nobody decides in ${text}`, "write at least '1s'");
        })
        .optional()
        .describe("How long a decision is waited for and stays good; '15m' if absent."),
      alike: alike.optional(),
      separate: z
        .literal(true)
        .optional()
        .describe('Who minted the token that asks may not decide. The agent itself never may.'),
    }),
  ])
  .describe("Whether a person must agree first: 'required', or { when, reviewers, count, ttl, alike, separate }.");
