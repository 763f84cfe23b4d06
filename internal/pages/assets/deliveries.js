import { has } from './api.js';
import { empty, h, head, keep, put } from './dom.js';
import { plural } from './format.js';
import { live } from './live.js';
import { deliveryRow, subjectOf } from './rows.js';

const SHOWN = 200;

/** What is sent, as it is sent. */
export default {
  title: 'Deliveries',
  show(main, { query, go }) {
    let paused = false;
    let frozen = [];
    const items = h('ol', { class: 'deliveries', 'aria-label': 'Deliveries, the latest first' });
    const none = h('div');
    const count = h('span', { class: 'muted', role: 'status' });
    const search = h('input', { type: 'search', placeholder: 'resource, endpoint, id, reason', 'aria-label': 'Search deliveries', 'data-search': true, value: query.q || '' });
    const only = h('select', { 'aria-label': 'Which deliveries' },
      [['', 'All'], ['failed', 'Failed and given up'], ['delivered', 'Delivered'], ['lifecycle', 'Lifecycle'], ['retried', 'Tried before']].map(([v, t]) => h('option', { value: v, selected: v === (query.only || '') }, t)));
    const pause = h('button', { type: 'button', class: 'pause', 'aria-pressed': 'false', 'data-key-p': true });
    const setPaused = (to) => {
      paused = to;
      frozen = live.all().slice();
      pause.setAttribute('aria-pressed', String(paused));
      draw();
    };
    pause.addEventListener('click', () => setPaused(!paused));
    const changed = () => { go({ q: search.value, only: only.value }); draw(); };
    search.addEventListener('input', changed);
    only.addEventListener('change', changed);
    put(main, head('Deliveries', 'Every POST to every receiver, the moment it has ended.'),
      h('div', { class: 'toolbar' }, search, only, has('GET events') && pause, count), items, none);
    const draw = () => {
      const source = paused ? frozen : live.all();
      const shown = source.filter((d) => fits(d, only.value, search.value.trim().toLowerCase()));
      const fresh = paused ? live.all().filter((d) => !frozen.includes(d)).length : 0;
      put(pause, paused ? `Resume${fresh ? ` (${fresh} new)` : ''}` : 'Pause');
      put(count, paused ? 'Paused. ' : '', search.value || only.value ? `${shown.length} of ${source.length}` : plural(source.length, 'delivery', 'deliveries'), shown.length > SHOWN ? `, the latest ${SHOWN} shown` : '');
      keep(items, shown.slice(0, SHOWN), (d) => d.id, () => '', (d) => deliveryRow(d));
      put(none, shown.length === 0 && empty(source.length ? 'None is like that' : 'Nothing was sent yet', h('p', null, source.length ? 'Another filter shows more.' : 'The moment something is sent, it is here.')));
    };
    draw();
    return { live: draw, keys: { p: () => setPaused(!paused) } };
  },
};

function fits(d, only, text) {
  const failed = d.givenUp || d.reason !== 'delivered';
  if (only === 'failed' && !failed) return false;
  if (only === 'delivered' && failed) return false;
  if (only === 'lifecycle' && !d.notifications.some((n) => n.lifecycleEvent)) return false;
  if (only === 'retried' && !d.notifications.some((n) => n.attempts > 0)) return false;
  if (!text) return true;
  const all = [d.id, d.endpoint, d.reason, d.givenUp, d.status, d.detail, subjectOf(d), ...d.notifications.flatMap((n) => [n.subscriptionId, n.changeId, n.id, n.resource, n.lifecycleEvent])];
  return all.join(' ').toLowerCase().includes(text);
}
