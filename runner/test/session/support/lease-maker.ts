/**
 * Sessions that come and go as fast as they can, without a sandbox: `node lease-maker.ts STATE COUNT`. Fails when one of them
 * cannot give its lease back.
 */
import { LeaseFile } from '../../../src/session/lease.ts';
import { runnerStateAt } from '../../../src/session/runner-state.ts';
import { leaseOf } from './leases.ts';

const [path = '', count = ''] = process.argv.slice(2);
const state = runnerStateAt(path);
for (let i = 0; i < Number(count); i += 1) LeaseFile.create(state, leaseOf(state), () => {}).remove();
