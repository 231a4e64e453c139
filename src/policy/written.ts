import { z } from 'zod';
import { isCredentialField } from './facts.ts';
import { originProblem } from './origin.ts';
import { bytesOf, millisecondsOf } from './quantity.ts';
import { ERROR_SHAPES } from './ruled.ts';
import { approval } from './written-approval.ts';
import { credential } from './written-credential.ts';
import {
  type Context,
  complain,
  condition,
  duration,
  entries,
  fieldName,
  limit,
  patterned,
  spelt,
} from './written-leaves.ts';

/**
 * A policy as people write it, field by field. Every object is strict: a field that is not named here is an error.
 * Leaves check themselves, so that one reading finds all that is wrong. A check says what is wrong and how to mend it
 * through `complain`; the words for plain type errors are in `schema-problems.ts`.
 */

const SERVICE_ID = /^(?=.{1,64}$)[a-z][a-z0-9]*([-_:.][a-z0-9]+)*$/;
const SERVICE_ID_FIX = 'lower case letters and digits, joined by single - _ : or ., at most 64 characters';
const CAPABILITY_NAME = /^[a-z][a-z0-9_-]*(:[a-z0-9_-]+)*$/;
const AGENT_PATTERN = /^([A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}\*?|\*)$/;
const MAY_HOLD = /^(\*|[a-z][a-z0-9_:.-]*:(\*|[a-z0-9_-]+))$/;

const fieldValue = patterned(
  /^[\x21-\x7e]([\x20-\x7e]{0,998}[\x21-\x7e])?$/,
  'no header field value',
  'printable ASCII without spaces at its ends',
);

/** Shorter is a word, as in `X-Atlassian-Token: no-check`. */
const SECRET_LENGTH = 16;

/** Where an API wants a second key, this is the place that offers itself: the key would be in git, and in answers nobody would look for it. */
function refuseSecrets(set: Readonly<Record<string, string>>, context: Context): void {
  for (const [name, value] of Object.entries(set)) {
    if (!isCredentialField(name.toLowerCase()) || value.length < SECRET_LENGTH) continue;
    context.addIssue({
      code: 'custom',
      message: `'${name}' looks like a credential, and a policy never holds one`,
      params: { fix: "remove it; a service's one secret is named under 'credential'" },
      path: [name],
    });
  }
}

const size = z.union([z.string(), z.number()]).superRefine((value, context) => {
  const bytes = bytesOf(value);
  if (bytes === null)
    complain(context, `${JSON.stringify(value)} is no size`, "write bytes, or a size such as '1MiB' or '64KiB'");
  else if (bytes > 16 * 1_048_576)
    complain(context, 'a rule reads the whole body into memory: 16MiB at most', "write '16MiB' or less");
});

const title = z.string().min(1).max(120);
const description = z.string().min(1).max(2000);

const capability = z
  .strictObject({
    title: title.optional().describe('What it does, in words a reviewer understands.'),
    description: description.optional().describe('More words for reviewers.'),
    allow: entries.describe('The operations that it allows.'),
    deny: entries.optional().describe('Operations that nobody may do at this service, whatever any capability allows.'),
    when: condition.optional().describe('A CEL condition on all that it allows.'),
    limit: limit.optional(),
    approval: approval.optional(),
  })
  .describe('One right.');

const origin = (allowLoopback: boolean) =>
  z.string().superRefine((text, context) => {
    const problem = originProblem(text, allowLoopback);
    if (problem !== null) complain(context, problem.message, problem.fix);
  });

const redirect = z.string().superRefine((text, context) => {
  const problem = originProblem(text, false);
  if (problem === null) return;
  const local = originProblem(text, true) === null;
  if (local)
    complain(context, "a redirect to loopback would lead to the agent's own machine", 'name a public https origin');
  else complain(context, problem.message, problem.fix);
});

const response = z
  .strictObject({
    scrub: z.boolean().optional().describe('Remove the credential from answers; true if absent.'),
    cache: z
      .boolean()
      .optional()
      .describe("Let the upstream's caching fields pass instead of no-store; false if absent."),
    ranges: z
      .boolean()
      .optional()
      .describe('Let Range requests pass; false if absent, since pieces of an echoed key cannot be recognised.'),
    redirects: z.array(redirect).optional().describe('Other origins that a redirect may name.'),
    same_path_pages: z
      .boolean()
      .optional()
      .describe(
        'Whether links to further pages (Link with rel next, prev, first or last) keep the path that was asked; false if absent.',
      ),
  })
  .describe('What happens to answers.');

