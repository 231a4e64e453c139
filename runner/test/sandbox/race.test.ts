import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dockerBackend } from '../../src/sandbox/docker/backend.ts';
import { namespaceBackend } from '../../src/sandbox/namespace/backend.ts';
import { startOwnDockerd } from './support/own-dockerd.ts';
import { countOf, Place } from './support/sandboxed.ts';

const SECONDS = Number(process.env['KEYWARDEN_RACE_SECONDS'] ?? 60);

/** One thread swaps the path under the open of another. Both backends at once: it takes a minute. */
describe('credential paths', () => {
  let dockerd: ReturnType<typeof startOwnDockerd>;
  const places = new Map<string, Place>();
  beforeAll(() => {
    dockerd = startOwnDockerd();
    places.set('namespace', new Place(namespaceBackend()));
    places.set('docker', new Place(dockerBackend(dockerd.socket)));
  });
  afterAll(() => {
    for (const place of places.values()) place.close();
    dockerd.stop();
  });

  it.concurrent.each(['namespace', 'docker'])('are never read by racing threads (B13), %s', async (backend) => {
    const place = places.get(backend) as Place;
    const ran = await place.python(RACE, { timeoutMs: SECONDS * 1000 + 30_000 });
    expect(ran.stdout).toBe('True 0\n');
    expect(countOf(ran.counters, 'denied', 'aws')).toBeGreaterThan(100);
  });
});

const RACE = `
import ctypes, os, threading, time
libc = ctypes.CDLL(None, use_errno=True)
secret = os.path.expanduser("~/.aws/credentials").encode()
benign = b"/etc/hostname" + b"\\0" * (len(secret) - 13)
path = ctypes.create_string_buffer(secret, len(secret) + 1)
until = time.time() + ${SECONDS}
def flip():
    while time.time() < until:
        ctypes.memmove(path, benign, len(secret)); ctypes.memmove(path, secret, len(secret))
threading.Thread(target=flip).start()
reads = leaks = 0
while time.time() < until:
    fd = libc.open(path, 0)
    if fd >= 0:
        reads += 1
        try: leaks += b"kwdecoy" in os.read(fd, 4096)
        except OSError: pass
        os.close(fd)
print(reads > 100, leaks)
`;
