import { expect, it } from 'vitest';
import { virtualHostBucketOf } from '../../src/upstream/virtual-host.ts';

it.each([
  ['my-bucket.localhost', 'my-bucket'],
  ['my-bucket.localhost:8787', 'my-bucket'],
  ['My-Bucket.LOCALHOST:8787', 'my-bucket'],
  [`${'b'.repeat(63)}.localhost`, 'b'.repeat(63)],
  ['localhost:8787', null],
  ['.localhost', null],
  ['127.0.0.1:8787', null],
  ['my-bucket.edge.example', 'my-bucket'],
  ['my-bucket.Edge.Example:443', 'my-bucket'],
  ['edge.example', null],
  ['a.b.edge.example', null],
  ['my-bucket.other.example', null],
  ['my-bucket.edge.example.evil.example', null],
  ['my-bucketedge.example', null],
  ['my-bucket.localhost.evil.example', null],
  ['my-bucketlocalhost', null],
  ['a.b.localhost', null],
  ['ab.localhost', null],
  [`${'b'.repeat(64)}.localhost`, null],
  ['-bucket.localhost', null],
  ['bucket-.localhost', null],
  ['my_bucket.localhost', null],
  ['..localhost', null],
  ['', null],
])('the Host %j names the bucket %j', (host, bucket) =>
  expect(virtualHostBucketOf(host, 'https://edge.example')).toBe(bucket),
);
