import { z } from 'zod';
import { checkCondition } from './conditions.ts';
import { isCredentialField } from './facts.ts';
import { originProblem } from './origin.ts';
import { bytesOf, DURATION_PATTERN, millisecondsOf, RATE_PATTERN } from './quantity.ts';
import { ERROR_SHAPES } from './ruled.ts';
import { operationsOf } from './template.ts';

/**
 * A policy as people write it, field by field. Every object is strict: a field that is not named here is an error.
 * Leaves check themselves, so that one reading finds all that is wrong. A check says what is wrong and how to mend it
 * through `complain`; the words for plain type errors are in `schema-problems.ts`.
 */

/** What a check adds to an issue besides its message. */
export interface Complaint {
  readonly fix: string;
  /** Where in the string, in UTF-16 units. */
  readonly offset?: number;
}

type Context = z.core.$RefinementCtx<unknown>;

function complain(context: Context, message: string, fix: string, offset?: number): void {
  context.addIssue({ code: 'custom', message, params: { fix, ...(offset === undefined ? {} : { offset }) } });
}

const patterned = (pattern: RegExp, message: string, fix: string) =>
  z.string().regex(pattern, { error: `${message}\n${fix}` });

/** The same, saying what was written: for what is never a secret. */
const spelt = (pattern: RegExp, what: string, fix: string) =>
  z.string().regex(pattern, { error: ({ input }) => `'${String(input).slice(0, 60)}' is ${what}\n${fix}` });

const SERVICE_ID = /^(?=.{1,64}$)[a-z][a-z0-9]*([-_:.][a-z0-9]+)*$/;
const SERVICE_ID_FIX = 'lower case letters and digits, joined by single - _ : or ., at most 64 characters';
const CAPABILITY_NAME = /^[a-z][a-z0-9_-]*(:[a-z0-9_-]+)*$/;
const AGENT_PATTERN = /^([A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}\*?|\*)$/;
const MAY_HOLD = /^(\*|[a-z][a-z0-9_:.-]*:(\*|[a-z0-9_-]+))$/;

/** Bindings of the Worker that are no upstream's credential: a policy that named them would send them away. */
const OWN_BINDING = /^(KEYWARDEN_|CLOUDFLARE_|(DB|LEDGER|DIRECTORY|APPROVALS|ASSETS)$)/;

const secretName = patterned(
  /^[A-Z][A-Z0-9_]*$/,
  'a secret is named by capital letters, digits and _, never given itself',
  'write the name of a Worker secret, such as STRIPE_KEY',
).superRefine((name, context) => {
  if (OWN_BINDING.test(name))
    complain(context, `${name} is Keywarden's own, and no upstream's credential`, 'name another secret');
});

/** Fields that the edge itself owns (RFC 9110 §7.6.1, message framing, routing). */
const OWN_FIELD =
  /^(connection|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade|host|content-length|expect|via|forwarded|x-forwarded-.*|x-real-ip|cf-.*|cookie)$/;

const fieldName = patterned(
  /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/,
  'no header field name',
  'write an RFC 9110 token, such as X-Api-Key',
).superRefine((name, context) => {
  if (OWN_FIELD.test(name.toLowerCase()))
    complain(context, `'${name}' is set by the edge and by nobody else`, 'remove it');
});

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

const duration = (max: string) =>
  spelt(DURATION_PATTERN, 'no duration', "write a number and its unit, such as '30s', '15m' or '1h'").superRefine(
    (text, context) => {
      const ms = millisecondsOf(text);
      if (ms !== null && ms > (millisecondsOf(max) ?? 0))
        complain(context, `${text} is more than ${max}`, `write at most '${max}'`);
    },
  );

const size = z.union([z.string(), z.number()]).superRefine((value, context) => {
  const bytes = bytesOf(value);
  if (bytes === null)
    complain(context, `${JSON.stringify(value)} is no size`, "write bytes, or a size such as '1MiB' or '64KiB'");
  else if (bytes > 16 * 1_048_576)
    complain(context, 'a rule reads the whole body into memory: 16MiB at most', "write '16MiB' or less");
});

const condition = z
  .string()
  .superRefine((text, context) => {
    const checked = checkCondition(text);
    if (!checked.ok) complain(context, checked.error.message, checked.error.fix, checked.error.offset);
  })
  .describe(
    'A CEL condition over method, path, params, query, headers, body, agent, session and now. What cannot be evaluated (a missing field, another type) denies.',
  );

const operation = z
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
const entries = z.union([
  operation,
  conditionalOperation,
  z.array(entry).min(1, { error: 'the list is empty\nwrite an operation, or remove the field' }),
]);

const rate = spelt(RATE_PATTERN, 'no rate', "write calls per period: '10/s', '60/min', '500/h' or '1000/day'");

const limit = z
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

const approval = z
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

const credential = z
  .discriminatedUnion('scheme', [
    z.strictObject({
      scheme: z.literal('bearer').describe('Authorization: Bearer <secret>'),
      secret: secretName.describe('Name of the Worker secret.'),
    }),
    z.strictObject({
      scheme: z.literal('header').describe('A field of its own'),
      header: fieldName.describe('Field name, such as x-api-key.'),
      secret: secretName.describe('Name of the Worker secret.'),
      prefix: z
        .string()
        .regex(/^[\x20-\x7e]{0,100}$/, { error: 'the prefix is not printable ASCII\ncorrect it' })
        .optional()
        .describe("Text before the secret, such as 'token '."),
    }),
    z.strictObject({
      scheme: z.literal('basic').describe('Authorization: Basic (RFC 7617)'),
      secret: secretName.describe('Name of the Worker secret: the password, or the user name when username is absent.'),
      username: z
        .string()
        .regex(/^[\x20-\x39\x3b-\x7e]{1,200}$/, {
          error: 'the user name holds a colon, or is not printable ASCII\ncorrect it (RFC 7617 §2)',
        })
        .optional()
        .describe('User name; without it the secret is the user name and the password is empty.'),
    }),
    z.strictObject({
      scheme: z.literal('query').describe('A query parameter'),
      param: spelt(/^[A-Za-z0-9._~-]{1,100}$/, 'no query parameter name', 'letters, digits and ._~- only').describe(
        'Name of the parameter.',
      ),
      secret: secretName.describe('Name of the Worker secret.'),
    }),
    z.strictObject({
      scheme: z.literal('sigv4').describe('AWS Signature Version 4'),
      accessKeyId: secretName.describe('Name of the Worker secret that holds the access key id.'),
      secretAccessKey: secretName.describe('Name of the Worker secret that holds the secret access key.'),
      sessionToken: secretName.optional().describe('Name of the Worker secret that holds a session token.'),
      region: spelt(/^[a-z0-9-]{1,40}$/, 'no region', "write it as AWS does: 'eu-central-1'")
        .optional()
        .describe("Region; else the client's own scope decides."),
      service: spelt(/^[a-z0-9-]{1,40}$/, 'no AWS service', "write it as AWS does: 's3'")
        .optional()
        .describe("AWS service; else the client's own scope decides."),
    }),
  ])
  .describe('How the real credential is put into the request. Holds names of secrets, never secrets.');

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
