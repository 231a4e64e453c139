import { z } from 'zod';
import { agentsSchema, serviceSchema } from './written.ts';

/** JSON Schemas (draft-07, which editors' YAML servers read) of a service's file and of agents.yaml. */
export function editorSchemas(): { service: object; agents: object } {
  const options = { target: 'draft-7', io: 'input', unrepresentable: 'any', reused: 'inline' } as const;
  return {
    service: { title: 'Keywarden service policy', ...z.toJSONSchema(serviceSchema(true), options) },
    agents: { title: 'Keywarden agents policy', ...z.toJSONSchema(agentsSchema, options) },
  };
}
