import { Readable } from 'node:stream';
import { GetObjectCommand, PutObjectCommand, S3Client, type S3ServiceException } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { refused } from '../../support/client-world.ts';
import { startTestEdge, type TestEdge } from '../../support/edge.ts';
import { readmeExample } from '../../support/readme.ts';
import { answer, startUpstream, type Upstream } from '../../support/upstream.ts';

describe('one bucket by the origin, as policies/README.md pins it', () => {
  let upstream: Upstream;
  let edge: TestEdge;
  let s3: S3Client;

  beforeAll(async () => {
    upstream = await startUpstream(async (req, res, seen) => {
      req.resume();
      await seen.received;
      answer(200, '', { etag: '"1"' })(req, res, seen);
    });
    const policy = parseDocument(readmeExample('service: reports-bucket'));
    policy.set('origin', upstream.origin);
    edge = await startTestEdge({
      policies: { 'reports-bucket.yaml': policy.toString({ lineWidth: 0 }) },
      vars: { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
    });
    s3 = new S3Client({
      endpoint: edge.proxy('reports-bucket'),
      region: 'eu-central-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: {
        accessKeyId: 'PROXY',
        secretAccessKey: 'dummy',
        sessionToken: await edge.mint('reporter', ['reports-bucket:write']),
      },
    });
  });
  afterAll(async () => {
    await edge?.stop();
    await upstream?.stop();
  });

  // To the client the folder stands where a bucket would: the bucket itself is the origin.
  const Bucket = 'reports';

  test.each([
    ['whole', (): string => 'x,y\n1,2\n'],
    ['in chunks', (): Readable => Readable.from(['x,y\n', '1,2\n'])],
  ])('the client writes a report %s, with the token as session token', async (_, body) => {
    await s3.send(new PutObjectCommand({ Bucket, Key: '2026/a b.csv', Body: body(), ContentLength: 8 }));
    const seen = upstream.seen.at(-1);
    expect(seen?.target).toBe('/reports/2026/a%20b.csv?x-id=PutObject');
    expect(seen?.body().toString('utf8')).toBe('x,y\n1,2\n');
    expect(seen?.headers).not.toHaveProperty('x-amz-security-token');
  });

  test.each([
    ['reading it', () => new GetObjectCommand({ Bucket, Key: 'a.csv' })],
    ['publishing it', () => new PutObjectCommand({ Bucket, Key: 'a.csv', Body: 'x', ACL: 'public-read' })],
    ['writing elsewhere', () => new PutObjectCommand({ Bucket: 'others', Key: 'a.csv', Body: 'x' })],
  ])('%s is refused', async (_, command) => {
    const before = upstream.seen.length;
    const error = await refused<S3ServiceException>(() => s3.send(command() as PutObjectCommand));
    expect(error).toMatchObject({ name: 'AccessDenied', $metadata: { httpStatusCode: 403 } });
    expect(upstream.seen.length).toBe(before);
  });
});
