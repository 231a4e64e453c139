/** What is wrong with an origin as written. */
export interface OriginProblem {
  readonly message: string;
  readonly fix: string;
}

const no = (message: string, fix: string): OriginProblem => ({ message, fix });

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);
const HOST_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Judges an origin: scheme, host and port of exactly one public https server (RFC 6454), spelt in the one way that
 * nothing else reads otherwise. On loopback under `keywarden dev`, also http.
 *
 * @returns Null when it is good.
 */
export function originProblem(text: string, allowLoopback: boolean): OriginProblem | null {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(text);
  if (match === null) return no(`'${text}' is no origin`, 'write scheme and host: https://api.example.com');
  const [, scheme = '', rest = ''] = match;
  if (rest.includes('*'))
    return no('an origin has no wildcard: the credential goes to exactly one host', 'name the host');
  if (/[/?#\\]/.test(rest))
    return no(
      'an origin has no path, query or fragment',
      `write '${scheme}://${rest.split(/[/?#\\]/)[0] ?? ''}' and put the path into the operations`,
    );
  if (rest.includes('@'))
    return no('an origin has no user name', 'write the host alone; the key belongs under credential');
  if (/[^\x21-\x7e]/.test(rest))
    return no('the host is not plain ASCII', 'write an international name in its xn-- form');
  if (/[A-Z]/.test(text)) return no('an origin is lower case', `write '${text.toLowerCase()}'`);

  const authority = /^(\[[^\]]*\]|[^:[\]]*)(?::([0-9]+))?$/.exec(rest);
  if (authority === null) return no(`'${rest}' is no host and port`, 'write host or host:port');
  const [, host = '', port] = authority;
  if (port !== undefined && !(/^[1-9][0-9]{0,4}$/.test(port) && Number(port) <= 65535))
    return no(`'${port}' is no port`, 'write a number from 1 to 65535');
  if ((scheme === 'https' && port === '443') || (scheme === 'http' && port === '80')) {
    return no(`${port} is the port of ${scheme} anyway`, `write '${scheme}://${host}'`);
  }
  if (LOOPBACK.has(host)) {
    return allowLoopback && (scheme === 'http' || scheme === 'https')
      ? null
      : no(
          'an origin on loopback is served only under keywarden dev',
          "name the real server's https origin; for a local edge, check with --dev",
        );
  }
  // An https there would be no better.
  const unfit = hostProblem(host);
  if (unfit !== null || scheme === 'https') return unfit;
  return no(`${scheme} would send the credential in the clear`, `write 'https://${rest}'`);
}

function hostProblem(host: string): OriginProblem | null {
  if (host === '') return no('the host is missing', 'write https://api.example.com');
  if (host.startsWith('[')) return no('an IPv6 address as host', 'write the name of the server');
  if (host.endsWith('.')) return no('the host ends in a dot', `write '${host.replace(/\.+$/, '')}'`);
  if (/[^a-z0-9.-]/.test(host))
    return no(`'${host}' is no host name`, 'letters, digits, dots and hyphens only (RFC 1123 §2.1)');
  const labels = host.split('.');
  const last = labels.at(-1) ?? '';
  // WHATWG URL §4.2 "ends in a number": such a host is read as an IPv4 address, in octal, hex or short forms too.
  if (/^([0-9]+|0x[0-9a-f]*)$/.test(last)) return addressProblem(host);
  if (!labels.every((label) => HOST_LABEL.test(label)) || host.length > 253) {
    return no(`'${host}' is no host name`, 'correct it (RFC 1123 §2.1)');
  }
  if (labels.length === 1) return no(`'${host}' is a name of the local network`, 'write the full public name');
  if (/(^|\.)(localhost|local|internal|lan|intranet|corp|home|arpa|test|invalid|onion)$/.test(host)) {
    return no(
      `'${host}' is not on the public internet (metadata services live on such names)`,
      'write the public name',
    );
  }
  // Public DNS names that answer with whatever address is written in them.
  if (/(^|\.)(nip\.io|sslip\.io|xip\.io|localtest\.me|lvh\.me)$/.test(host)) {
    return no(`'${host}' is a name for an address of anybody's choice`, 'write the name of the service itself');
  }
  return null;
}

/** First octets (and second ones) that are not public: RFC 6890 and its registry. */
const PRIVATE_V4 =
  /^(0|10|127|22[4-9]|23\d|24\d|25[0-5])\.|^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|^169\.254\.|^172\.(1[6-9]|2\d|3[01])\.|^192\.168\.|^192\.0\.[02]\.|^192\.88\.99\.|^198\.1[89]\.|^198\.51\.100\.|^203\.0\.113\./;

function addressProblem(host: string): OriginProblem | null {
  const octet = '(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])';
  if (!new RegExp(`^${octet}(\\.${octet}){3}$`).test(host)) {
    return no(`'${host}' is an IPv4 address in an odd spelling`, 'write the name of the server');
  }
  if (PRIVATE_V4.test(`${host}.`)) return no(`${host} is not a public address`, 'write the name of the public server');
  return null;
}
