/**
 * Checks that `secrets.required` in wrangler.toml lists every secret that a policy names: then a deploy without one fails,
 * and `wrangler dev` loads it (it loads no other once the list is there).
 */
import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import type { PolicyBundle } from '../src/policy/ruled.ts';
import { secretNamesOf } from '../src/policy/secret-names.ts';

const at = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const bundle = JSON.parse(at('src/policy/bundle.generated.json')) as PolicyBundle;
const { secrets } = parse(at('wrangler.toml')) as { secrets?: { required?: string[] } };
const listed = new Set(secrets?.required ?? []);
const missing = new Set(Object.values(bundle.services).flatMap((service) => secretNamesOf(service.credential)));
for (const name of listed) missing.delete(name);
for (const name of missing) {
  console.error(`wrangler.toml: error: secrets.required does not list ${name}, which a policy names`);
  console.error(`  fix: add "${name}" to the list`);
}
process.exitCode = missing.size === 0 ? 0 : 1;
