/** S3 bucket names (AWS naming rules), without dots: a dotted one cannot be a single label. */
const BUCKET = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

/** Host names under which a leading label is a bucket. */
const LOOPBACK_SUFFIX = '.localhost';

/**
 * The bucket of a virtual-host-style S3 request (`bucket.localhost:8787/proxy/s3/key`), or null for path style.
 * The policy always judges the path-style form `/bucket/key`, and that form goes to the upstream.
 *
 * @param host  The Host field: name and optional port.
 */
export function virtualHostBucketOf(host: string): string | null {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  if (!name.endsWith(LOOPBACK_SUFFIX)) return null;
  const label = name.slice(0, -LOOPBACK_SUFFIX.length);
  return BUCKET.test(label) ? label : null;
}
