import { createEmulator, type Emulator, type SeedConfig, type ServiceName } from 'emulate';

export interface Emulated {
  readonly origin: string;
  readonly emulator: Emulator;
  readonly stop: () => Promise<void>;
}

export interface EmulatedOptions {
  readonly seed?: SeedConfig;
  /** A free one unless said. */
  readonly port?: number;
  /** What it calls itself in its answers. */
  readonly baseUrl?: string;
}

/** A service of npm `emulate`, which others wrote: stateful, but lenient about credentials, so put a gate before it. */
export async function startEmulated(
  service: ServiceName,
  { port = 0, ...options }: EmulatedOptions = {},
): Promise<Emulated> {
  const emulator = await createEmulator({ service, port, ...options });
  const origin = `http://127.0.0.1:${port === 0 ? new URL(emulator.url).port : port}`;
  return { origin, emulator, stop: () => emulator.close() };
}
