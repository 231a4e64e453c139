import { textOf } from '../../state/text-of.ts';
import { nobodyTraces } from '../tracing.ts';

const CAP_SYS_PTRACE = 19n;

/**
 * Whether the supervisor may read the path of a denied open out of the agent's memory (ptrace(2), "access mode checking"):
 * with CAP_SYS_PTRACE, or as the same uid where Yama does not ask for a descendant, which a container's process never is.
 */
export function mayCount(proc: string = '/proc'): boolean {
  if (nobodyTraces(proc)) return false;
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(textOf(`${proc}/self/status`))?.[1] ?? '0';
  if ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) return true;
  const yama = textOf(`${proc}/sys/kernel/yama/ptrace_scope`).trim();
  return process.getuid?.() !== 0 && (yama === '' || yama === '0');
}
