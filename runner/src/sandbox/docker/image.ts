import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type Docker from 'dockerode';
import { Failure } from '../../failure.ts';
import { inPackage } from '../../project.ts';
import { statusOf, wordsOf } from './engine.ts';

const LIST = inPackage('image/packages.txt');
export const IMAGE_REPOSITORY = 'keywarden/sandbox';
export const IMAGE_LABEL = 'keywarden.image';
export const IMAGE_MEND = 'npx node scripts/sandbox-image.ts makes it from Debian packages; or --image NAME';

/** The packages of the default image, and their digest, which is its tag: another list is another image. */
export function imageRecipe(list: string = LIST): { packages: string[]; digest: string } {
  const packages = readFileSync(list, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .sort();
  return { packages, digest: createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12) };
}

export const defaultImage = (): string => `${IMAGE_REPOSITORY}:${imageRecipe().digest}`;

/** The id of an image that the engine has: what was looked at is what runs, whatever its tag says a moment later. */
export async function imageId(engine: Docker, name: string): Promise<string> {
  try {
    return (await engine.getImage(name).inspect()).Id;
  } catch (error) {
    if (statusOf(error) === 404) throw new Failure(`the engine has no image ${name}`, IMAGE_MEND);
    throw new Failure(`the engine cannot be asked for the image ${name}: ${wordsOf(error)}`, 'keywarden doctor');
  }
}
