import type { ApprovalDetail, ShownValue } from '../../../src/protocol.ts';
import { plain, Tag } from '../ui.tsx';

/** The body of a request that waits for a person, as a tree of what it says. */
export function Body({ body }: { body: ApprovalDetail['body'] }) {
  const size = `${body.bytes.toLocaleString('en')} bytes${body.content_type === null ? '' : ` of ${plain(body.content_type)}`}`;
  if (body.form === 'none') return <p class="dim">No body.</p>;
  return (
    <>
      {body.unreadable === null ? null : (
        <p class="notice">
          Not read strictly: {plain(body.unreadable.replaceAll('_', ' '))}. What the service makes of it may differ.
        </p>
      )}
      {body.value === null ? (
        <p class="dim mono">binary · sha256 {body.sha256}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section class="tree mono" tabIndex={0} aria-label="Body">
          <Tree node={body.value as ShownValue} />
        </section>
      )}
      <p class="dim small">{size}</p>
    </>
  );
}

function Tree({ node, name }: { node: ShownValue; name?: string }) {
  const label = name === undefined ? null : <span class="tree-name">{plain(name)}</span>;
  if (node.kind === 'object' || node.kind === 'list') {
    const children =
      node.kind === 'object'
        ? node.entries.map((entry, index) => <Tree key={index} name={entry.name} node={entry.value} />)
        : node.items.map((item, index) => <Tree key={index} name={String(index)} node={item} />);
    const count = children.length + node.more;
    return (
      <details open>
        <summary>
          {label}
          <span class="dim">{node.kind === 'object' ? '{…}' : count === 1 ? '1 item' : `${count} items`}</span>
        </summary>
        {children}
        {node.more > 0 ? <p class="dim">and {node.more} more</p> : null}
      </details>
    );
  }
  return (
    <p class="leaf">
      {label}
      <span class={`value ${node.kind}`}>{leafText(node)}</span>
      {node.kind === 'string' && node.masked === true ? <Tag tone="warn">masked</Tag> : null}
      {node.kind === 'string' && node.length !== undefined ? (
        <span class="small unseen"> … not all is shown: {node.length.toLocaleString('en')} characters</span>
      ) : null}
      {node.kind === 'number' && node.inexact === true ? (
        <span class="small unseen"> … too large to be shown exactly</span>
      ) : null}
    </p>
  );
}

function leafText(node: Exclude<ShownValue, { kind: 'object' | 'list' }>): string {
  switch (node.kind) {
    case 'string':
      return plain(node.text);
    case 'number':
      return node.text;
    case 'boolean':
      return String(node.value);
    case 'cut':
      return '… not shown';
    case 'null':
      return 'null';
  }
}
