import { control, get, has, list, order } from './api.js';
import { action, badge, code, copyButton, empty, facts, h, head, keep, panel, put } from './dom.js';
import { ago, now, plural, pretty, reason, shortUrl } from './format.js';
import { live } from './live.js';
import { deliveryRow, lease, outcome, pathText, stateBadge } from './rows.js';

/** The subscriptions that the caller may see, the youngest first. */
export async function subscriptions(signal) {
  const found = [];
  let path = '/control/v1/subscriptions';
  while (path && found.length < MOST) {
    const page = await get(path, { signal });
    found.push(...page.value);
    path = page.next;
  }
  return found.reverse();
}

// More are not looked at one by one.
const MOST = 2000;

/** All subscriptions. */
export const all = {
  title: 'Subscriptions',
  show(main, { query, go }) {
    let found = null;
    const body = h('tbody');
    const none = h('div');
    const count = h('span', { class: 'muted', role: 'status' });
    const search = h('input', { type: 'search', placeholder: 'resource, URL, id, application', 'aria-label': 'Search subscriptions', 'data-search': true, value: query.q || '' });
    search.addEventListener('input', () => { go({ q: search.value }); draw(); });
    const table = h('div', { class: 'table-wrap' }, h('table', { class: 'table stack' },
      h('thead', null, h('tr', null, ['Resource', 'State', 'Lease', 'Endpoint', 'Last delivery', 'Last error'].map((t) => h('th', { scope: 'col' }, t)))), body));
    put(main, head('Subscriptions', 'Leases on the changes of a resource: who wants what, where it goes, and until when.'),
      h('div', { class: 'toolbar' }, search, count), table, none);
    const draw = () => {
      if (!found) return;
      const text = search.value.trim().toLowerCase();
      const shown = found.filter((s) => [s.id, s.resource, s.notificationUrl, s.applicationId, s.changeType, s.state].join(' ').toLowerCase().includes(text));
      put(count, text ? `${shown.length} of ${found.length}` : plural(found.length, 'subscription'));
      keep(body, shown, (s) => s.id, (s) => JSON.stringify([s, Math.floor(now() / 15_000)]), row);
      table.hidden = shown.length === 0;
      put(none, shown.length === 0 && empty(found.length ? 'None is like that' : 'Nobody has subscribed yet',
        !found.length && h('p', null, 'The ', h('a', { href: '#/' }, 'overview'), ' has the commands for a first one.')));
    };
    return { load: async (signal) => { found = await subscriptions(signal); draw(); }, every: 5000, live: draw };
  },
};

function row(s) {
  const [last, failure] = [s.lastDelivery, s.lastError];
  return h('tr', null,
    h('th', { scope: 'row' }, h('a', { href: `#/subscriptions/${s.id}`, class: 'row-link' }, pathText(s.resource)),
      h('span', { class: 'sub-line' }, s.changeType, s.includeResourceData && badge('plain', 'with data'), s.lifecycleNotificationUrl && badge('plain', 'lifecycle'))),
    h('td', { 'data-label': 'State' }, stateBadge(s.state), s.reason && h('span', { class: 'sub-line' }, reason(s.reason).word)),
    h('td', { 'data-label': 'Lease' }, lease(s)),
    h('td', { 'data-label': 'Endpoint', class: 'clip-cell' }, h('span', { class: 'clip', title: s.notificationUrl }, shortUrl(s.notificationUrl))),
    h('td', { 'data-label': 'Last delivery' }, last ? h('a', { href: `#/deliveries/${last.id}` }, ago(last.at)) : h('span', { class: 'muted' }, 'none')),
    h('td', { 'data-label': 'Last error' }, failure ? h('a', { href: `#/deliveries/${failure.id}` }, outcome(failure), ' ', ago(failure.at)) : h('span', { class: 'muted' }, 'none')));
}

// What is done with it next, if nothing happens meanwhile.
function next(step) {
  if (!step) return null;
  const what = step.do === 'tell' ? step.lifecycleEvent : step.do === 'remove' ? 'it is removed' : 'it expires';
  return [what, ' ', ago(step.at), h('span', { class: 'muted' }, ` (${reason(step.reason).word})`)];
}

