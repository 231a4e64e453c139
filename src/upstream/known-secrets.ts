import type { PolicyBundle } from '../policy/ruled.ts';
import { scrubberOf } from './scrub/scrubber.ts';
import { readCredentials } from './secrets.ts';

/**
 * Takes every credential that this edge knows, in any spelling, out of a text that people will see. Reads credentials to
 * remove them, never to send them; one that is missing has no value to remove.
 */
export function credentialMask(env: object, bundle: PolicyBundle): (text: string) => string {
  const scrubbers = Object.values(bundle.services).flatMap(({ credential }) => {
    const read = readCredentials(env, credential);
    return read.ok ? [scrubberOf(read.value)] : [];
  });
  return (text) => scrubbers.reduce((rest, scrubber) => scrubber.text(rest).text, text);
}
