import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CanonicalPath } from '../../src/access.ts';
import { sha256Hex } from '../../src/lib/digest.ts';
import { fieldsOf } from '../../src/lib/fields.ts';
import { Credential } from '../../src/upstream/credential.ts';
import type { OutgoingRequest } from '../../src/upstream/outgoing.ts';
import { signSigV4 } from '../../src/upstream/schemes/sigv4.ts';

const SUITE = join(import.meta.dirname, '../data/aws-sig-v4-test-suite');
const NOW = Date.UTC(2015, 7, 30, 12, 36, 0);

/** What cannot be asked of a signer that sits behind `Headers`, a canonical path and a fresh date, and why. */
const INEXPRESSIBLE: Record<string, string> = {
  'get-header-key-duplicate': 'Headers joins duplicates with ", ", the vector with ","',
  'get-header-value-order': 'Headers joins duplicates with ", ", the vector with ","',
  'get-header-value-multiline': 'obs-fold (RFC 9112 §5.2) is refused before; the vector joins the lines with ","',
  'get-utf8': 'the vector escapes the path once, which only S3 does; the vector is not for S3',
  'get-space': 'the vector escapes the path once, which only S3 does; the vector is not for S3',
  'post-sts-header-after': 'the vector adds the session token after signing; we always sign it',
};
/** What must not be signed at all: our canonical path has no dot segments, and we would send other bytes than we sign. */
const REFUSED = new Set(['get-relative', 'get-relative-relative', 'get-slash-dot-slash', 'get-slash-pointless-dot']);

const vectors = readdirSync(SUITE, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.req'))
  .map((file) => ({ name: basename(file, '.req'), folder: join(SUITE, dirname(file)) }));

function requestOf(text: string): { request: OutgoingRequest; body: string; token: string | null } {
  const [head = '', body = ''] = text.split(/\r?\n\r?\n/, 2);
  const [line = '', ...fields] = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  const [, method = '', target = ''] = /^(\S+) (.*) HTTP\/1\.1$/.exec(line) ?? [];
  const [path = '', query = ''] = target.split('?', 2);
  const headers = new Headers();
  let token: string | null = null;
  for (const field of fields) {
    const [name = '', value = ''] = [field.slice(0, field.indexOf(':')), field.slice(field.indexOf(':') + 1)];
    if (/^x-amz-security-token$/i.test(name)) token = value;
    else if (!/^(host|x-amz-date)$/i.test(name)) headers.append(name, value.trim());
  }
  const request = {
    method,
    origin: 'https://example.amazonaws.com',
    path: encodeURI(path) as CanonicalPath,
    query: encodeURI(query),
    fields: fieldsOf(headers),
    body: null,
    bodyLength: null,
  };
  return { request, body, token };
}

describe('the AWS Signature Version 4 test suite', () => {
  it('is there, whole', () => expect(vectors.length).toBe(31));

  for (const { name, folder } of vectors) {
    const reason = INEXPRESSIBLE[name];
    if (reason !== undefined) {
      it.skip(`${name}: ${reason}`, () => {});
      continue;
    }
    it(REFUSED.has(name) ? `${name} is refused, not normalised` : name, async () => {
      const { request, body, token } = requestOf(readFileSync(join(folder, `${name}.req`), 'utf8'));
      const credentials = {
        kind: 'aws',
        accessKeyId: new Credential('AKIDEXAMPLE'),
        secretAccessKey: new Credential('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'),
        sessionToken: token === null ? null : new Credential(token),
      } as const;
      const signed = await signSigV4(
        request,
        sha256Hex(body),
        { region: 'us-east-1', service: 'service' },
        credentials,
        NOW,
        () => true,
      );
      if (REFUSED.has(name)) {
        expect(signed).toMatchObject({ ok: false, error: { code: 'request_unsignable' } });
        return;
      }
      if (!signed.ok) throw new Error(signed.error.detail);
      expect(signed.value.fields.get('authorization')).toBe(readFileSync(join(folder, `${name}.authz`), 'utf8').trim());
      expect(signed.value.fields.get('x-amz-date')).toBe('20150830T123600Z');
      expect(signed.value.fields.get('x-amz-security-token') ?? null).toBe(token);
    });
  }
});
