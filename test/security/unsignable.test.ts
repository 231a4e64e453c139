import { Readable } from 'node:stream';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RawResponse } from '../support/raw.ts';
import { upload } from '../support/upstream.ts';
import { AWS_ID, AWS_SECRET, rowOf, rowsOf, startWorld, VARS, type World } from './world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  world = await startWorld({
    policies: (origin) =>
      Object.fromEntries(
        // S3 sends the body on as it comes; any other service has it gathered, to sign its hash.
        [
          ['s3', ', region: us-east-1, service: s3'],
          ['glacier', ', region: us-east-1, service: glacier'],
          ['open', ''],
        ].map(([service, scope]) => [
          `${service}.yaml`,
          `service: ${service}
origin: ${origin}
credential: { scheme: sigv4, accessKeyId: AWS_ID, secretAccessKey: AWS_SECRET${scope} }
errors: s3
timeout: 5s
capabilities:
  put: { allow: ["PUT /{path+}", "GET /{path+}"] }
`,
        ]),
      ),
    vars: VARS,
  });
  world.upstream.handle(upload());
  token = await world.token(['s3:put', 'glacier:put', 'open:put']);
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

const put = (service: string, decodedLength: number, body: string, length = body.length): Promise<RawResponse> =>
  world.call(service, 'PUT', '/bucket/key', {
    token,
    fields: [
      'Content-Encoding: aws-chunked',
      'X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      `X-Amz-Decoded-Content-Length: ${decodedLength}`,
      `Content-Length: ${length}`,
    ],
    body,
  });

describe.each(['s3', 'glacier'])('an aws-chunked upload to %s', (service) => {
  it.each([
    ['in two chunks', 11, '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n', 'hello world'],
    ['with a trailer', 5, '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n', 'hello'],
    ['of an empty object', 0, '0\r\n\r\n', ''],
  ])('%s arrives decoded, with its length and no transfer coding', async (_, length, body, decoded) => {
    const response = await put(service, length, body);
    expect(response.status).toBe(200);
    const [seen] = world.upstream.seen;
    expect(await seen?.received).toBe('whole');
    expect(seen?.body().toString()).toBe(decoded);
    expect(seen?.headers).toMatchObject({ 'content-length': String(length) });
    expect(seen?.headers).not.toHaveProperty('transfer-encoding');
    expect(seen?.headers).not.toHaveProperty('content-encoding');
  });

  it.each([
    ['is cut off after a chunk', 11, '5\r\nhello\r\n'],
    ['is cut off after all its data', 5, '5\r\nhello\r\n'],
    ['is cut off before the end of its trailers', 5, '5\r\nhello\r\n0\r\n'],
    ['ends before its announced length', 11, '5\r\nhello\r\n0\r\n\r\n'],
    ['has a chunk header that is none', 11, 'hello world\r\n0\r\n\r\n'],
    ['has a second chunk header that is none', 11, '5\r\nhello\r\nzz\r\n world\r\n0\r\n\r\n'],
    ['is one shorter than announced', 12, '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'],
    ['is one longer than announced', 10, '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'],
    ['is longer by a chunk of its own', 5, '5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n'],
    ['goes on after its end', 5, '5\r\nhello\r\n0\r\n\r\nmore'],
    ['has a trailer of ours', 5, '5\r\nhello\r\n0\r\nauthorization: x\r\n\r\n'],
    ['is announced as empty and is not', 0, '5\r\nhello\r\n0\r\n\r\n'],
    ['is announced as empty and is garbage', 0, 'garbage\r\n'],
    ['is cut off in its second of many', 200_000, `186a0\r\n${'x'.repeat(100_000)}\r\n186a0\r\n${'x'.repeat(10)}`],
  ])('that %s never becomes a whole request, and the client hears of it', async (_, length, body) => {
    const response = await put(service, length, body);
    expect(response.status).toBe(400);
    expect(response.headers['content-type']).toBe('application/xml');
    expect(response.body.toString()).toContain('The aws-chunked body is malformed, cut off, or not as long as');
    for (const seen of world.upstream.seen) expect(await seen.received).toBe('broken');
    expect(await rowOf(world, response, 'call.failed')).toMatchObject({
      reason: 'request_unsignable',
      detail: { why: expect.stringMatching(/^the aws-chunked body is malformed: /) },
    });
    expect((await rowsOf(world, response)).map((row) => row.event)).toEqual(['call.admitted', 'call.failed']);
    expect(response.wire.includes(AWS_ID) || response.wire.includes(AWS_SECRET)).toBe(false);
  });

  it('works on after them', async () => {
    expect((await put(service, 5, '5\r\nhello\r\n0\r\n\r\n')).status).toBe(200);
  });
});

it('the unmodified S3 SDK uploads a stream whose length it names: S3 takes no chunked coding', async () => {
  const s3 = new S3Client({
    endpoint: world.edge.proxy('s3'),
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'PROXY', secretAccessKey: 'dummy', sessionToken: token },
    maxAttempts: 1,
  });
  await s3.send(
    new PutObjectCommand({ Bucket: 'bucket', Key: 'key', Body: Readable.from(['he', 'llo']), ContentLength: 5 }),
  );
  const [seen] = world.upstream.seen;
  expect(seen?.headers).toMatchObject({ 'content-length': '5' });
  expect(seen?.headers).not.toHaveProperty('transfer-encoding');
  expect(seen?.body().toString()).toBe('hello');
});

it('a presigned URL names region and service, where the policy leaves them open', async () => {
  const scope = encodeURIComponent('PROXY/20260101/eu-west-3/s3/aws4_request');
  const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${scope}&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=${'0'.repeat(64)}`;
  const response = await world.call('open', 'GET', `/bucket/key?${query}`, { token });
  expect(response.status, response.body.toString()).toBe(200);
  expect(world.upstream.seen[0]?.headers['authorization']).toContain('/eu-west-3/s3/aws4_request');
});

it('a request for which nobody names region and service hears that, and nothing about a body', async () => {
  const response = await world.call('open', 'GET', '/bucket/key', { token });
  expect(response.status).toBe(400);
  expect(response.body.toString()).toContain('Neither the policy nor the request names the region and the service');
  expect(response.body.toString()).not.toMatch(/body/i);
  expect(world.upstream.seen).toEqual([]);
  expect(await rowOf(world, response, 'call.failed')).toMatchObject({
    reason: 'request_unsignable',
    detail: { why: expect.stringContaining('names a region and a service') },
  });
});
