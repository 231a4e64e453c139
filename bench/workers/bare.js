/** The least a Worker proxy can do: one fetch with the credential, its answer handed back. */
export default {
  fetch(request, env) {
    const { url } = request;
    return fetch(env.UPSTREAM + url.slice(url.indexOf('/', 8)), { headers: { authorization: env.CREDENTIAL } });
  },
};
