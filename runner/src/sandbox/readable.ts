/**
 * Makes what a sandbox shows with the modes that are asked for: the agent has a uid of its own, and the caller's umask must not
 * keep `/etc/passwd` from it.
 *
 * @param make  Waits for nothing: the umask is the whole process's.
 */
export function readable(make: () => void): void {
  const before = process.umask(0o022);
  try {
    make();
  } finally {
    process.umask(before);
  }
}
