/**
 * `npm start` and `npx` put a shell between themselves and us: a SIGTERM for npm ends that shell and leaves us behind.
 * So under npm the end of our parent counts as a SIGTERM of our own.
 */
export function endWithNpm(): void {
  if (process.env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  timer.unref();
}
