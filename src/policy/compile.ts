import { sha256Hex } from '../lib/digest.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { patternCovers } from './grants.ts';
import { agentsPolicyOf, servicePolicyOf } from './normal.ts';
import { ruleConditionProblems } from './rule-conditions.ts';
import type { AgentsPolicy, PolicyBundle, ServicePolicy } from './ruled.ts';
import { problemsOf } from './schema-problems.ts';
import { closestOf } from './spelling.ts';
import { agentsSchema, serviceSchema } from './written.ts';
import { type DocumentPath, distinctProblems, type PolicyProblem, YamlSource } from './yaml-source.ts';

/** Characters of a capability's full name, as tokens and requests for them take it. */
const MAX_CAPABILITY_LENGTH = 128;

export type { PolicyProblem } from './yaml-source.ts';

/** A file of the policy folder; `name` may have folders, and is what problems name. */
export interface PolicyFile {
  readonly name: string;
  readonly text: string;
}

/** One that is there, or a folder, and could not be read. */
export interface UnreadFile {
  readonly name: string;
  /** In words, as `it is a directory`. */
  readonly why: string;
  readonly fix: string;
}

export interface CompileOptions {
  /** Only under `keywarden dev`: origins on loopback, http too. */
  readonly allowLoopbackHttp: boolean;
}

/** What a folder's file is: a service, agents.yaml, fixtures for tests, or nothing of ours. */
export function kindOfFile(name: string): 'service' | 'agents' | 'fixtures' | 'other' {
  if (!/\.ya?ml$/i.test(name)) return 'other';
  const parts = name.split('/');
  if (parts.slice(0, -1).includes('tests')) return 'fixtures';
  return /^agents\.ya?ml$/i.test(parts.at(-1) ?? '') ? 'agents' : 'service';
}

/**
 * Compiles all policies (written → normal → ruled), or says everything that is wrong with them, in order of file and line.
 *
 * @param files  Every file of the folder; what is no policy is passed over. One that could not be read is a problem.
 */
export function compilePolicies(
  files: readonly (PolicyFile | UnreadFile)[],
  options: CompileOptions,
): Result<PolicyBundle, PolicyProblem[]> {
  const compiler = new Compiler(options);
  const read = files.filter((file) => 'text' in file);
  for (const file of files) if (!('text' in file) && kindOfFile(file.name) !== 'fixtures') compiler.unread(file);
  const sorted = read.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const file of sorted) if (kindOfFile(file.name) === 'service') compiler.service(file);
  for (const file of sorted) if (kindOfFile(file.name) === 'agents') compiler.agents(file);
  return compiler.result();
}

class Compiler {
  readonly #options: CompileOptions;
  readonly #problems: PolicyProblem[] = [];
  readonly #services: Record<string, ServicePolicy> = {};
  #agents: AgentsPolicy = { source: 'absent', grants: [] };
  #agentsFile: string | null = null;
  /** Where each service id and each capability's full name was first written. */
  readonly #owners = new Map<string, string>();
  readonly #capabilities = new Set<string>();
  /** False when a file might define what nobody could read: then nothing can be said to be undefined. */
  #namesKnown = true;

  constructor(options: CompileOptions) {
    this.#options = options;
  }

  unread(file: UnreadFile): void {
    this.#problems.push(unreadProblem(file));
    this.#namesKnown = false;
  }

  service(file: PolicyFile): void {
    const source = new YamlSource(file.name, file.text);
    this.#problems.push(...source.problems);
    if (source.problems.length > 0) this.#namesKnown = false;
    for (const reading of source.readings) this.#readService(reading);
  }

  #readService(source: YamlSource): void {
    this.#claimNames(source);
    this.#problems.push(...ruleConditionProblems(source));
    const schema = serviceSchema(this.#options.allowLoopbackHttp);
    const read = schema.safeParse(source.value);
    if (!read.success) {
      this.#problems.push(...problemsOf(read.error.issues, source, schema));
      return;
    }
    this.#services[read.data.service] ??= servicePolicyOf(read.data);
  }

