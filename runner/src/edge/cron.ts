/**
 * Whether a cron expression of wrangler.toml is due in this minute (UTC). Five fields, each `*` or one number: what the
 * project's own triggers use.
 *
 * @throws Error on anything else, rather than never being due.
 */
export function isDue(cron: string, at: Date): boolean {
  const fields = cron.split(' ');
  const now = [at.getUTCMinutes(), at.getUTCHours(), at.getUTCDate(), at.getUTCMonth() + 1, at.getUTCDay()];
  if (fields.length !== now.length || !fields.every((field) => /^(\*|\d{1,2})$/.test(field)))
    throw new Error(`keywarden dev does not know this cron expression: ${cron}`);
  return fields.every((field, index) => field === '*' || Number(field) === now[index]);
}

/** Calls `run` in every minute in which one of the expressions is due. @returns what stops it. */
export function startClock(crons: readonly string[], run: (cron: string, at: Date) => Promise<void>): () => void {
  for (const cron of crons) isDue(cron, new Date());
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    timer = setTimeout(
      () => {
        const at = new Date();
        for (const cron of crons) if (isDue(cron, at)) void run(cron, at);
        wait();
      },
      60_000 - (Date.now() % 60_000),
    ).unref();
  };
  wait();
  return () => clearTimeout(timer);
}
