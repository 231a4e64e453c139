/** S3 bucket names (AWS naming rules), without dots: a dotted one cannot be a single label. */
const BUCKET = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

/** Host names under which a leading label is a bucket; set once from the environment. */
const LOOPBACK_SUFFIX = '.localhost';

/**
 * The bucket of a virtual-host-style S3 request (`bucket.edge.example/proxy/s3/key`), or null for path style.
 * The policy always judges the path-style form `/bucket/key`, and that form goes to the upstream.
 *
 * @param host     The Host field: name and optional port.
 * @param edgeHost The edge's own host name, when it is known.
 */
export function virtualHostBucketOf(host: string, edgeHost: string | null = null): string | null {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  for (const suffix of edgeHost === null ? [LOOPBACK_SUFFIX] : [LOOPBACK_SUFFIX, `.${edgeHost}`]) {
    if (!name.endsWith(suffix)) continue;
    const label = name.slice(0, -suffix.length);
    if (BUCKET.test(label)) return label;
  }
  return null;
}
