import { useState } from 'preact/hooks';
import type { CapabilityPolicyJson, ExplainResponse, PoliciesResponse } from '../../../src/protocol.ts';
import { get, post } from '../api.ts';
import { Code, duration, Empty, Failed, PageHead, plain, Tag, toneOf, useLoad } from '../ui.tsx';

export function Policies() {
  const { data, error } = useLoad<PoliciesResponse>((signal) => get('/v1/policies', {}, signal), 'policies');
  const [text, setText] = useState('');
  if (data === null)
    return (
      <section class="page policies">
        <PageHead title="Policies" />
        {error === null ? <div class="loading" aria-busy="true" /> : <Failed text={error} />}
      </section>
    );
  const fits = (one: CapabilityPolicyJson): boolean =>
    `${one.name} ${one.title} ${one.description}`.toLowerCase().includes(text.toLowerCase());
  const services = data.services
    .map((service) => ({ ...service, capabilities: service.capabilities.filter(fits) }))
    .filter((service) => service.capabilities.length > 0 || text === '');
  return (
    <section class="page policies">
      <PageHead title="Policies">
        <label class="inline">
          Search
          <input type="search" data-search value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
      </PageHead>
      <Explain data={data} />
      <h2>What may be done</h2>
      {services.map((service) => (
        <details key={service.service} class="service" open={text !== '' || data.services.length < 4}>
          <summary data-row>
            <b>{plain(service.title)}</b> <span class="dim mono">{plain(service.origin)}</span>
            <span class="dim">{service.capabilities.length} capabilities</span>
          </summary>
          {service.description === '' ? null : <p class="dim">{plain(service.description)}</p>}
          <ul class="capabilities">
            {service.capabilities.map((one) => (
              <li key={one.name}>
                <Capability one={one} />
              </li>
            ))}
          </ul>
          {service.deny.length === 0 ? null : (
            <p class="never">
              <b>Never, whoever asks:</b>{' '}
              {service.deny.map((rule, index) => (
                <span key={index}>
                  <Code>{rule.text}</Code>
                  {rule.when === null ? '' : ' when '}
                  {rule.when === null ? null : <Code>{rule.when}</Code>}{' '}
                </span>
              ))}
            </p>
          )}
        </details>
      ))}
      {services.length === 0 ? <Empty title="No capability fits" /> : null}
      <h2>Who may hold what</h2>
      {data.agents.source === 'absent' ? (
        <p class="notice">
          There is no agents.yaml. Under keywarden dev any agent may hold anything; in production none may.
        </p>
      ) : (
        <ol class="grants">
          {data.agents.grants.map((grant) => (
            <li key={grant.agent}>
              <p>
                <b class="mono">{plain(grant.agent === '*' ? 'everybody else' : grant.agent)}</b> may hold tokens of at
                most {duration(grant.max_ttl_seconds)}
                {grant.limit === null ? '' : `, ${rate(grant.limit)} in all`}, for:
              </p>
              <p class="chips">
                {grant.may_hold.map((name) => (
                  <Code key={name}>{name}</Code>
                ))}
              </p>
            </li>
          ))}
        </ol>
      )}
      <p class="dim small mono hashes">policies {data.hash}</p>
    </section>
  );
}

const rate = ({ count, period_ms }: { count: number; period_ms: number }): string =>
  `${count} calls in ${duration(period_ms / 1000)}`;

function Capability({ one }: { one: CapabilityPolicyJson }) {
  return (
    <>
      <p class="capability-title">
        <b>{plain(one.title)}</b> <Code>{one.name}</Code>
      </p>
      {one.description === '' ? null : <p class="dim">{plain(one.description)}</p>}
      <p class="sentence">
        Allows{' '}
        {one.allow.map((rule, index) => (
          <span key={index}>
            {index === 0 ? '' : index === one.allow.length - 1 ? ' and ' : ', '}
            <Code>{rule.text}</Code>
            {rule.when === null ? null : (
              <>
                {' '}
                when <Code>{rule.when}</Code>
              </>
            )}
          </span>
        ))}
        {one.when === null ? null : (
          <>
            , if <Code>{one.when}</Code>
          </>
        )}
        {one.deny.length === 0 ? null : (
          <>
            , but never{' '}
            {one.deny.map((rule, index) => (
              <Code key={index}>{rule.text}</Code>
            ))}
          </>
        )}
        {one.limit === null ? '' : `, at most ${rate(one.limit)}`}.
        {one.approval === null ? null : (
          <>
            {' '}
            <Tag tone="warn">asks a person</Tag> {one.approval.when === null ? 'Always. ' : null}
            {one.approval.when === null ? null : (
              <>
                When <Code>{one.approval.when}</Code>.{' '}
              </>
            )}
            {plain(one.approval.words)}
          </>
        )}
      </p>
    </>
  );
}

