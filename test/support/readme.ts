import { readFileSync } from 'node:fs';

/** The examples of policies/README.md, as a reader would copy them: its YAML blocks in order. */
export const readmeExamples: readonly string[] = [
  ...readFileSync(new URL('../../policies/README.md', import.meta.url), 'utf8').matchAll(/```yaml\n(.*?)```/gs),
].map((match) => match[1] as string);

/** The one example in which a text stands. */
export function readmeExample(text: string): string {
  const [example, ...others] = readmeExamples.filter((one) => one.includes(text));
  if (example === undefined || others.length > 0) throw new Error(`not exactly one example with '${text}'`);
  return example;
}
