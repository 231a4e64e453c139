import { format, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { CredentialSpec, PolicyBundle } from '../../src/policy/ruled.ts';
import { secretNamesOf } from '../../src/policy/secret-names.ts';
import { Credential } from '../../src/upstream/credential.ts';
import { missingSecrets, readCredentials } from '../../src/upstream/secrets.ts';

const VALUE = 'sk_test_canary_4eC39Hq';
const bearer: CredentialSpec = { scheme: 'bearer', secret: 'VENDOR_KEY' };
const sigv4: CredentialSpec = {
  scheme: 'sigv4',
  accessKeyId: 'AWS_ID',
  secretAccessKey: 'AWS_SECRET',
  sessionToken: null,
  region: null,
  service: null,
};

describe('threat 4: a credential prints as [credential]', () => {
  const credential = new Credential(VALUE);
  for (const [how, printed] of Object.entries({
    String: String(credential),
    template: `${credential}`,
    concatenation: `${credential as unknown as string}`,
    JSON: JSON.parse(JSON.stringify(credential)),
    inspect: inspect(credential, { showHidden: true, depth: 9 }),
    'console format': format('%s', credential),
  })) {
    it(how, () => expect(printed).toBe('[credential]'));
  }
  it('inside objects, errors and copies too', () => {
    const held = { a: [{ credential }], map: new Map([['k', credential]]) };
    const error = new Error('x', { cause: held });
    for (const text of [
      inspect(held, { depth: 9, showHidden: true }),
      JSON.stringify(held),
      inspect(error, { depth: 9 }),
      format('%j %o %O', held, held, held),
    ]) {
      expect(text).not.toContain('canary');
    }
    expect(JSON.stringify(Object.entries(credential))).toBe('[]');
    expect(structuredClone(credential)).toEqual({});
    expect(`${credential + ('' as never)}`).toBe('[credential]');
  });
  it('and is revealed by that name only', () => expect(credential.reveal()).toBe(VALUE));
});

describe('reading secrets', () => {
  it('of two schemes with one secret each has its own spelling of it', () => {
    const env = { VENDOR_KEY: 'sk test+canary/4eC39Hq' };
    const read = (spec: CredentialSpec) => {
      const done = readCredentials(env, spec);
      if (!done.ok || done.value.kind !== 'single') throw new Error('unread');
      return done.value.asSent?.reveal();
    };
    const basic = (username: string): CredentialSpec => ({ scheme: 'basic', secret: 'VENDOR_KEY', username });
    const specs: CredentialSpec[] = [
      bearer,
      { scheme: 'query', param: 'key', secret: 'VENDOR_KEY' },
      basic('me'),
      basic('you'),
    ];
    const sent = specs.map(read);
    expect(sent[0]).toBeUndefined();
    expect(new Set(sent).size).toBe(4);
    expect(specs.map(read)).toEqual(sent);
  });

  it('each of the three of AWS may be rotated alone', () => {
    const env: Record<string, string> = {
      AWS_ID: 'AKIDEXAMPLE',
      AWS_SECRET: 'wJalrXUtnFEMI',
      AWS_SESSION: 'session-1',
    };
    const spec: CredentialSpec = { ...sigv4, sessionToken: 'AWS_SESSION' };
    const read = () => {
      const done = readCredentials(env, spec);
      if (!done.ok || done.value.kind !== 'aws') throw new Error('unread');
      const { accessKeyId, secretAccessKey, sessionToken } = done.value;
      return [accessKeyId, secretAccessKey, sessionToken].map((one) => one?.reveal());
    };
    for (const name of Object.keys(env)) {
      read();
      env[name] = `rotated-${name}`;
      expect(read()).toEqual(Object.values(env));
    }
  });

  it('gives the same object while the values are the same, and another after a rotation', () => {
    const env: Record<string, string> = { VENDOR_KEY: VALUE, AWS_ID: 'AKIDEXAMPLE', AWS_SECRET: 'wJalrXUtnFEMI' };
    const first = readCredentials(env, bearer);
    const again = readCredentials(env, { ...bearer });
    if (!first.ok || !again.ok) throw new Error('unread');
    expect(again.value).toBe(first.value);
    env.VENDOR_KEY = 'sk_test_rotated';
    const rotated = readCredentials(env, bearer);
    if (!rotated.ok || rotated.value.kind !== 'single') throw new Error('unread');
    expect(rotated.value).not.toBe(first.value);
    expect(rotated.value.secret.reveal()).toBe('sk_test_rotated');
    const aws = readCredentials(env, sigv4);
    expect(aws).toMatchObject({ ok: true, value: { kind: 'aws', sessionToken: null } });
    const awsAgain = readCredentials(env, { ...sigv4 });
    expect(awsAgain.ok && awsAgain.value).toBe(aws.ok && aws.value);
  });

  it('takes a value of six characters, and of 4096, and none beyond', () => {
    const takes = (length: number): boolean =>
      readCredentials({ VENDOR_KEY: 'x1'.repeat(3000).slice(0, length) }, bearer).ok;
    expect([5, 6, 4096, 4097].map(takes)).toEqual([false, true, true, false]);
  });

  it.each<[unknown, string]>([
    [undefined, 'is missing'],
    [null, 'is missing'],
    [{}, 'is not a text binding'],
    ['', 'is empty'],
    [' key', 'begins or ends with white space'],
    ['sk_\u0007_key', 'holds a control character'],
    ['sk_key_\u00e9', 'holds a character outside printable ASCII'],
    ['changeme', 'is a placeholder'],
  ])('says of %j what is wrong with it', (value, what) => {
    const read = readCredentials({ VENDOR_KEY: value }, bearer);
    expect(read.ok ? '' : read.error.detail).toContain(`secret VENDOR_KEY ${what}`);
  });

  for (const [what, value] of Object.entries({
    missing: undefined,
    null: null,
    'not text': { toString: (): string => VALUE },
    empty: '',
    'a space before': ` ${VALUE}`,
    'a line end after': `${VALUE}\n`,
    'a line end inside': `sk_canary\r\nx: y`,
    NUL: 'sk_canary\u0000x',
    'not ASCII': 'sk_canary_\u00e9',
    'too short': 'ab12c',
    'too long': 'x1'.repeat(5000),
    'a placeholder in angle brackets': '<your key here>',
    changeme: 'changeme',
    CHANGE_ME: 'CHANGE_ME',
    'your-api-key': 'your-api-key',
    xxxxxxxx: 'xxxxxxxx',
    'replace-me': 'replace-me',
    '${VENDOR_KEY}': '${VENDOR_KEY}',
    'sk_test_...': 'sk_test_...',
    'key-goes-here': 'key-goes-here',
  })) {
    it(`refuses a value that is ${what}, naming the secret and the mend and not the value`, () => {
      const read = readCredentials({ VENDOR_KEY: value }, bearer);
      if (read.ok) throw new Error('was read');
      expect(read.error.code).toBe('environment_broken');
      expect(read.error.detail).toContain('wrangler secret put VENDOR_KEY');
      expect(read.error.detail).toContain('--vars');
      expect(read.error.detail).not.toContain('canary');
      if (typeof value === 'string' && value !== '' && !value.includes('VENDOR_KEY'))
        expect(read.error.detail).not.toContain(value);
    });
  }
  it('refuses a colon where the secret is the user name, which would end there (RFC 7617 §2)', () => {
    const env = { VENDOR_KEY: 'account:password1' };
    const basic = (username: string | null): CredentialSpec => ({ scheme: 'basic', secret: 'VENDOR_KEY', username });
    const read = readCredentials(env, basic(null));
    expect(read).toMatchObject({ ok: false, error: { code: 'environment_broken' } });
    expect(read.ok ? '' : read.error.detail).toMatch(/^secret VENDOR_KEY holds a colon.*`username`/);
    expect(read.ok ? '' : read.error.detail).not.toContain('password1');
    const bundle = { services: { a: { credential: basic(null) } } } as unknown as PolicyBundle;
    expect(missingSecrets(env, bundle).map((problem) => problem.secret)).toEqual(['VENDOR_KEY']);
    expect(readCredentials(env, basic('robot')).ok).toBe(true);
    expect(readCredentials(env, bearer).ok).toBe(true);
  });

  it('reads own bindings only', () => {
    expect(readCredentials({}, { scheme: 'bearer', secret: 'constructor' }).ok).toBe(false);
    expect(readCredentials({}, { scheme: 'bearer', secret: '__proto__' }).ok).toBe(false);
  });
  for (const value of [
    'sk_live_51Habc',
    'ghp_16C7e42F292c6912E7',
    'test:tester',
    'example.com:password1',
    'xoxb-1234-abcd',
    'yourstruly1',
  ]) {
    it(`does not take ${value} for a placeholder`, () =>
      expect(readCredentials({ VENDOR_KEY: value }, bearer).ok).toBe(true));
  }

  it('tells at start-up of every secret that is missing, once', () => {
    const bundle = {
      services: { a: { credential: bearer }, b: { credential: sigv4 }, c: { credential: bearer } },
    } as unknown as PolicyBundle;
    expect(missingSecrets({ AWS_ID: 'AKIDEXAMPLE', AWS_SECRET: '' }, bundle).map((problem) => problem.secret)).toEqual([
      'VENDOR_KEY',
      'AWS_SECRET',
    ]);
    expect(missingSecrets({ VENDOR_KEY: VALUE, AWS_ID: 'AKIDEXAMPLE', AWS_SECRET: 'wJalrXUtnFEMI' }, bundle)).toEqual(
      [],
    );
    expect(secretNamesOf({ ...sigv4, sessionToken: 'AWS_SESSION' } as CredentialSpec)).toEqual([
      'AWS_ID',
      'AWS_SECRET',
      'AWS_SESSION',
    ]);
  });
});