  agents(file: PolicyFile): void {
    const source = new YamlSource(file.name, file.text);
    this.#problems.push(...source.problems);
    const [first] = source.readings;
    if (first === undefined) return;
    if (this.#agentsFile !== null) {
      this.#problems.push(
        first.problemAt([], `${this.#agentsFile} says already who may hold what`, 'keep one of the two'),
      );
      return;
    }
    this.#agentsFile = file.name;
    for (const reading of source.readings) this.#readAgents(reading);
  }

  #readAgents(source: YamlSource): void {
    const read = agentsSchema.safeParse(source.value);
    if (!read.success) {
      this.#problems.push(...problemsOf(read.error.issues, source, agentsSchema));
      return;
    }
    for (const [i, grant] of read.data.agents.entries()) {
      for (const [j, pattern] of grant.may_hold.entries())
        this.#checkGrantable(pattern, ['agents', i, 'may_hold', j], source);
    }
    this.#agents = agentsPolicyOf(read.data);
  }

  #checkGrantable(pattern: string, path: DocumentPath, source: YamlSource): void {
    if (!this.#namesKnown || pattern === '*') return;
    if ([...this.#capabilities].some((name) => patternCovers(pattern, name))) return;
    const near = closestOf(pattern, this.#capabilities);
    this.#problems.push(
      source.problemAt(
        path,
        `no policy has the capability '${pattern}'`,
        near ? `did you mean '${near}'?` : 'name one that a policy has',
      ),
    );
  }

  /** Ids and names are taken from files that are otherwise wrong too, so that one mistake does not make others of it. */
  #claimNames(source: YamlSource): void {
    const value = source.value as { service?: unknown; prefix?: unknown; capabilities?: unknown } | null;
    if (typeof value !== 'object' || value === null || typeof value.service !== 'string') {
      this.#namesKnown = false;
      return;
    }
    const mend = 'one file a service: merge them, or rename one';
    // A copy of a file is one mistake, and not one for each capability.
    if (!this.#claim(`the service '${value.service}'`, ['service'], source, mend)) return;
    const prefix = typeof value.prefix === 'string' ? value.prefix : value.service;
    if (typeof value.capabilities !== 'object' || value.capabilities === null) {
      this.#namesKnown = false;
      return;
    }
    for (const name of Object.keys(value.capabilities)) {
      this.#capabilities.add(`${prefix}:${name}`);
      this.#checkLength(prefix, name, source);
      this.#claim(
        `the capability '${prefix}:${name}'`,
        ['capabilities', name],
        source,
        'rename one, or give the service another prefix',
      );
    }
  }

  /** A longer name is none that a token can be asked for. */
  #checkLength(prefix: string, name: string, source: YamlSource): void {
    const most = MAX_CAPABILITY_LENGTH - prefix.length - 1;
    if (name.length <= most || most < 1) return;
    const what = `the capability's full name has ${prefix.length + 1 + name.length} characters, so that no token can hold it`;
    this.#problems.push(
      source.problemAtKey(['capabilities', name], what, `after '${prefix}:', write at most ${most} characters`),
    );
  }

  /** @returns whether it was free, or is this file's own from another reading of it. */
  #claim(what: string, path: DocumentPath, source: YamlSource, fix: string): boolean {
    const owner = this.#owners.get(what) ?? source.file;
    this.#owners.set(what, owner);
    if (owner === source.file) return true;
    this.#problems.push(source.problemAtKey(path, `${what} is defined in ${owner} already`, fix));
    return false;
  }

  result(): Result<PolicyBundle, PolicyProblem[]> {
    if (this.#problems.length > 0) {
      const byPlace = (a: PolicyProblem, b: PolicyProblem): number =>
        a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1;
      return err(distinctProblems(this.#problems).sort(byPlace));
    }
    return ok({
      format: 1,
      hash: hashOf(this.#services, this.#agents),
      services: this.#services,
      agents: this.#agents,
    });
  }
}

/** A file that could not be read, as a problem of it. */
export const unreadProblem = ({ name, why, fix }: UnreadFile): PolicyProblem => ({
  file: name,
  line: 1,
  column: 1,
  path: '',
  message: `cannot be read: ${why}`,
  fix,
});

/** SHA-256 (hex) of the canonical JSON of services and agents: what audit rows name as the policy in force. */
function hashOf(services: PolicyBundle['services'], agents: AgentsPolicy): string {
  return sha256Hex(JSON.stringify(canonical({ services, agents })));
}

/** Keys in order, so that the same policy has the same text. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, canonical(item)]),
  );
}
