import { attack, controlOf, counterOf, type Probe } from './attack.ts';

/** Rows 26–31, 38: evading the filter. */
export const CALLS: readonly Probe[] = [
  attack({ row: 26, name: 'io_uring', probe: ['io-uring'], counted: { syscalls: ['io_uring_setup'] } }),
  // Killed, or unknown to the kernel: no notification comes before either.
  attack({ row: 27, name: 'foreign ABIs', probe: ['foreign'], counted: null }),
  attack({
    row: 28,
    name: 'namespaces',
    probe: ['namespaces'],
    counted: { syscalls: ['clone', 'setns', 'unshare'] },
  }),
  attack({ row: 29, name: 'a filter of its own', probe: ['own-filter'], counted: { syscalls: ['seccomp'] } }),
  attack({
    row: 30,
    name: 'seldom used calls',
    probe: ['odd-calls'],
    counted: {
      syscalls: ['personality', 'userfaultfd', 'perf_event_open', 'bpf', 'kexec_load', 'init_module', 'syslog'],
    },
  }),
  {
    row: 31,
    name: 'a flood of 100,000 opens',
    async run(world) {
      const flood = await world.start(['flood', '100000']);
      const neighbour = await (await world.start(['read-secret'])).ended;
      const during = !flood.said().includes('opens ');
      const { through, stdout, exit, counters } = await flood.ended;
      const outside = await world.outside(['flood', '1000']);
      const seen = counters.denied.reduce((all, row) => all + row.count, 0) + counters.dropped;
      const holds = through.length === 0 && exit.code === 1 && stdout.includes('opens 100000');
      return {
        effect: holds ? `0 of 100000; a neighbour ${during ? 'ran meanwhile' : 'ran after'}` : `through: ${through}`,
        effectHolds: holds && neighbour.exit.code === 1,
        ...counterOf(counters, { pathClass: 'aws' }),
        counter: `${seen} counted or dropped`,
        counterHolds: seen >= 100_000,
        ...controlOf(outside.through, outside.attempts, false),
      };
    },
  },
  attack({
    row: 38,
    name: 'pushing keys into a terminal',
    probe: ['terminal'],
    counted: { syscalls: ['ioctl'] },
    // Kernels ≥ 6.2 may refuse TIOCSTI to all but CAP_SYS_ADMIN (dev.tty.legacy_tiocsti).
    controlNeedsRoot: true,
  }),
];
