import { counted } from '../../counted.ts';
import { attack, controlOf, counterOf, type Probe } from './attack.ts';
import { TMP_MEGABYTES } from './world.ts';

/** Rows 13–25, 67, 69: the file system and the credential paths. */
export const FILES: readonly Probe[] = [
  attack({
    row: 13,
    name: 'swapping the path under an open',
    probe: (world) => ['race', String(world.raceSeconds)],
    control: ['race', '30'],
    counted: { pathClass: 'ssh' },
  }),
  attack({ row: 14, name: 'openat2', probe: ['openat2'], counted: { pathClass: 'aws', atLeast: 3 } }),
  attack({
    row: 15,
    name: 'from a folder descriptor',
    probe: ['from-folder'],
    counted: { pathClass: 'aws', atLeast: 3 },
  }),
  attack({ row: 16, name: 'hard link', probe: ['hard-link'], counted: { pathClass: 'aws' } }),
  attack({ row: 17, name: 'renaming an ancestor', probe: ['rename-away'], counted: { pathClass: 'aws' } }),
  attack({
    row: 18,
    name: 'planting what is missing',
    probe: ['plant', '.aws', 'credentials'],
    inside: { decoys: false },
    counted: { pathClass: 'aws', atLeast: 2 },
  }),
  attack({
    row: 19,
    name: 'writing beside a decoy',
    probe: ['plant', '.ssh', 'f'],
    counted: { pathClass: 'ssh', atLeast: 2 },
  }),
  attack({
    row: 21,
    name: 'device nodes',
    probe: ['device-node'],
    counted: { syscalls: ['mknodat'] },
    controlNeedsRoot: true,
  }),
  attack({ row: 22, name: 'privileges and setuid', probe: ['privileges'], counted: null }),
  attack({
    row: 22,
    name: 'a set-uid program left behind',
    probe: ['set-uid'],
    counted: { syscalls: ['fchmod', 'fchmodat', 'fchmodat2', 'openat', 'mknodat'] },
  }),
  attack({
    row: 23,
    name: 'mounts',
    probe: ['mounts'],
    counted: { syscalls: ['unshare', 'mount', 'fsopen', 'open_tree', 'umount2', 'pivot_root'] },
  }),
  attack({
    row: 24,
    name: "the agent's own program, from /tmp and from memory",
    probe: ['own-program'],
    // Once where /tmp is noexec, as on docker.
    counted: { pathClass: 'aws', atLeast: 1 },
  }),
  attack({
    row: 25,
    name: 'file handles',
    probe: ['handles'],
    counted: { syscalls: ['name_to_handle_at', 'open_by_handle_at'] },
  }),
  attack({
    row: 67,
    name: 'filling /tmp',
    probe: ['fill', String(TMP_MEGABYTES + 8)],
    counted: null,
  }),
  {
    row: 69,
    name: 'paths that would be lines of a log',
    async run(world) {
      const { counters, stdout } = await (await world.start(['forged-lines'])).ended;
      const names = [...counters.denied, ...counters.observed].map((row) => row.pathClass);
      const forged = names.includes('forged') || [...counters.denied].some((row) => row.count >= 999);
      const outside = await world.outside(['forged-lines']);
      const said = [stdout, outside.stdout].every((text) => text.includes('\n{"event":"denied","class":"forged"'));
      return {
        effect: forged ? 'a forged row' : `${counted(names.length, 'row')}, none forged`,
        effectHolds: !forged,
        ...counterOf(counters, { pathClass: 'aws' }),
        ...controlOf(said ? ['the same text passes on stdout'] : [], 1, false),
      };
    },
  },
];
