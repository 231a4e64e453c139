import { createHash, randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectAclCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promisesKept, refused, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { startGate } from '../../support/gate.ts';
import { type Swift, startSwift } from '../../support/swift.ts';

const Bucket = 'agent-bucket';
/** Keys that are spelled differently in a path, in a signature and in a listing. */
const KEYS = [
  'plain.txt',
  'dir with space/ünï+x.txt',
  "odd/!*'():@&=$,~ [x]#?.bin",
  '日本/ファイル 100.txt',
  'folder/',
];

describe('the official @aws-sdk/client-s3 client through the edge, before OpenStack Swift', () => {
  let world: World;
  let swift: Swift;
  let token: string;

  interface Options extends S3ClientConfig {
    readonly service?: string;
    readonly attempts?: number | undefined;
  }

  type Credentials = NonNullable<S3ClientConfig['credentials']>;

  /** The capability token travels as the session token; the keys that the client signs with are dummies. */
  const bySession = (secret: string): Credentials => ({
    accessKeyId: 'PROXY',
    secretAccessKey: 'dummy',
    sessionToken: secret,
  });
  const byAccessKeyId = (secret: string): Credentials => ({ accessKeyId: secret, secretAccessKey: 'dummy' });

  function client(
    credentials: Credentials,
    { service = world.service, attempts = 1, ...more }: Options = {},
  ): S3Client {
    return new S3Client({
      endpoint: world.edge.proxy(service),
      region: 'us-east-1',
      forcePathStyle: true,
      credentials,
      maxAttempts: attempts,
      ...more,
    });
  }

  /** `<bucket>.localhost`, as browsers resolve it (RFC 6761 §6.3); not every libc does. */
  const virtualHost = (secret: string): S3Client =>
    client(bySession(secret), {
      endpoint: `http://localhost:${world.edge.port}/proxy/s3`,
      forcePathStyle: false,
      requestHandler: {
        httpAgent: new Agent({
          lookup: (_name, options, done) =>
            options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4),
        }),
      },
    });

  /** Everything that the policy offers; limits are an agent's own. */
  const full = (agent: string): Promise<string> =>
    world.edge.mint(
      agent,
      ['list_buckets', 'list_objects', 'read_object', 'write_object', 'upload_parts', 'delete_object'].map(
        (c) => `aws:s3:${c}`,
      ),
    );

  const read = async (s3: S3Client, Key: string): Promise<Buffer> =>
    Buffer.from((await (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToByteArray()) ?? []);

  beforeAll(async () => {
    swift = await startSwift();
    const direct = new S3Client({
      endpoint: swift.origin,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: swift,
      maxAttempts: 5,
    });
    await direct.send(new CreateBucketCommand({ Bucket }));
    const gate = await startGate({
      to: swift.origin,
      opens: ({ headers }) => /^AWS4-HMAC-SHA256 Credential=test:tester\//.test(headers.authorization ?? ''),
    });
    world = await startWorld({
      service: 's3',
      gate,
      vars: { AWS_ACCESS_KEY_ID: swift.accessKeyId, AWS_SECRET_ACCESS_KEY: swift.secretAccessKey },
      onceAnHour: ['list_buckets'],
      behind: [swift],
    });
    token = await full('archivist');
  });
  afterAll(() => world?.stop());

  test('Swift itself refuses a wrong key: what passes below passes because the edge signed anew', async () => {
    const wrong = new S3Client({
      endpoint: swift.origin,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: swift.accessKeyId, secretAccessKey: 'wrong' },
      maxAttempts: 1,
    });
    expect(await refused(() => wrong.send(new ListBucketsCommand({})))).toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
  });

  describe.each([
    ['the token as session token', (own: string): S3Client => client(bySession(own))],
    ['the token as access key id', (own: string): S3Client => client(byAccessKeyId(own))],
    ['virtual-host style, bucket.localhost', (own: string): S3Client => virtualHost(own)],
  ])('%s', (name, makeWith) => {
    let own: string;
    beforeAll(async () => {
      own = await full(name.replaceAll(/\W+/g, '-'));
    });
    const make = (): S3Client => makeWith(own);

    test('lists the buckets', async () => {
      expect((await make().send(new ListBucketsCommand({}))).Buckets?.map((b) => b.Name)).toEqual([Bucket]);
    });

    test.each(KEYS)('writes, finds, reads and deletes %j', async (Key) => {
      const s3 = make();
      const Body = Key.endsWith('/') ? '' : `contents of ${Key}, ${name}`;
      await s3.send(
        new PutObjectCommand({
          Bucket,
          Key,
          Body,
          ContentLength: Buffer.byteLength(Body),
          ContentType: 'text/plain',
          Metadata: { origin: 'agent' },
        }),
      );
      expect((await s3.send(new ListObjectsV2Command({ Bucket }))).Contents?.map((c) => c.Key)).toContain(Key);
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
      expect(head).toMatchObject({
        ContentLength: Buffer.byteLength(Body),
        ContentType: 'text/plain',
        Metadata: { origin: 'agent' },
      });
      expect((await read(s3, Key)).toString('utf8')).toBe(Body);
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
      expect(await refused(() => read(s3, Key))).toMatchObject({ name: 'NoSuchKey' });
    });

    test('uploads a stream, which comes in chunks (aws-chunked with a trailer) and is stored without them', async () => {
      const s3 = make();
      const content = randomBytes(300_000);
      const pieces = [content.subarray(0, 10), content.subarray(10, 200_001), content.subarray(200_001)];
      await s3.send(
        new PutObjectCommand({ Bucket, Key: 'stream.bin', Body: Readable.from(pieces), ContentLength: content.length }),
      );
      expect(world.gate.seen.at(-1)?.headers['x-amz-content-sha256']).not.toMatch(/^STREAMING/);
      expect(digest(await read(s3, 'stream.bin'))).toBe(digest(content));
    });
  });

  test('reads a range', async () => {
    const s3 = client(bySession(token));
    await s3.send(new PutObjectCommand({ Bucket, Key: 'digits', Body: '0123456789' }));
    const part = await s3.send(new GetObjectCommand({ Bucket, Key: 'digits', Range: 'bytes=2-4' }));
    expect(await part.Body?.transformToString()).toBe('234');
    expect(part.ContentRange).toBe('bytes 2-4/10');
  });

  test.each(['a/../b', 'a//b', '/a', 'a;v=1', '100%', 'back\\slash', 'line\nbreak'])(
    'refuses the key %j, which two readers of a path could take for different keys',
    async (Key) => {
      const before = world.gate.seen.length;
      const error = await refused<S3ServiceException>(() =>
        client(bySession(token)).send(new PutObjectCommand({ Bucket, Key, Body: 'x' })),
      );
      expect(error).toBeInstanceOf(S3ServiceException);
      expect(error).toMatchObject({ name: 'InvalidRequest', $metadata: { httpStatusCode: 400 } });
      expect(error.message).toContain('The path has no canonical form');
      expect(world.gate.seen.length).toBe(before);
    },
  );

  test('lists by prefix and delimiter, page by page', async () => {
    const s3 = client(bySession(token));
    for (const Key of ['tree/a b/1', 'tree/a b/2', 'tree/ü+/3'])
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    const folders = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'tree/', Delimiter: '/' }));
    expect(folders.CommonPrefixes?.map((p) => p.Prefix)).toEqual(['tree/a b/', 'tree/ü+/']);
    const keys: (string | undefined)[] = [];
    let next: string | undefined;
    do {
      const page = await s3.send(
        new ListObjectsV2Command({
          Bucket,
          Prefix: 'tree/',
          MaxKeys: 2,
          ...(next === undefined ? {} : { ContinuationToken: next }),
        }),
      );
      keys.push(...(page.Contents ?? []).map((c) => c.Key));
      next = page.NextContinuationToken;
    } while (next !== undefined);
    expect(keys).toEqual(['tree/a b/1', 'tree/a b/2', 'tree/ü+/3']);
  });

  test('uploads a large object in parts, a streamed one among them', async () => {
    const s3 = client(bySession(token));
    const Key = 'large object+1.bin';
    const parts = [randomBytes(5 * 1024 * 1024), randomBytes(5 * 1024 * 1024), randomBytes(4321)];
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const done: { ETag: string | undefined; PartNumber: number }[] = [];
    for (const [i, part] of parts.entries()) {
      const Body = i === 1 ? Readable.from([part.subarray(0, 1_000_000), part.subarray(1_000_000)]) : part;
      const { ETag } = await s3.send(
        new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: i + 1, Body, ContentLength: part.length }),
      );
      done.push({ ETag, PartNumber: i + 1 });
    }
    await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts: done } }));
    expect(digest(await read(s3, Key))).toBe(digest(Buffer.concat(parts)));
  });

  test('gives up an upload in parts', async () => {
    const s3 = client(bySession(token));
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'given up' }));
    expect(
      (await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: 'given up', UploadId }))).$metadata.httpStatusCode,
    ).toBe(204);
  });

  test('a call for which the token holds no capability is an S3ServiceException "AccessDenied" that names the capability', async () => {
    const reader = client(bySession(await world.edge.mint('reader', ['aws:s3:read_object'])));
    const error = await refused<S3ServiceException>(() =>
      reader.send(new PutObjectCommand({ Bucket, Key: 'x', Body: 'x' })),
    );
    expect(error).toBeInstanceOf(S3ServiceException);
    expect(error).toMatchObject({ name: 'AccessDenied', $metadata: { httpStatusCode: 403 } });
    expect(error.message).toMatch(WORDS.missing);
    expect(error.message).toContain('aws:s3:write_object');
  });

  test('a refused HEAD, which has no body to read, is an S3ServiceException 403', async () => {
    const writer = client(bySession(await world.edge.mint('writer', ['aws:s3:write_object'])));
    const error = await refused<S3ServiceException>(() => writer.send(new HeadObjectCommand({ Bucket, Key: 'x' })));
    expect(error).toBeInstanceOf(S3ServiceException);
    expect(error.$metadata.httpStatusCode).toBe(403);
  });

  test.each([
    ['publishing an object', () => new PutObjectCommand({ Bucket, Key: 'x', Body: 'x', ACL: 'public-read' })],
    ['changing access rules', () => new PutObjectAclCommand({ Bucket, Key: 'x', ACL: 'public-read' })],
    ['copying from elsewhere', () => new CopyObjectCommand({ Bucket, Key: 'x', CopySource: 'other-bucket/secret' })],
    ['reading an older version', () => new GetObjectCommand({ Bucket, Key: 'x', VersionId: '1' })],
    ['making a bucket', () => new CreateBucketCommand({ Bucket: 'another-bucket' })],
  ])('%s is refused although the token holds every capability', async (_, command) => {
    const error = await refused<S3ServiceException>(() => client(bySession(token)).send(command() as PutObjectCommand));
    expect(error).toBeInstanceOf(S3ServiceException);
    expect(error.$metadata.httpStatusCode).toBe(403);
    expect(error.name).toBe('AccessDenied');
  });

  test('an error of ours names the row of the audit that tells why, where the client shows the id of a call', async () => {
    const error = await refused<S3ServiceException>(() =>
      client(bySession(token)).send(new CreateBucketCommand({ Bucket: 'another-bucket' })),
    );
    const [row] = await world.edge.audit({ request_id: error.$metadata.requestId ?? 'none' });
    expect(row).toMatchObject({ event: 'call.denied', reason: 'operation_unknown' });
  });

  test('with the retries it comes with, a denial still surfaces at once and is asked for once', async () => {
    const before = (await world.edge.audit({ event: 'call.denied' })).length;
    const reader = new S3Client({
      endpoint: world.edge.proxy('s3'),
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: bySession(await world.edge.mint('reader', ['aws:s3:read_object'])),
    });
    expect(await refused(() => reader.send(new ListBucketsCommand({})), 5_000)).toMatchObject({ name: 'AccessDenied' });
    expect((await world.edge.audit({ event: 'call.denied' })).length).toBe(before + 1);
  });

  test.each([
    ['session token', bySession],
    ['access key id', byAccessKeyId],
  ])('an expired token, sent as %s, is an S3ServiceException "InvalidToken"', async (_, as) => {
    const expired = await world.edge.expired('archivist', ['aws:s3:list_buckets']);
    const error = await refused<S3ServiceException>(() => client(as(expired)).send(new ListBucketsCommand({})));
    expect(error).toBeInstanceOf(S3ServiceException);
    expect(error).toMatchObject({ name: 'InvalidToken', $metadata: { httpStatusCode: 401 } });
    expect(error.message).toMatch(WORDS.expired);
  });

  test('a call over the limit is an S3ServiceException "SlowDown"', async () => {
    const s3 = client(bySession(await world.edge.mint('hasty', [`${world.tight}:list_buckets`])), {
      service: world.tight,
    });
    await s3.send(new ListBucketsCommand({}));
    const error = await refused<S3ServiceException>(() => s3.send(new ListBucketsCommand({})));
    expect(error).toBeInstanceOf(S3ServiceException);
    expect(error).toMatchObject({ name: 'SlowDown', $metadata: { httpStatusCode: 429 } });
    expect(error.message).toMatch(WORDS.limited);
  });

  promisesKept(
    () => world,
    () => [],
  );
});

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
