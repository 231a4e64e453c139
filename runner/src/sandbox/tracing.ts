import { textOf } from '../state/text-of.ts';

/** By Yama (Documentation/admin-guide/LSM/Yama.rst): no process may read the memory of another one, whatever it is capable of. */
export const nobodyTraces = (proc: string = '/proc'): boolean =>
  textOf(`${proc}/sys/kernel/yama/ptrace_scope`).trim() === '3';
