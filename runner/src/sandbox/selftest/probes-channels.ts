import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { counted } from '../../counted.ts';
import { attack, controlOf, type Probe } from './attack.ts';
import { until, type World } from './world.ts';

/** A server on the host for as long as the selftest runs; @returns its port, 0 for a path. */
async function listening(world: World, at: { host: string; port: 0 } | { path: string }): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}).end('hello'));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(at, resolve));
  world.onClose(() => server.close());
  const address = server.address();
  return typeof address === 'object' ? ((address as AddressInfo | null)?.port ?? 0) : 0;
}

/** Addresses that must not be reached: the host's own, the cloud's metadata, names' servers, the world. */
const hostAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((one) => !one.internal && (one.scopeid ?? 0) === 0)
    .map((one) => one.address)
    .slice(0, 4);

const abstractName = (world: World, name: string): string => `${world.canary}-${name}`;

/** Rows 33–39, 51, 53, 59: other ways out. */
export const CHANNELS: readonly Probe[] = [
  {
    row: 33,
    name: 'sockets in the file system',
    async run(world) {
      await listening(world, { path: world.path('docker.sock') });
      const inside = await (await world.start(['sockets', '/'])).ended;
      const outside = await world.outside(['sockets', world.directory]);
      return {
        effect: inside.through.length === 0 ? 'only the way out' : `through: ${inside.through.join(', ')}`,
        effectHolds: inside.through.length === 0 && Number(/^looked at (\d+)$/m.exec(inside.stdout)?.[1]) > 20,
        counter: '-',
        counterHolds: true,
        ...controlOf(outside.through, outside.attempts, false),
      };
    },
  },
  {
    row: 34,
    name: 'abstract sockets',
    async run(world) {
      const name = abstractName(world, 'stream');
      await listening(world, { path: `\0${name}` });
      return attack({ row: 34, name: '', probe: ['abstract-stream', name], counted: null }).run(world);
    },
  },
  {
    row: 35,
    name: 'D-Bus',
    async run(world) {
      const path = world.path('bus');
      await listening(world, { path });
      return attack({ row: 35, name: '', probe: ['buses', path], counted: null }).run(world);
    },
  },
  {
    row: 36,
    name: 'datagrams to abstract sockets',
    async run(world) {
      const name = abstractName(world, 'datagram');
      const server = world.spawn(['serve-datagrams', name]);
      await until(() => server.said().includes('here'), 3000);
      const inside = await (await world.start(['abstract-datagram', name])).ended;
      const received = server.said().includes('got one');
      const outside = await world.outside(['abstract-datagram', name]);
      const arrived = await until(() => server.said().includes('got one'), 2000);
      server.child.kill('SIGKILL');
      return {
        effect: received ? 'a datagram arrived' : `0 of ${inside.attempts}`,
        effectHolds: !received && inside.through.length === 0 && inside.attempts === 3,
        counter: '-',
        counterHolds: true,
        ...controlOf(arrived ? outside.through : [], outside.attempts, false),
      };
    },
  },
  {
    row: 37,
    name: 'descriptors by the way out',
    async run(world) {
      const path = world.path('giver');
      const giver = world.spawn(['serve-descriptor', path]);
      await until(() => giver.said().includes('here'), 3000);
      const running = await (await world.start(['take-descriptor'])).ended;
      const outside = await world.outside(['take-descriptor', path]);
      giver.child.kill('SIGKILL');
      return {
        effect: running.through.length === 0 ? 'bytes at most' : 'a descriptor came in',
        // As root the socket is PID 1's alone, and the agent has TCP, which passes no descriptors.
        effectHolds: running.through.length === 0 && /^(bytes [1-9]|connect EACCES)/m.test(running.stdout),
        counter: '-',
        counterHolds: true,
        ...controlOf(outside.through, outside.attempts, false),
      };
    },
  },
  attack({
    row: 39,
    name: 'packet, raw, vsock, netlink sockets',
    probe: ['families'],
    counted: { syscalls: ['socket'] },
  }),
  {
    row: 51,
    name: 'connections that ignore the way out',
    async run(world) {
      const here = ['127.0.0.1', String(await listening(world, { host: '127.0.0.1', port: 0 }))];
      const own = hostAddresses().flatMap((address) => [address, here[1] ?? '']);
      const world4 = ['1.1.1.1', '443', '169.254.169.254', '80', '192.168.65.7', '2375'];
      const world6 = ['2606:4700:4700::1111', '443', '::1', here[1] ?? '', '64:ff9b::a9fe:a9fe', '80'];
      const probe = ['tcp', ...here, ...own, ...world4, ...world6];
      return attack({ row: 51, name: '', probe, control: ['tcp', ...here], counted: null }).run(world);
    },
  },
  {
    row: 53,
    name: 'names asked over UDP',
    async run(world) {
      const server = createSocket('udp4');
      let packets = 0;
      server.on('message', (_, from) => {
        packets += 1;
        server.send('answer', from.port, from.address);
      });
      await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
      world.onClose(() => server.close());
      const here = ['127.0.0.1', String(server.address().port)];
      const others = ['8.8.8.8', '53', '1.1.1.1', '853', '224.0.0.251', '5353', '2001:4860:4860::8888', '53'];
      const inside = await (await world.start(['udp', ...here, ...others])).ended;
      const before = packets;
      const outside = await world.outside(['udp', ...here]);
      return {
        effect: `${counted(before, 'packet')} arrived, ${counted(inside.through.length, 'answer')}`,
        effectHolds: before === 0 && inside.through.length === 0 && inside.attempts === 5,
        counter: '-',
        counterHolds: true,
        ...controlOf(packets > 0 ? outside.through : [], outside.attempts, false),
      };
    },
  },
  {
    row: 59,
    name: 'a sibling session',
    async run(world) {
      const sibling = await world.start(['serve-tcp', '45454']);
      const up = await until(() => sibling.said().includes('port 45454'), 5000);
      const own = hostAddresses().flatMap((address) => [address, '45454']);
      const inside = await (await world.start(['tcp', '127.0.0.1', '45454', ...own])).ended;
      await sibling.sandbox.kill();
      await sibling.ended;
      const server = world.spawn(['serve-tcp']);
      await until(() => server.said().includes('port '), 3000);
      const port = /port (\d+)/.exec(server.said())?.[1] ?? '0';
      const outside = await world.outside(['tcp', '127.0.0.1', port]);
      server.child.kill('SIGKILL');
      return {
        effect: up ? `${inside.through.length} of ${inside.attempts}` : 'the sibling did not listen',
        effectHolds: up && inside.exit.code === 1,
        counter: '-',
        counterHolds: true,
        ...controlOf(outside.through, outside.attempts, false),
      };
    },
  },
];
