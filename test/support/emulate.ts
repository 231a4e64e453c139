import { createEmulator, type Emulator, type SeedConfig, type ServiceName } from 'emulate';

/** A service of npm `emulate`, which others wrote: stateful, but lenient about credentials, so put a gate before it. */
export async function startEmulated(service: ServiceName, seed?: SeedConfig): Promise<{ readonly origin: string; readonly emulator: Emulator; readonly stop: () => Promise<void> }> {
  const emulator = await createEmulator({ service, port: 0, ...(seed === undefined ? {} : { seed }) });
  const { port } = new URL(emulator.url);
  return { origin: `http://127.0.0.1:${port}`, emulator, stop: () => emulator.close() };
}
