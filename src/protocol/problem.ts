import * as z from 'zod/mini';

/** RFC 9457, with the members that make vendors' SDKs show our message. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  code: z.string(),
  message: z.string(),
  error: z.object({ message: z.string(), type: z.string(), code: z.string() }),
});
export type Problem = z.infer<typeof Problem>;