function Explain({ data }: { data: PoliciesResponse }) {
  const [answer, setAnswer] = useState<ExplainResponse | null>(null);
  const [error, setError] = useState<string | null>(null);
  const names = data.services.flatMap((service) => service.capabilities.map((one) => one.name));
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const of = (name: string): string => String(form.get(name) ?? '').trim();
    const cut = /^\/?(?:proxy\/)?([^/?]+)(.*)$/.exec(of('target'));
    setError(null);
    try {
      setAnswer(
        await post<ExplainResponse>('/v1/policies/explain', {
          agent_id: of('agent'),
          capabilities: of('capabilities')
            .split(/[\s,]+/)
            .filter(Boolean),
          service: cut?.[1] ?? '',
          method: of('method'),
          target: cut?.[2] || '/',
          ...(of('body') === '' ? {} : { body: of('body'), headers: { 'content-type': of('type') } }),
        }),
      );
    } catch (failure) {
      setAnswer(null);
      setError((failure as Error).message);
    }
  };
  return (
    <section class="panel explain">
      <h2>Would this be allowed?</h2>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Agent
          <input name="agent" required placeholder="support" />
        </label>
        <label class="wide">
          Capabilities of its token
          <input name="capabilities" list="capability-names" placeholder={names[0] ?? ''} autoComplete="off" />
        </label>
        <datalist id="capability-names">
          {names.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <label>
          Method
          <select name="method">
            {['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'].map((method) => (
              <option key={method}>{method}</option>
            ))}
          </select>
        </label>
        <label class="wide">
          Service and path
          <input name="target" required placeholder={`${data.services[0]?.service ?? 'service'}/v1/…`} />
        </label>
        <label>
          Body is
          <select name="type">
            <option>application/json</option>
            <option>application/x-www-form-urlencoded</option>
          </select>
        </label>
        <label class="wide">
          Body
          <textarea name="body" rows={1} spellcheck={false} />
        </label>
        <button type="submit" class="primary">
          Explain
        </button>
      </form>
      <Failed text={error} />
      {answer === null ? null : (
        <div class="answer" role="status">
          <p class="verdict">
            <Tag tone={toneOf(answer.verdict)}>
              {answer.verdict === 'allow' ? 'allowed' : answer.verdict === 'deny' ? 'denied' : 'needs a person'}
            </Tag>{' '}
            {plain(answer.words.find((line) => /^(Allowed|Denied|Needs)/.test(line)) ?? '')}
          </p>
          {answer.not_grantable.length === 0 ? null : (
            <p class="notice">But no such token can be had: {answer.not_grantable.map(plain).join(', ')}.</p>
          )}
          <ul class="reasons">
            {answer.rules.map((rule, index) => (
              <li key={index}>
                <Tag tone={rule.effect === 'deny' ? 'bad' : rule.held ? 'good' : ''}>
                  {rule.effect === 'deny' ? 'forbids' : rule.held ? 'allows' : 'not held'}
                </Tag>{' '}
                <Code>{rule.capability}</Code> <Code>{rule.operation}</Code>
                {rule.conditions.map((one, at) => (
                  <p key={at} class="condition">
                    {one.value === true ? '✓' : one.value === false ? '✗' : '?'} <Code>{one.text}</Code>{' '}
                    {one.why === null ? null : <span class="dim">{plain(one.why)}</span>}
                  </p>
                ))}
              </li>
            ))}
            {answer.rules.length === 0 ? <li class="dim">No rule fits this method and path.</li> : null}
          </ul>
        </div>
      )}
    </section>
  );
}
