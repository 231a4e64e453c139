import { join } from 'node:path';
import type { PlannedStep } from '../../sandbox/backend.ts';
import type { Prepared } from '../../session/prepare.ts';
import { shellWord } from '../../shell-word.ts';
import { harmless, print, printJson } from '../terminal.ts';
import type { RunOptions } from './run.ts';

/** `--dry-run`: what would be done, in order. Secrets appear as `[NAME]`. */
export async function printPlan(
  { plan, layers, secretNames }: Prepared,
  options: Pick<RunOptions, 'json' | 'edge' | 'metricsFile' | 'events'>,
): Promise<void> {
  const env = { ...plan.sandbox.env, ...Object.fromEntries(secretNames.map((name) => [name, `[${name}]`])) };
  if (plan.capabilities.length > 0) env['KEYWARDEN_TOKEN'] = '[KEYWARDEN_TOKEN]';
  const sandbox = await plan.backend.plan({
    ...plan.sandbox,
    env,
    session: plan.session,
    deadlineAt: Date.now() + plan.timeoutMs,
    graceMs: plan.graceMs,
    folder: plan.folder,
    egressSocket: join(plan.folder, 'edge.sock'),
    streams: { kind: 'inherit' },
  });
  const edge: PlannedStep[] = options.edge
    ? [
        { does: 'announce the session to the edge', request: { POST: '/v1/sessions', program: plan.started.program } },
        ...(plan.capabilities.length === 0
          ? []
          : [{ does: 'mint a token', request: { POST: '/v1/tokens', agent: plan.agent, can: plan.capabilities } }]),
      ]
    : [];
  const told = [
    ...(options.metricsFile === undefined ? [] : [{ does: `keep its metrics in ${options.metricsFile}` }]),
    ...(options.events === undefined ? [] : [{ does: `append its events to ${options.events}` }]),
  ];
  const steps: PlannedStep[] = [
    ...told,
    { does: 'sweep what dead runners left' },
    { does: `write the lease ${plan.session}, to end at the latest after ${plan.timeoutMs / 1000} s` },
    ...edge,
    { does: 'open the way to the edge', request: { socket: join(plan.folder, 'edge.sock') } },
    ...sandbox,
    { does: 'watch, stop, sweep, prove that nothing is left, sign the receipt' },
    ...(options.edge ? [{ does: "revoke the session's tokens, and send the edge the receipt" }] : []),
  ];
  if (options.json) {
    printJson({ backend: plan.backend.name, layers, env, limits: plan.sandbox.limits, steps });
    return;
  }
  print(`backend ${plan.backend.name}`);
  for (const [name, value] of Object.entries(env)) print(harmless(`  env ${name}=${value}`));
  steps.forEach((step, i) => {
    print(harmless(`${String(i + 1).padStart(2)}. ${step.does}`));
    if (step.argv !== undefined) print(harmless(`      ${step.argv.map(shellWord).join(' ')}`));
    if (step.request !== undefined) print(harmless(`      ${JSON.stringify(step.request)}`));
  });
}
