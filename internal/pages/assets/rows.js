// What several pages show in the same way.

import { badge, h } from './dom.js';
import { ago, now, plural, reason, shortUrl, span } from './format.js';

/** A path with its end in sight: what is too long is cut in front of the last two segments. */
export function pathText(path) {
  const parts = path.split('/');
  const end = parts.length > 3 ? `/${parts.splice(-2).join('/')}` : '';
  return h('span', { class: 'path', title: path }, h('span', { class: 'clip' }, parts.join('/')), end && h('span', { class: 'path-end' }, end));
}

function subjectNode(d) {
  const first = d.notifications[0];
  if (!first || first.lifecycleEvent || !first.resource) return h('span', { class: 'clip' }, subjectOf(d));
  return [pathText(first.resource), d.count > 1 && h('span', { class: 'muted more-n' }, `+${d.count - 1}`)];
}

/** What a delivery told of, in a few words. */
export function subjectOf(d) {
  const first = d.notifications[0];
  if (!first) return plural(d.count, 'notification');
  const what = first.lifecycleEvent ? `lifecycle: ${first.lifecycleEvent}` : first.resource || `change ${first.changeId.slice(0, 8)}`;
  return d.count > 1 ? `${what} + ${d.count - 1} more` : what;
}

/** The kind of a delivery for colours. */
export function kindOf(d) { return d.givenUp ? 'bad' : reason(d.reason).kind; }

export function outcome(d) {
  const r = reason(d.givenUp || d.reason);
  return badge(r.kind, d.status && !d.givenUp ? `${d.status} ${r.word}` : r.word);
}

export function changeBadge(n) {
  if (n.lifecycleEvent) return h('span', { class: 'op life', title: 'a lifecycle notification' }, '◇');
  const sign = { created: '+', updated: '~', deleted: '−' }[n.changeType];
  return sign ? h('span', { class: `op ${n.changeType}`, title: n.changeType, role: 'img', 'aria-label': n.changeType }, sign) : null;
}

/** One delivery in a list. */
export function deliveryRow(d) {
  const n = d.notifications[0] || {};
  return h('li', { class: `delivery ${kindOf(d)}` },
    h('a', { href: `#/deliveries/${d.id}`, class: 'delivery-link' },
      h('span', { class: 'delivery-what' }, changeBadge(n), subjectNode(d)),
      h('span', { class: 'delivery-where clip' }, shortUrl(d.endpoint)),
      h('span', { class: 'delivery-outcome' }, outcome(d), n.attempts > 0 && h('span', { class: 'muted' }, `attempt ${n.attempts + 1}`)),
      h('span', { class: 'delivery-took' }, d.givenUp ? '' : span(d.tookMs)),
      h('span', { class: 'delivery-when muted' }, ago(d.started))));
}

/** How much of a lease is left. */
export function lease(sub) {
  const from = Date.parse(sub.renewed || sub.created);
  const to = Date.parse(sub.expires);
  const left = Math.max(0, Math.min(1, (to - now()) / Math.max(1, to - from)));
  const kind = left <= 0 ? 'out' : left < 0.1 ? 'bad' : left < 0.25 ? 'warn' : 'ok';
  return h('div', { class: 'lease' },
    h('div', {
      class: `lease-bar ${kind}`, role: 'meter', 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-valuenow': String(Math.round(left * 100)),
      'aria-label': 'what is left of the lease',
    }, h('span', { style: { width: `${left * 100}%` } })),
    h('span', { class: 'lease-text' }, left > 0 ? 'ends ' : 'ended ', ago(sub.expires)));
}

export function stateBadge(state) {
  const kinds = { active: 'ok', paused: 'warn', expiring: 'warn', unauthorized: 'warn', expired: 'bad', removed: 'bad', healthy: 'ok', slow: 'warn', dropping: 'bad', parked: 'warn' };
  return badge(kinds[state] || 'warn', state);
}
