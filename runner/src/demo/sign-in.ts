import { SignInLink } from '../../../src/protocol.ts';
import { findEdge } from '../client/edge-address.ts';
import { EdgeClient } from '../client/edge-client.ts';

/** A link to the console that signs in once. Its code stands in the fragment: no server and no log sees it. */
export async function signInUrl(url: string, stateDir: string): Promise<string> {
  const { link } = await new EdgeClient(findEdge(stateDir)).post('/v1/console/links', {}, SignInLink);
  return `${url}/console/#signin=${link}`;
}
