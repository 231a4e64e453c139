import * as z from 'zod/mini';
import { nullableText } from './parts.ts';

export const SignInRequest = z.union([
  z.strictObject({ key: z.string().check(z.minLength(16), z.maxLength(512)) }),
  /** What stands after `#signin=` in a one-time link. */
  z.strictObject({ link: z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/, 'a sign-in code is 43 characters')) }),
]);

export const ConsoleSession = z.object({
  /** Null: nobody is signed in. */
  operator: nullableText,
  roles: z.array(z.string()),
  groups: z.array(z.string()),
  /** `cookie` can be signed out; `access` is Cloudflare Access. */
  by: z.nullable(z.enum(['cookie', 'key', 'access'])),
  expires_at: z.nullable(z.iso.datetime()),
});
export type ConsoleSession = z.infer<typeof ConsoleSession>;

export const SignInLink = z.object({ link: z.string(), expires_at: z.iso.datetime() });
export type SignInLink = z.infer<typeof SignInLink>;

/** A page that signs state-changing requests with this field is one that the browser let read our answers. */
export const CONSOLE_FIELD = 'x-keywarden-console';
