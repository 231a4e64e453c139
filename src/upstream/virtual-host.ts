/** S3 bucket names (AWS naming rules), without dots: a dotted one cannot be a single label. */
const BUCKET = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

/**
 * The bucket of a virtual-host-style S3 request (`bucket.edge.example/proxy/s3/key`, `bucket.localhost:8787/…` under
 * `keywarden dev`), or null for path style. The policy always judges the path-style form `/bucket/key`, and that form goes to
 * the upstream.
 *
 * @param host    The Host field: name and optional port.
 * @param edgeUrl The edge's own public URL (`KEYWARDEN_ISSUER`).
 */
export function virtualHostBucketOf(host: string, edgeUrl: string): string | null {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  for (const suffix of ['.localhost', `.${new URL(edgeUrl).hostname}`]) {
    if (!name.endsWith(suffix)) continue;
    const label = name.slice(0, -suffix.length);
    if (BUCKET.test(label)) return label;
  }
  return null;
}
