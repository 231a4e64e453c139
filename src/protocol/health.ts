import * as z from 'zod/mini';

export const Health = z.object({
  status: z.enum(['ok', 'broken']),
  /** By the clock that tokens are judged with. */
  now: z.iso.datetime(),
  policy_hash: z.string(),
  services: z.array(z.string()),
  notes: z.array(z.string()),
  problems: z.array(z.object({ problem: z.string(), mend: z.string() })),
});
export type Health = z.infer<typeof Health>;
