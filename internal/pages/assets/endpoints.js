import { control, has, list, order } from './api.js';
import { health } from './chart.js';
import { action, empty, facts, h, head, keep, put } from './dom.js';
import { ago, now, percent, plural, reason, shortUrl, span } from './format.js';
import { stateBadge } from './rows.js';

/** Receivers, how they are and how they were. */
export default {
  title: 'Endpoints',
  show(main, { query, go }) {
    const cards = h('ul', { class: 'endpoints' });
    const none = h('div');
    const search = h('input', { type: 'search', placeholder: 'a part of the URL', 'aria-label': 'Search endpoints', 'data-search': true, value: query.q || '' });
    const legend = h('p', { class: 'legend' });
    let found = [];
    let rules = null;
    let past = new Map();
    const draw = () => {
      const text = search.value.trim().toLowerCase();
      const shown = found.filter((e) => e.endpoint.toLowerCase().includes(text) && (!query.focus || e.endpoint === query.focus));
      keep(cards, shown.slice(0, 100), (e) => e.endpoint, (e) => JSON.stringify([e, (past.get(e.endpoint) || []).length, Math.floor(now() / 10_000)]), (e) => card(e, past.get(e.endpoint) || [], rules, load));
      put(none, query.focus && h('p', { class: 'more' }, h('a', { href: '#/endpoints' }, 'All endpoints')),
        shown.length === 0 && empty(found.length ? 'None is like that' : 'No endpoint had anything to do lately', h('p', null, 'An endpoint appears when something is sent to it.')));
    };
    search.addEventListener('input', () => { go({ q: search.value }); draw(); });
    put(main, head('Endpoints', 'One ill endpoint costs the others nothing: what comes for it waits on disk, in order.'),
      h('div', { class: 'toolbar' }, search,
        legend), cards, none);
    const load = async (signal) => {
      const [endpoints, histories] = await Promise.all([
        list('endpoints', { signal }), has('GET endpoints/history') ? control('endpoints/history', { signal }) : { value: [] },
      ]);
      past = new Map(histories.value.map((x) => [x.endpoint, x.points]));
      [found, rules] = [endpoints, histories.rules];
      if (rules) {
        put(legend, h('i', { class: 'key late' }), `answers that took longer than ${span(rules.slowMs)} (slow above ${percent(rules.slowShare)}) `,
          h('i', { class: 'key beyond' }), `than ${span(rules.dropMs)} (dropping above ${percent(rules.dropShare)})`);
      }
      draw();
    };
    return { every: 5000, load };
  },
};

function card(e, points, rules, reload) {
  const state = e.state !== 'healthy' ? e.state : e.parked ? 'parked' : 'healthy';
  return h('li', { class: `card ${state}` },
    h('div', { class: 'card-head' }, h('h2', { class: 'break' }, shortUrl(e.endpoint)), stateBadge(state)),
    e.why && h('p', null, reason(e.why).sentence),
    health(points, now(), rules),
    facts(
      ['Answers looked at', plural(e.answers, 'answer')], [rules ? `Later than ${span(rules.slowMs)}` : 'Late', percent(e.late)], [rules ? `Later than ${span(rules.dropMs)}` : 'Far too late', percent(e.beyond)],
      ['Failures in a row', e.failuresInARow || null], ['Waiting in memory', e.pendingInMemory || null], ['POSTs under way', e.postsUnderWay || null],
      ['In this state since', e.since && ago(e.since)], ['Tried again', e.resumes && ago(e.resumes)]),
    has('POST endpoints/state') && h('div', { class: 'row' }, h('span', { class: 'muted' }, 'Make it'),
      ['healthy', 'slow', 'dropping'].map((to) => action(to, async () => {
        await order('endpoints/state', { endpoint: e.endpoint, state: to });
        await reload();
        return to === 'healthy' ? 'It is taken for healthy, and what waits goes out.' : `It is ${to} until somebody makes it healthy.`;
      }, { kind: 'small' }))),
    h('p', { class: 'more' }, h('a', { href: `#/deliveries?q=${encodeURIComponent(e.endpoint)}` }, 'Its deliveries')));
}
