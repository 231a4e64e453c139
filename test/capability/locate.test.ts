import { describe, expect, it } from 'vitest';
import { locateToken } from '../../src/capability/locate.ts';

const T = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln';
const OTHER = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJiIn0.c2ln';
const basic = (pair: string): string => `Basic ${btoa(pair)}`;
const nowhere = { header: null, queryParam: null };

describe("the token is found where an SDK puts the vendor's key", () => {
  const places: [string, Record<string, string>][] = [
    ['Bearer', { authorization: `Bearer ${T}` }],
    ['bearer in lower case', { authorization: `bearer ${T}` }],
    ['token, as Octokit sends it', { authorization: `token ${T}` }],
    ['bare, as Linear sends it', { authorization: T }],
    ['Basic user name, as curl -u sends it', { authorization: basic(`${T}:`) }],
    ['Basic password, as git and Twilio send it', { authorization: basic(`x-access-token:${T}`) }],
    ['Basic password of a user name that begins like one', { authorization: basic(`eyJulia:${T}`) }],
    ['Basic password of no user name', { authorization: basic(`:${T}`) }],
    ['Basic without a colon', { authorization: basic(T) }],
    ['x-api-key, as Anthropic sends it', { 'x-api-key': T }],
    ['x-goog-api-key', { 'x-goog-api-key': T }],
    ['api-key, as Azure has it', { 'api-key': T }],
    [
      'the session token of SigV4',
      {
        authorization:
          'AWS4-HMAC-SHA256 Credential=PROXY/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00',
        'x-amz-security-token': T,
      },
    ],
    [
      'the access key id of SigV4',
      {
        authorization: `AWS4-HMAC-SHA256 Credential=${T}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00`,
      },
    ],
  ];
  it.each(places)('%s', (_, fields) => {
    expect(locateToken(new Headers(fields), '', nowhere)).toEqual({ ok: true, value: T });
  });

  it.each([
    ['the session token of a presigned URL', `X-Amz-Credential=PROXY%2F20260101%2Fr%2Fs3&X-Amz-Security-Token=${T}`],
    ['the access key id of a presigned URL', `a=1&X-Amz-Credential=${T}%2F20260101%2Fr%2Fs3%2Faws4_request`],
  ])('%s', (_, query) => {
    expect(locateToken(new Headers(), query, nowhere)).toEqual({ ok: true, value: T });
  });

  it("the header and the query parameter of the service's own scheme", () => {
    expect(locateToken(new Headers({ 'x-vendor-key': T }), '', { header: 'x-vendor-key', queryParam: null })).toEqual({
      ok: true,
      value: T,
    });
    expect(locateToken(new Headers(), `a=1&key=${T}`, { header: null, queryParam: 'key' })).toEqual({
      ok: true,
      value: T,
    });
    expect(locateToken(new Headers(), `a=1&key=${T}`, nowhere)).toMatchObject({
      ok: false,
      error: { kind: 'token_missing' },
    });
  });

  it.each([
    ['x-vendor-key', 'Key ', `Key ${T}`],
    ['x-vendor-key', 'Key ', `key ${T}`],
    ['x-vendor-key', 'Key ', `Key   ${T}`],
    ['x-vendor-key', 'Key ', T],
    ['authorization', 'SSWS ', `SSWS ${T}`],
    ['authorization', 'Bot ', `Bot  ${T}`],
    ['authorization', 'SSWS ', `Bearer ${T}`],
  ])("behind the prefix of the policy's own scheme, or without it: %s with %j", (header, prefix, value) => {
    expect(locateToken(new Headers({ [header]: value }), '', { header, prefix, queryParam: null })).toEqual({
      ok: true,
      value: T,
    });
  });

  it("in the usual places, too, when the service's scheme has a place of its own", () => {
    const places = { header: 'x-vendor-key', queryParam: 'key' };
    for (const name of ['x-api-key', 'x-goog-api-key', 'x-amz-security-token', 'api-key'])
      expect(locateToken(new Headers({ [name]: T }), '', places), name).toEqual({ ok: true, value: T });
  });

  it('the same token in two places is one token', () => {
    expect(locateToken(new Headers({ authorization: `Bearer ${T}`, 'x-api-key': T }), '', nowhere)).toEqual({
      ok: true,
      value: T,
    });
  });
});

describe('threat 14: what comes is refused', () => {
  const table: [string, Record<string, string>, string][] = [
    ['when nothing comes', {}, 'token_missing'],
    ["when a vendor's key comes (bring your own key)", { authorization: 'Bearer sk_live_123' }, 'token_malformed'],
    ['when two different tokens come', { authorization: `Bearer ${T}`, 'x-api-key': OTHER }, 'token_ambiguous'],
    ['when Basic is no base64', { authorization: 'Basic %%%' }, 'token_malformed'],
    ['when Basic holds a name and a password', { authorization: basic('mallory:secret') }, 'token_malformed'],
    ['when Basic holds no colon', { authorization: basic('mallory') }, 'token_malformed'],
    ['when it stands behind a scheme that nobody knows', { authorization: `Digest ${T}` }, 'token_malformed'],
    ['when the field is empty', { authorization: '', 'x-api-key': '' }, 'token_missing'],
    [
      'when only a SigV4 dummy comes',
      {
        authorization:
          'AWS4-HMAC-SHA256 Credential=PROXY/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00',
      },
      'token_missing',
    ],
  ];
  it.each(table)('%s', (_, fields, kind) => {
    expect(locateToken(new Headers(fields), '', nowhere)).toMatchObject({ ok: false, error: { kind } });
  });

  it('as either of two when the field comes twice: one odd text is handed on, which is no compact JWS', () => {
    const twice = new Headers({ authorization: `Bearer ${T}, Bearer ${OTHER}` });
    expect(locateToken(twice, '', nowhere)).toEqual({ ok: true, value: `${T}, Bearer ${OTHER}` });
  });

  it("when one token comes where the service's scheme has it and another in a usual place", () => {
    for (const name of ['authorization', 'x-api-key', 'x-goog-api-key', 'x-amz-security-token', 'api-key'])
      expect(
        locateToken(new Headers({ 'x-vendor-key': T, [name]: OTHER }), '', {
          header: 'x-vendor-key',
          queryParam: null,
        }),
        name,
      ).toMatchObject({ ok: false, error: { kind: 'token_ambiguous' } });
  });
});