/** One subscription. */
export const one = {
  title: 'Subscription',
  show(main, { id }) {
    const body = h('div', { class: 'flow' });
    put(main, body);
    let shown = '';
    const latest = h('ol', { class: 'deliveries', 'aria-label': 'Its deliveries' });
    let older = [];
    const drawLatest = () => {
      const mine = new Map();
      for (const d of [...live.all().filter((x) => x.notifications.some((n) => n.subscriptionId === id)), ...older]) mine.set(d.id, d);
      const items = [...mine.values()].slice(0, 40);
      keep(latest, items, (d) => d.id, () => '', (d) => deliveryRow(d));
      if (items.length === 0) put(latest, h('li', { class: 'none' }, empty('Nothing was delivered yet')));
    };
    const load = async (signal) => {
      let s;
      try {
        s = await control(`subscriptions/${id}`, { signal });
      } catch (error) {
        if (error.status !== 404) throw error;
        put(body, head('Subscription'), empty('It is gone', h('p', null, 'It was deleted, has expired, or is not yours to see. Its id is never used again.')));
        return;
      }
      older = await list(`deliveries?subscription=${id}&top=40`, { signal });
      delete s.deliveries;
      const signature = JSON.stringify([s, Math.floor(now() / 15_000)]);
      if (signature !== shown) {
        shown = signature;
        const focused = body.contains(document.activeElement);
        if (!focused || !body.firstChild) drawOne(body, s, latest, load);
      }
      drawLatest();
    };
    return { load, every: 5000, live: drawLatest };
  },
};

function drawOne(body, s, latest, reload) {
  put(body,
    head(s.resource, null, stateBadge(s.state)),
    h('p', { class: 'crumb' }, h('a', { href: '#/subscriptions' }, 'Subscriptions'), ' / ', h('code', null, s.id), ' ', copyButton(() => s.id, 'Copy id')),
    h('div', { class: 'lease-large' }, lease(s)),
    h('div', { class: 'two' },
      panel('What it asks for', facts(
        ['Resource', h('code', null, s.resource)], ['Change types', s.changeType],
        ['Endpoint', h('code', { class: 'break' }, s.notificationUrl)],
        ['Lifecycle endpoint', s.lifecycleNotificationUrl && h('code', { class: 'break' }, s.lifecycleNotificationUrl)],
        ['Resource data', s.includeResourceData ? 'encrypted' : 'no'],
        ['Application', h('code', null, s.applicationId)], ['Created by', [s.delegated ? 'the user ' : 'the application itself, ', h('code', null, s.creatorId)]],
        ['Created', ago(s.created)], ['Renewed', s.renewed && ago(s.renewed)], ['Reauthorized', s.reauthorized && ago(s.reauthorized)],
        ['Authorized until', s.authorizedUntil && ago(s.authorizedUntil)], ['Ends', ago(s.expires)], ['State', [s.state, s.since && [' since ', ago(s.since)], s.reason && `, ${reason(s.reason).word}`, s.detail && `: ${s.detail}`]],
        ['Next', next(s.next)], ['Something was lost', s.missed && ['its owner is being told since ', ago(s.missed)]]),
      h('details', null, h('summary', null, 'As JSON'), code(pretty(s), { name: 'The subscription as JSON' }))),
      panel('Do something', buttons(s, reload))),
    panel('Deliveries', latest));
}

function buttons(s, reload) {
  const parts = [];
  if (has('POST subscriptions/{id}/replay')) {
    const choice = h('select', { 'aria-label': 'From when on' }, [['5', 'the last 5 minutes'], ['60', 'the last hour'], ['1440', 'the last day'], ['', 'its beginning']].map(([v, t]) => h('option', { value: v }, t)));
    parts.push(h('div', { class: 'do' }, h('h3', null, 'Replay'), h('p', null, 'Send again what it was told of, in order.'),
      h('div', { class: 'row' }, choice, action('Replay', async () => {
        const since = choice.value ? new Date(now() - Number(choice.value) * 60_000) : new Date(Date.parse(s.created) || 0);
        const r = await order(`subscriptions/${s.id}/replay`, { since: since.toISOString() });
        return `${plural(r.notifications, 'notification')} will be sent again.`;
      }))));
  }
  if (has('POST subscriptions/{id}/lifecycle')) {
    parts.push(h('div', { class: 'do' }, h('h3', null, 'Lifecycle'), h('p', null, s.lifecycleNotificationUrl ? 'Provoke what Graph sends when something happens to a subscription.' : 'It has no lifecycle endpoint, so it is told of none of these.'),
      h('div', { class: 'row' }, [['missed', ''], ['reauthorizationRequired', ''], ['subscriptionRemoved', 'danger']].map(([event, kind]) => action(event, async () => {
        await order(`subscriptions/${s.id}/lifecycle`, { event });
        await reload();
        return `${event} is on its way.`;
      }, { kind, confirm: event === 'subscriptionRemoved' ? 'This ends the subscription, as Graph does. Go on?' : null })))));
  }
  if (parts.length === 0) parts.push(h('p', { class: 'muted' }, 'This server offers nothing to do here.'));
  return parts;
}
