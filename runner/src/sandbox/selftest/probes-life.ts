import { processIsAlive } from '../../state/process-identity.ts';
import { attack, type Probe } from './attack.ts';
import { PIDS, until, type World } from './world.ts';

/** What the host still has of it, by the backend's own listing. */
const nothingLeft = (world: World, session: string, folder: string): Promise<boolean> =>
  until(async () => {
    const left = await world.backend.leftovers(session, [], folder);
    return !left.some(({ kind }) => kind === 'process' || kind === 'container');
  }, 10_000);

/** Rows 32, 62: the end. */
export const LIFE: readonly Probe[] = [
  attack({
    row: 32,
    name: 'killing PID 1',
    probe: ['kill-parent'],
    control: ['below', 'kill-parent'],
    counted: null,
  }),
  {
    row: 32,
    name: 'the supervisor is killed',
    async run(world) {
      const running = await world.start(['stay']);
      await until(() => running.said().includes('here'), 5000);
      const supervisor = running.traces.find((trace) => trace.kind === 'process');
      if (supervisor?.kind === 'process') process.kill(supervisor.pid, 'SIGKILL');
      const gone = await nothingLeft(world, running.session, running.folder);
      await running.sandbox.kill().catch(() => {});
      await running.ended.catch(() => {});
      return {
        effect: gone ? 'the session is gone' : 'something lives on',
        effectHolds: supervisor !== undefined && gone,
        counter: '-',
        counterHolds: true,
        ...(await survivorOutside(world)),
      };
    },
  },
  {
    row: 62,
    name: 'a fork bomb deaf to SIGTERM, at the deadline',
    async run(world) {
      const began = performance.now();
      const running = await world.start(['bomb', '4000'], { timeoutMs: 2000 });
      const { through, stdout } = await running.ended;
      const seconds = (performance.now() - began) / 1000;
      const forks = Number(/forks (\d+)/.exec(stdout)?.[1] ?? Number.NaN);
      const gone = await nothingLeft(world, running.session, running.folder);
      return {
        effect: `${forks} forks, ended after ${seconds.toFixed(1)} s`,
        effectHolds: gone && through.length === 0 && forks > 0 && forks <= PIDS && seconds < 10,
        counter: '-',
        counterHolds: true,
        ...(await survivorOutside(world)),
      };
    },
  },
];

/** Outside, a process that ignores SIGTERM lives on, whoever dies around it. */
async function survivorOutside(world: World): Promise<{ control: string; controlHolds: boolean }> {
  const { child, said } = world.spawn(['stay']);
  await until(() => said().includes('here'), 3000);
  child.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const lives = child.pid !== undefined && processIsAlive(child.pid) && child.signalCode === null;
  child.kill('SIGKILL');
  return { control: lives ? 'a plain child lives on' : 'the plain child died', controlHolds: lives };
}
