import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { PolicyFile, UnreadFile } from '../../../src/offline.ts';
import { Failure } from '../failure.ts';

/** What looks like a policy by its name. */
const POLICY = /\.ya?ml$/i;

/**
 * Reads the YAML files of a policy directory and of the folders below, sorted by name; names are relative to it, with `/`.
 * The build reads by this too, so that what is checked is what is deployed. Whatever looks like a policy is read, or comes
 * back as unread; what begins with a dot (editors' files, hidden folders) and node_modules are passed over.
 *
 * @throws Failure when the directory itself cannot be read.
 */
export function readPolicyFiles(directory: string): (PolicyFile | UnreadFile)[] {
  return listed(directory).files.map((one) => (typeof one === 'string' ? fileAt(directory, one) : one));
}

/**
 * The directory and every folder below in which policies may stand, by their real paths, and the policies that are links to
 * files elsewhere; none while it cannot be read.
 */
export function policyPlaces(directory: string): string[] {
  try {
    const { folders, links } = listed(directory);
    return [...folders, ...links];
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

interface Listing {
  readonly files: (string | UnreadFile)[];
  /** A link may lead to one that was read already. */
  readonly folders: Set<string>;
  readonly links: string[];
}

function listed(directory: string): Listing {
  const listing: Listing = { files: [], folders: new Set(), links: [] };
  try {
    list(directory, '', listing);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'it is not there' : code === 'ENOTDIR' ? 'it is a file' : message;
    throw new Failure(`cannot read the policies in ${directory}: ${why}`, 'name the directory that holds them');
  }
  return listing;
}

function list(root: string, below: string, into: Listing): void {
  const folder = join(root, below);
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  const real = realpathSync(folder);
  if (into.folders.has(real)) return;
  into.folders.add(real);
  for (const entry of entries) {
    const each = entry.name;
    if (each.startsWith('.') || each === 'node_modules') continue;
    const name = below === '' ? each : `${below}/${each}`;
    if (POLICY.test(each)) {
      into.files.push(name);
      if (entry.isSymbolicLink()) into.links.push(join(root, name));
    } else if (isFolder(join(root, name))) {
      try {
        list(root, name, into);
      } catch (error) {
        into.files.push(unread(name, error));
      }
    }
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

const NOT_UTF8 = { why: 'it is not UTF-8 text', fix: 'save it as UTF-8' };

function fileAt(directory: string, name: string): PolicyFile | UnreadFile {
  const path = join(directory, name);
  try {
    const found = statSync(path);
    if (found.isDirectory()) return { name, why: 'it is a directory', fix: 'give it another name, without the ending' };
    // A pipe would be waited for.
    if (!found.isFile()) return { name, why: 'it is no regular file', fix: 'remove it' };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
    // UTF-16 is valid UTF-8 where it holds ASCII only.
    return text.includes('\0') ? { name, ...NOT_UTF8 } : { name, text };
  } catch (error) {
    return unread(name, error);
  }
}

function unread(name: string, error: unknown): UnreadFile {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return { name, ...NOT_UTF8 };
    case 'EACCES':
    case 'EPERM':
      return { name, why: 'permission denied', fix: 'give this user the right to read it' };
    case 'ENOENT':
      return { name, why: 'it links to what is not there', fix: 'mend or remove the link' };
    case 'ELOOP':
      return { name, why: 'it links to itself', fix: 'mend or remove the link' };
    default:
      return { name, why: message, fix: 'mend or remove it' };
  }
}

/** How people see a file of the directory: from where they stand, when it is below. */
export function shownName(directory: string, name: string): string {
  const path = join(directory, name);
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}
