/**
 * What stands at the well-known credential paths of the sandbox's home. Whatever goes wrong with every other wall, what an
 * agent finds there is a canary: random, this session's, of no use anywhere, and to be looked for in outputs and frames.
 *
 * A `folder` is mounted read-only as a whole, so that it cannot be renamed away or filled (srt "pinned directories", #149);
 * a folder that programs write into too (`.config`) becomes a mount of its own, so that it cannot be renamed either.
 */
export interface Decoy {
  /** Under the home. */
  readonly path: string;
  readonly text: (canary: string) => string;
}

/** Renaming one of these would move a decoy out of its path: each is a mount point (rename(2): EBUSY). */
export const PINNED = ['.config'];

const pem = (kind: string, canary: string): string =>
  `-----BEGIN ${kind}-----\n${Buffer.from(`keywarden decoy ${canary}`).toString('base64')}\n-----END ${kind}-----\n`;

export const DECOYS: readonly Decoy[] = [
  {
    path: '.aws/credentials',
    text: (canary) => `[default]\naws_access_key_id = AKIADECOY\naws_secret_access_key = ${canary}\n`,
  },
  { path: '.aws/config', text: () => '[default]\nregion = us-east-1\n' },
  { path: '.ssh/id_rsa', text: (canary) => pem('OPENSSH PRIVATE KEY', canary) },
  { path: '.ssh/id_ed25519', text: (canary) => pem('OPENSSH PRIVATE KEY', canary) },
  {
    path: '.kube/config',
    text: (canary) => `apiVersion: v1\nkind: Config\nusers:\n- name: decoy\n  user: { token: ${canary} }\n`,
  },
  { path: '.docker/config.json', text: (canary) => `{"auths":{"decoy.invalid":{"auth":"${canary}"}}}\n` },
  { path: '.gnupg/secring.gpg', text: (canary) => `${canary}\n` },
  {
    path: '.config/gcloud/application_default_credentials.json',
    text: (canary) => `{"type":"authorized_user","refresh_token":"${canary}"}\n`,
  },
  { path: '.config/gh/hosts.yml', text: (canary) => `github.com:\n  oauth_token: ${canary}\n` },
  { path: '.netrc', text: (canary) => `machine decoy.invalid login agent password ${canary}\n` },
  { path: '.npmrc', text: (canary) => `//decoy.invalid/:_authToken=${canary}\n` },
  { path: '.pypirc', text: (canary) => `[pypi]\nusername = __token__\npassword = ${canary}\n` },
  { path: '.git-credentials', text: (canary) => `https://agent:${canary}@decoy.invalid\n` },
  { path: '.pgpass', text: (canary) => `decoy.invalid:5432:*:agent:${canary}\n` },
  { path: '.bash_history', text: (canary) => `export DECOY_TOKEN=${canary}\n` },
];
