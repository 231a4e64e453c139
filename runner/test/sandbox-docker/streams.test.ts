import { createHash } from 'node:crypto';
import { PassThrough, Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dockerBackend } from '../../src/sandbox/docker/backend.ts';
import { Place } from '../sandbox/support/sandboxed.ts';
import { OwnEngine, until } from './support/engine.ts';

let engine: OwnEngine;
let place: Place;
beforeAll(() => {
  engine = new OwnEngine();
  place = new Place(dockerBackend(engine.socket));
});
afterAll(() => {
  place.close();
  engine.stop();
});

const MB = 1024 * 1024;

it('no byte of the output is lost or moved, however late it is read', async () => {
  const hash = createHash('sha256');
  let size = 0;
  const slow = new Writable({
    highWaterMark: 64 * 1024,
    write(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      setTimeout(done, size < 2 * MB ? 5 : 0);
    },
  });
  const { ended } = await place.start(
    ['python3', '-c', 'import os\nfor i in range(320): os.write(1, bytes([i % 251]) * 65536)\nos.write(1, b"the end")'],
    { streams: { kind: 'piped', stdin: null, stdout: slow, stderr: new PassThrough().resume() } } as never,
  );
  expect((await ended).exit.code).toBe(0);
  const expected = createHash('sha256');
  for (let i = 0; i < 320; i++) expected.update(Buffer.alloc(65536, i % 251));
  expect(size).toBe(320 * 65536 + 7);
  expect(hash.digest('hex')).toBe(expected.update('the end').digest('hex'));
});

it('input arrives whole and alone, and its end is the end', async () => {
  const input = Buffer.alloc(8 * MB, 'keywarden ');
  let out = Buffer.alloc(0);
  const stdout = new PassThrough().on('data', (chunk: Buffer) => {
    out = Buffer.concat([out, chunk]);
  });
  const { ended } = await place.start(['cat'], {
    streams: { kind: 'piped', stdin: Readable.from([input]), stdout, stderr: new PassThrough().resume() },
  } as never);
  expect((await ended).exit.code).toBe(0);
  expect(out.equals(input)).toBe(true);
});

it('no input is the end of the input at once', async () => {
  expect((await place.shell('cat; echo after')).stdout).toBe('after\n');
});

it('both outputs stay apart', async () => {
  const ran = await place.shell('for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done');
  expect(ran.stdout).toBe('o1\no2\no3\no4\no5\n');
  expect(ran.stderr).toBe('e1\ne2\ne3\ne4\ne5\n');
});

it.each([
  ['an agent that writes on', '', 141],
  ['no agent that ignores it', 'trap "" PIPE;', 3],
])('a reader who goes is SIGPIPE, which ends %s', async (_, trap, code) => {
  const gone = new PassThrough();
  const { ended } = await place.start(['sh', '-c', `${trap} sleep 1; head -c 5000000 /dev/zero; sleep 1; exit 3`], {
    streams: { kind: 'piped', stdin: null, stdout: gone, stderr: new PassThrough().resume() },
  } as never);
  gone.destroy();
  expect((await ended).exit.code).toBe(code);
});

it('a reader who takes nothing does not keep a session that has ended', async () => {
  const stuck = new Writable({ highWaterMark: 1, write() {} });
  const { ended, sandbox } = await place.start(['sh', '-c', 'head -c 5000000 /dev/zero; sleep 60'], {
    streams: { kind: 'piped', stdin: null, stdout: stuck, stderr: new PassThrough().resume() },
  } as never);
  await sandbox.kill();
  expect((await ended).exit.signal).toBe('SIGKILL');
}, 20_000);

it("a terminal is the agent's own: its size, the news of it, Ctrl-C, Ctrl-Z and /dev/tty", async () => {
  const stdin = new PassThrough();
  let text = '';
  const stdout = new PassThrough().on('data', (chunk) => {
    text += chunk;
  });
  const { sandbox, ended } = await place.start(['bash', '--norc', '-i'], {
    tty: true,
    streams: { kind: 'piped', stdin, stdout, stderr: stdout },
  } as never);
  await sandbox.resize(100, 33);
  stdin.write('test -t 0 -a -t 1 -a -t 2 && stty size\n');
  await until(() => text.includes('33 100'));
  await sandbox.resize(80, 24);
  stdin.write('stty size\n');
  await until(() => text.includes('24 80'));
  stdin.write('echo go; sleep 60\n');
  await until(() => text.includes('go\r\n'));
  await sleep(200);
  stdin.write('\x03');
  stdin.write('echo status $?\n');
  await until(() => text.includes('status 130'));
  stdin.write('echo sleepy; sleep 61\n');
  await until(() => text.includes('sleepy\r\n'));
  await sleep(200);
  stdin.write('\x1a');
  await until(() => /Stopped +sleep 61/.test(text));
  stdin.write('kill %1; wait; echo to-tty-$((6 * 7)) > /dev/tty\n');
  await until(() => text.includes('to-tty-42'));
  stdin.write('trap "echo told-$((6 * 7))" WINCH; sleep 1 & wait\n');
  await sleep(300);
  await sandbox.resize(90, 30);
  await until(() => text.includes('told-42'));
  expect(text).not.toContain('no job control');
  stdin.write('exit 5\n');
  expect((await ended).exit).toEqual({ code: 5, signal: null, outOfMemory: false });
});

it("every key is the agent's, at once: Ctrl-P and Ctrl-Q, by which an engine lets go of a terminal, too", async () => {
  const stdin = new PassThrough();
  let text = '';
  const stdout = new PassThrough().on('data', (chunk) => {
    text += chunk;
  });
  const agent =
    'import os, tty; tty.setraw(0); print("ready"); [print(f"<{k}>") for k in iter(lambda: os.read(0, 1)[0], 46)]';
  const { ended } = await place.start(['python3', '-uc', agent], {
    tty: true,
    streams: { kind: 'piped', stdin, stdout, stderr: stdout },
  } as never);
  await until(() => text.includes('ready'));
  for (const key of [16, 17, 16, 0]) {
    text = '';
    stdin.write(Buffer.from([key]));
    await until(() => text.includes(`<${key}>`), 2_000);
  }
  stdin.write('.');
  expect((await ended).exit.code).toBe(0);
});
