import { control, has, list } from './api.js';
import { empty, facts, h, head, keep, panel, put } from './dom.js';
import { ago, reason, shortUrl } from './format.js';
import { changeBadge, deliveryRow, pathText } from './rows.js';
import { subscriptions } from './subscriptions.js';

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The changes of the log, to find the one that somebody misses. */
export const all = {
  title: 'Why not?',
  show(main, { query, go }) {
    const rows = h('ol', { class: 'deliveries changes', 'aria-label': 'Changes, the latest first' });
    const none = h('div');
    const search = h('input', { type: 'search', placeholder: 'a part of the resource’s path, or a change’s id', 'aria-label': 'Search changes', 'data-search': true, value: query.q || '' });
    let running = null;
    const load = async (signal) => {
      const text = search.value.trim();
      const found = has('GET changes') ? await list(`changes?top=100&contains=${encodeURIComponent(GUID.test(text) ? '' : text)}`, { signal }) : [];
      keep(rows, found, (c) => c.id, () => '', (c) => h('li', { class: 'delivery' },
        h('a', { class: 'delivery-link', href: `#/changes/${c.id}` },
          h('span', { class: 'delivery-what' }, changeBadge(c), pathText(c.resource)),
          h('span', { class: 'delivery-where clip muted' }, h('code', null, c.id)),
          h('span', { class: 'delivery-when muted' }, ago(c.accepted)))));
      put(none, found.length === 0 && empty(text ? 'No change of the log is like that' : has('GET changes') ? 'Nothing has changed yet' : 'Say the id of a change',
        h('p', null, text && !GUID.test(text) ? 'Was it published at all? A publisher that heard 202 has the change’s id in the answer.' : 'What is published is listed here, with what it meant to each subscription.')));
    };
    search.addEventListener('input', () => {
      go({ q: search.value });
      clearTimeout(running);
      running = setTimeout(() => load().catch(() => {}), 200);
    });
    search.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && GUID.test(search.value.trim())) location.hash = `#/changes/${search.value.trim()}`;
    });
    put(main, head('Why did I not get it?', 'Pick the change that you miss, and see what it meant to each subscription.'),
      h('div', { class: 'toolbar' }, search), rows, none);
    return { load, every: 5000 };
  },
};

/** What one change meant to each subscription. */
export const one = {
  title: 'Why not?',
  show(main, { id }) {
    return {
      every: 5000,
      load: async (signal) => {
        let c;
        try {
          c = await control(`changes/${id}`, { signal });
        } catch (error) {
          if (error.status !== 404) throw error;
          put(main, head('Why did I not get it?'), empty('The log has no such change', h('p', null, 'It was never accepted, it is older than what the log keeps, or it is of another tenant.'), h('p', null, h('a', { href: '#/changes' }, 'The latest changes'))));
          return;
        }
        const others = (await subscriptions(signal)).filter((s) => !c.subscriptions.some((f) => f.subscriptionId === s.id));
        const signature = JSON.stringify([c, others.map((s) => [s.id, s.state])]);
        if (main.dataset.shown === signature && main.querySelector('[data-change]')) return;
        main.dataset.shown = signature;
        draw(main, c, others);
      },
    };
  },
};

function draw(main, c, others) {
  const got = c.subscriptions.filter((f) => f.deliveries.some((d) => d.reason === 'delivered' && !d.givenUp));
  const all = c.subscriptions.length;
  const verdict = all === 0 ? 'No subscription watches a path that it is visible under.'
    : got.length === all ? (all === 1 ? 'The subscription that watches it has it.' : `All ${all} subscriptions that watch it have it.`)
      : all === 1 ? 'The subscription that watches it did not get it. This is why.'
        : `Of ${all} subscriptions that watch it, ${got.length === 0 ? 'none' : got.length} got it. This is why.`;
  put(main,
    head('Why did I not get it?', verdict),
    h('p', { class: 'crumb', 'data-change': true }, h('a', { href: '#/changes' }, 'Changes'), ' / ', h('code', null, c.id)),
    panel('The change', facts(['What', [changeBadge(c), ' ', c.changeType]], ['Resource', h('code', { class: 'break' }, c.resource)], ['Accepted', ago(c.accepted)])),
    panel('Subscriptions that watch it', c.subscriptions.length === 0 ? empty('There is none', h('p', null, 'Compare the paths below with the resource above.')) : h('ul', { class: 'fates' }, c.subscriptions.map(fate))),
    others.length > 0 && panel('Subscriptions that do not', h('ul', { class: 'fates' }, others.slice(0, 50).map((s) => h('li', { class: 'other' },
      h('p', null, h('a', { href: `#/subscriptions/${s.id}` }, s.resource), ' ', h('span', { class: 'muted' }, s.changeType, ', ', shortUrl(s.notificationUrl))),
      h('p', { class: 'muted' }, 'watches another path', s.created && Date.parse(s.created) > Date.parse(c.accepted) ? ', and was created after the change' : ''))))));
}

function fate(f) {
  const sent = f.deliveries.find((d) => d.reason === 'delivered' && !d.givenUp);
  const last = f.deliveries[0];
  const [kind, title, text] = f.withheld ? [reason(f.withheld).kind, reason(f.withheld).word, reason(f.withheld).sentence]
    : sent ? ['ok', 'delivered', 'The receiver answered with a 2xx: it has it. If the application did not see it, look there.']
      : last ? [reason(last.givenUp || last.reason).kind, reason(last.givenUp || last.reason).word, reason(last.givenUp || last.reason).sentence]
        : ['warn', 'not sent yet', 'It waits for its turn, or its delivery is no longer remembered.'];
  return h('li', { class: kind },
    h('p', null, h('span', { class: `badge ${kind}` }, title), ' ', h('a', { href: `#/subscriptions/${f.subscriptionId}` }, h('code', null, f.subscriptionId)), ' ', h('span', { class: 'muted' }, shortUrl(f.endpoint))),
    h('p', null, text),
    f.deliveries.length > 0 && h('ol', { class: 'deliveries short' }, f.deliveries.map((d) => deliveryRow(d))));
}
