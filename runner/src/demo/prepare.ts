import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createEmulator } from 'emulate';
import { Failure } from '../failure.ts';
import { inProject } from '../project.ts';
import { openPrivateDirectory, readPrivateFile, writePrivateFile } from '../state/private-file.ts';
import { openGate } from './gate.ts';

/** A service to play with, and the policies and secrets of an edge before it. */
export interface Demo {
  readonly policiesDir: string;
  readonly varsFile: string;
  readonly close: () => Promise<void>;
}

const SEED = {
  stripe: {
    customers: [
      { name: 'Ada Lovelace', email: 'ada@example.com' },
      { name: 'Grace Hopper', email: 'grace@example.com' },
    ],
  },
};

/**
 * Starts an emulated Stripe behind a gate that only the real key opens, and writes what an edge needs to reach it:
 * the project's own Stripe policy with the gate as its origin, and a key made on first start.
 */
export async function prepareDemo(directory: string): Promise<Demo> {
  openPrivateDirectory(directory);
  const varsFile = join(directory, 'secrets.env');
  const key = demoKey(varsFile);
  const service = await createEmulator({ service: 'stripe', port: 0, seed: SEED });
  const gate = await openGate(`http://127.0.0.1:${new URL(service.url).port}`, key);
  const policiesDir = join(directory, 'policies');
  mkdirSync(policiesDir, { recursive: true });
  writeFileSync(join(policiesDir, 'stripe.yaml'), demoPolicy(gate.origin));
  return {
    policiesDir,
    varsFile,
    close: async () => {
      await gate.close();
      await service.close();
    },
  };
}

function demoKey(file: string): string {
  const text = readPrivateFile(file);
  const known = text === null ? null : /^STRIPE_KEY=(\S+)$/m.exec(text)?.[1];
  if (known) return known;
  const made = `sk_demo_${randomBytes(24).toString('base64url')}`;
  writePrivateFile(file, `STRIPE_KEY=${made}\n`);
  return made;
}

function demoPolicy(origin: string): string {
  const file = inProject('policies', 'stripe.yaml');
  const text = readFileSync(file, 'utf8').replace(/^# yaml-language-server:.*\n/, '');
  const moved = text.replace(/^origin:.*$/m, `origin: ${origin}`);
  if (moved === text) throw new Failure(`${file} names no origin, so that no demo can be made of it`);
  return moved;
}
