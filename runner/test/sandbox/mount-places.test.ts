import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CREDENTIAL_PATHS } from '../../src/helper/credential-list.ts';
import { namespaceBackend } from '../../src/sandbox/namespace/backend.ts';
import { INSIDE_HOME } from '../../src/session/environment.ts';
import { checkPlaces } from '../../src/session/mount-places.ts';
import { Place } from './support/sandboxed.ts';

let place: Place;
beforeAll(() => {
  place = new Place(namespaceBackend());
});
afterAll(() => place.close());

const DENIED = [
  '/home/agent/.aws',
  '/home/agent/.kube/config/deep',
  '/home/agent/.config/gcloud/x',
  '/home/agent/.netrc',
  '/home/someone/.ssh',
  '/root/.ssh/config',
  '/root/.docker/config.json',
  '/work/.env',
  '/work/.env.production',
  '/work/deep/id_rsa',
  '/work/.npmrc',
];
const OPEN = [
  '/home/agent/aws',
  '/home/agent/.aws-notes',
  '/home/agent/.config/other',
  '/home/agent/deep/.netrc',
  '/work/.aws/credentials',
  '/work/.env.example',
  '/work/.env-notes',
  '/work/.env.d/file',
  '/work/id_rsa.pub',
  '/srv/.netrc',
  '/var/other',
];

it('what may not be mounted on is just what the sandbox would deny', async () => {
  const source = join(place.directory, 'plain.txt');
  writeFileSync(source, 'readable\n');
  const mounts = [...DENIED, ...OPEN].map((destination) => ({ source, destination, writable: false }));
  const list = readFileSync(CREDENTIAL_PATHS, 'utf8');
  const refused = mounts.filter((mount) => {
    try {
      checkPlaces([mount], list, INSIDE_HOME);
      return false;
    } catch (error) {
      expect(String(error)).toContain(`--mount …:${mount.destination}: the sandbox denies opens there`);
      return true;
    }
  });
  expect(refused.map(({ destination }) => destination)).toEqual(DENIED);

  const look = mounts.map(({ destination: at }) => `cat ${at} >/dev/null 2>&1 || echo ${at}`).join('\n');
  const { stdout, stderr } = await place.shell(look, { mounts, decoys: false });
  expect(stdout.trim().split('\n'), stderr).toEqual(DENIED);
});