/** The schema of a service's file. */
export const serviceSchema = (allowLoopback: boolean) =>
  z
    .strictObject({
      service: spelt(SERVICE_ID, 'no service id', SERVICE_ID_FIX).describe('Id: the segment in /proxy/<service>/.'),
      prefix: spelt(SERVICE_ID, 'no capability prefix', SERVICE_ID_FIX)
        .optional()
        .describe('What stands before :name in its capabilities; the id if absent.'),
      title: title.optional().describe('Name for people.'),
      description: description.optional().describe('What the service is.'),
      origin: origin(allowLoopback).describe('Scheme and host of exactly one server: https://api.example.com'),
      credential,
      errors: z
        .enum(ERROR_SHAPES)
        .optional()
        .describe("The shape of errors that the service's SDKs understand; problem if absent."),
      max_body: size.optional().describe("Most that a rule reads of a body: '1MiB' if absent."),
      timeout: duration('15m').optional().describe("Longest wait for the answer's head: '30s' if absent."),
      idle_timeout: duration('15m').optional().describe("Longest silence in an answer's body: '60s' if absent."),
      headers: z
        .strictObject({
          drop: z.array(fieldName).optional().describe('Request fields that are not forwarded.'),
          set: z
            .record(fieldName, fieldValue)
            .superRefine(refuseSecrets)
            .optional()
            .describe('Request fields set unless the client sends its own. Never a secret.'),
        })
        .optional()
        .describe('Request header fields.'),
      response: response.optional(),
      trailing_slash: z.boolean().optional().describe('Whether /x and /x/ are one resource; false if absent.'),
      escaped_slash: z
        .boolean()
        .optional()
        .describe('Whether %2F in a path is a slash to the service; false if absent, and then such a path is refused.'),
      escaped_percent: z
        .boolean()
        .optional()
        .describe(
          'Whether %25 in a path is a percent sign to the service, which decodes a path once; false if absent, and then such a path is refused.',
        ),
      deny: entries.optional().describe('Operations that nobody may do, whatever any capability allows.'),
      capabilities: z
        .record(
          patterned(
            CAPABILITY_NAME,
            'no capability name',
            'begin with a letter; lower case letters, digits, _ and -, parts joined by :',
          ),
          capability,
        )
        .refine((all) => Object.keys(all).length > 0, {
          error: 'a service without capabilities allows nothing\nadd one',
        })
        .describe('Rights by name; a token names them <prefix>:<name>.'),
    })
    .describe('One service: one real API behind exactly one origin.');

/** The schema of agents.yaml. */
export const agentsSchema = z
  .strictObject({
    agents: z
      .array(
        z.strictObject({
          id: spelt(AGENT_PATTERN, 'no agent id', "write an id, or a prefix and '*': 'ci-*'").describe(
            "Agent id, or a prefix that ends in '*'. The first entry that fits decides.",
          ),
          may_hold: z
            .array(spelt(MAY_HOLD, "no capability's name", "write it in full, or '<prefix>:*' or '*'"))
            .describe("Capabilities by full name, '<prefix>:*', or '*'."),
          max_ttl: duration('24h')
            .superRefine((text, context) => {
              const ms = millisecondsOf(text);
              if (ms !== null && ms % 1000 !== 0)
                complain(context, `${text} is no whole number of seconds`, "write '15m'");
            })
            .optional()
            .describe("Longest life of a token: '15m' if absent, at most '24h'."),
          limit: limit.optional().describe('How often the agent may call, all services together.'),
        }),
      )
      .describe('Who may hold what, first match first.'),
  })
  .describe('Which agents may be given tokens, for which capabilities and how long.');

export type WrittenService = z.output<ReturnType<typeof serviceSchema>>;
export type WrittenCapability = z.output<typeof capability>;
export type WrittenEntries = z.output<typeof entries>;
export type WrittenLimit = z.output<typeof limit>;
export type WrittenApproval = z.output<typeof approval>;
export type WrittenAgents = z.output<typeof agentsSchema>;
