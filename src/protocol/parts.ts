import * as z from 'zod/mini';

export const nullableText = z.nullable(z.string());

export const nullableInt = z.nullable(z.int());

export const NameValue = z.object({ name: z.string(), value: z.string() });

export const shortName = (what: string) =>
  z.string().check(z.regex(/^[a-z][a-z0-9_-]{0,31}$/, `${what} is 1 to 32 of a-z 0-9 _ - and begins with a letter`));

export const printableText = (max: number) =>
  z.string().check(z.regex(new RegExp(`^[\\x20-\\x7e]{1,${max}}$`), `1 to ${max} printable ASCII characters`));

export const count = z.int().check(z.minimum(0), z.maximum(Number.MAX_SAFE_INTEGER));
