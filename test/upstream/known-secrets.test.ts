import { expect, it } from 'vitest';
import type { CredentialSpec, PolicyBundle } from '../../src/policy/ruled.ts';
import { credentialMask } from '../../src/upstream/known-secrets.ts';

const bundleOf = (...credentials: CredentialSpec[]): PolicyBundle =>
  ({ services: Object.fromEntries(credentials.map((credential, i) => [`service-${i}`, { credential }])) }) as never;

it('what people see holds the credential of no service, whichever it was meant for, and though another one is missing', () => {
  const mask = credentialMask(
    { BANK_KEY: 'bank_0123456789', MAIL_KEY: 'mail_0123456789', AWS_ID: 'AKIDEXAMPLE', AWS_SECRET: 'aws_0123456789' },
    bundleOf(
      { scheme: 'bearer', secret: 'BANK_KEY' },
      { scheme: 'bearer', secret: 'MISSING_KEY' },
      { scheme: 'header', header: 'x-key', prefix: '', secret: 'MAIL_KEY' },
      {
        scheme: 'sigv4',
        accessKeyId: 'AWS_ID',
        secretAccessKey: 'AWS_SECRET',
        sessionToken: null,
        region: null,
        service: null,
      },
    ),
  );
  expect(mask('mail_0123456789 bank_0123456789 mail%5F0123456789 AKIDEXAMPLE aws_0123456789 and more')).toBe(
    `${'[redacted] '.repeat(5)}and more`,
  );
});
