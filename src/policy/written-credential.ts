import { z } from 'zod';
import { complain, fieldName, patterned, spelt } from './written-leaves.ts';

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

export const credential = z
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
