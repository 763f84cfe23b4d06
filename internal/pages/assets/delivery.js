import { control, has, list, order } from './api.js';
import { timing } from './chart.js';
import { action, badge, code, copyButton, empty, facts, h, head, panel, put } from './dom.js';
import { ago, clockTime, plural, pretty, reason, shortUrl, span } from './format.js';
import { changeBadge, kindOf, outcome, subjectOf } from './rows.js';

/** One POST, opened. */
export default {
  title: 'Delivery',
  show(main, { id }) {
    const load = async (signal) => {
      let d;
      try {
        d = await control(`deliveries/${id}`, { signal });
      } catch (error) {
        if (error.status !== 404) throw error;
        put(main, head('Delivery'), empty('It is no longer remembered', h('p', null, 'A server keeps the latest ten thousand, and forgets them when it stops.'), h('p', null, h('a', { href: '#/deliveries' }, 'All deliveries'))));
        return;
      }
      const first = d.notifications[0];
      const attempts = first ? await list(`deliveries?subscription=${first.subscriptionId}&change=${first.changeId}&top=50`, { signal }) : [d];
      draw(main, d, attempts);
    };
    return { load };
  },
};

function draw(main, d, attempts) {
  const why = reason(d.givenUp || d.reason);
  put(main,
    head(subjectOf(d), null,
      has('POST deliveries/{id}/resend') && d.notifications.length > 0 && action('Send again', async () => {
        const r = await order(`deliveries/${d.id}/resend`, {});
        return `${plural(r.notifications, 'notification')} will be sent again.`;
      }, { kind: 'primary', title: 'To where the subscription points now, behind what waits already' })),
    h('p', { class: 'crumb' }, h('a', { href: '#/deliveries' }, 'Deliveries'), ' / ', h('code', null, d.id), ' ', copyButton(() => d.id, 'Copy id')),
    h('section', { class: `outcome ${kindOf(d)}`, 'aria-label': 'How it went' },
      h('div', { class: 'outcome-head' }, outcome(d), h('b', null, shortUrl(d.endpoint)), h('span', { class: 'muted' }, ago(d.started))),
      h('p', null, why.sentence, d.detail && [' ', h('code', null, d.detail)]),
      timing(parts(d))),
    h('div', { class: 'two' },
      panel('Notifications', notifications(d)),
      panel('Attempts', h('ol', { class: 'attempts' }, attempts.toReversed().map((a, i) => h('li', { class: kindOf(a), 'aria-current': a.id === d.id ? 'true' : null },
        h('a', { href: `#/deliveries/${a.id}` }, h('span', { class: 'attempt-n' }, String(i + 1)), outcome(a), h('span', null, a.givenUp ? '' : span(a.tookMs)), h('span', { class: 'muted' }, clockTime(a.started)))))),
      first(d) && h('p', { class: 'more' }, h('a', { href: `#/changes/${first(d).changeId}` }, 'What this change meant to each subscription')))),
    h('div', { class: 'two' }, panel('Request', request(d)), panel('Answer', answer(d))),
    panel('Record', h('details', null, h('summary', null, 'As JSON'), code(pretty(d), { name: 'The delivery as JSON' }))));
}

const first = (d) => d.notifications[0];

// What there is to tell of where the time went.
function parts(d) {
  const out = [];
  const t = d.timingMs || {};
  if (first(d)) {
    const waited = Math.max(0, Date.parse(d.started) - Date.parse(first(d).accepted));
    out.push({ key: 'wait', name: 'in the server', ms: waited, text: span(waited) });
  }
  let at = 0;
  for (const [key, name, field] of [['dns', 'name resolved', 'resolved'], ['connect', 'connected', 'connected'], ['tls', 'TLS', 'secured'], ['answer', 'answer began', 'firstByte']]) {
    if (t[field] === undefined) continue;
    out.push({ key, name, ms: Math.max(0, t[field] - at), text: span(Math.max(0, t[field] - at)) });
    at = t[field];
  }
  if (!d.givenUp) out.push({ key: 'rest', name: at ? 'rest of it' : 'the POST', ms: Math.max(0, d.tookMs - at), text: span(Math.max(0, d.tookMs - at)) });
  return out;
}

function notifications(d) {
  return [
    h('ul', { class: 'notified' }, d.notifications.map((n) => h('li', null,
      h('p', null, changeBadge(n), ' ', h('b', null, n.lifecycleEvent || n.resource || 'a change'), n.attempts > 0 && badge('warn', `${plural(n.attempts, 'failure')} before`)),
      facts(['Subscription', h('a', { href: `#/subscriptions/${n.subscriptionId}` }, h('code', null, n.subscriptionId))],
        ['Change', n.lifecycleEvent ? null : h('a', { href: `#/changes/${n.changeId}` }, h('code', null, n.changeId))],
        ['Notification', h('code', null, n.id)], ['Accepted', ago(n.accepted)])))),
    d.count > d.notifications.length && h('p', { class: 'muted' }, `and ${d.count - d.notifications.length} more that are not listed`),
  ];
}

function request(d) {
  if (!d.request) return h('p', { class: 'muted' }, d.givenUp ? 'Nothing was sent: it was given up.' : 'The body is not kept any more, or others’ notifications are in it.');
  const rich = pretty(d.request).includes('"encryptedContent"');
  return [
    d.sent && code(d.sent.trim(), { name: 'The head of the request' }),
    rich && h('p', null, h('a', { class: 'button', href: `#/decrypt?delivery=${d.id}` }, 'Decrypt and check it')),
    code(pretty(d.request), { name: 'The body of the request' }),
  ];
}

function answer(d) {
  if (d.givenUp) return h('p', { class: 'muted' }, 'There was no POST.');
  const a = d.answer;
  const lines = a ? Object.entries(a.header || {}).flatMap(([name, values]) => values.map((v) => `${name}: ${v}`)) : [];
  return [
    facts(['Status', d.status ? String(d.status) : 'none'], ['In', span(d.tookMs)], ['Address', d.address], ['TLS', d.tls],
      ['Connection', d.sent ? (d.reused ? 'kept from before' : 'made for this') : null]),
    lines.length > 0 && code(lines.join('\n'), { name: 'The headers of the answer' }),
    a && (a.body || a.bodyBase64) ? code(a.body || a.bodyBase64, { name: 'The body of the answer' }) : h('p', { class: 'muted' }, a ? 'It had no body.' : 'Nothing is kept of it.'),
    a && a.truncated && h('p', { class: 'muted' }, 'It went on; only its beginning is kept.'),
  ];
}
