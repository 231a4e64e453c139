import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';

export interface Changes {
  /** In the place of the vendor's. */
  readonly origin: string;
  /** Another service id: then the capabilities are `<id>:<name>`. */
  readonly service?: string;
  /** By the capability's name: a lower limit, so that a test can use it up. */
  readonly limits?: Readonly<Record<string, string>>;
}

/** A policy of ours as it ships, with only the named things changed: so that it is the shipped one that is proven. */
export function shippedPolicy(name: string, changes: Changes): string {
  const document = parseDocument(readFileSync(new URL(`../../policies/${name}.yaml`, import.meta.url), 'utf8'));
  document.set('origin', changes.origin);
  if (changes.service !== undefined) {
    document.set('service', changes.service);
    if (document.has('prefix')) document.set('prefix', changes.service);
  }
  for (const [capability, limit] of Object.entries(changes.limits ?? {})) {
    if (!document.hasIn(['capabilities', capability])) throw new Error(`${name} has no capability ${capability}`);
    document.setIn(['capabilities', capability, 'limit'], { rate: limit, burst: 1 });
  }
  return document.toString({ lineWidth: 0 });
}
