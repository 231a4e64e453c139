import type { VARS } from './world.ts';

/** Credentials of all five schemes, each of them found nowhere else in the world. */
export const canary = (name: string): string => `KWCANARY-${name}-${crypto.randomUUID()}`;
export const SECRETS: Readonly<Record<keyof typeof VARS, string>> = {
  BANK_KEY: `${canary('bearer')}+/="x`,
  KEYED_KEY: canary('header'),
  PAIR_KEY: canary('basic'),
  QUERY_KEY: `${canary('query')}&+/`,
  AWS_ID: `AKIAKWCANARY${Date.now().toString(36).toUpperCase()}`,
  AWS_SECRET: `${canary('sigv4')}/+`,
};
