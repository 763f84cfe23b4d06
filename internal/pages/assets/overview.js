import { control, has, list, get } from './api.js';
import { bars } from './chart.js';
import { code, copyButton, empty, h, keep, panel, put } from './dom.js';
import { ago, now, number, percent, plural, reason, serverSays, shortUrl, span } from './format.js';
import { live } from './live.js';
import { deliveryRow, stateBadge } from './rows.js';
import { subscriptions } from './subscriptions.js';

/** Answers one question: is it working? */
export default {
  title: 'Overview',
  show(main) {
    const verdict = h('h1', { class: 'verdict-word' }, 'Looking…');
    const sentence = h('p', { class: 'verdict-text' });
    const checks = h('ul', { class: 'checks', 'aria-label': 'Ready checks' });
    const plot = h('div', { class: 'verdict-plot' });
    const hero = h('section', { class: 'verdict', 'data-state': 'wait', 'aria-label': 'Is it working?' },
      h('div', { class: 'sun', 'aria-hidden': 'true' }, h('span'), h('span'), h('span')),
      h('div', { class: 'verdict-say' }, verdict, sentence, checks), plot);
    const tiles = h('div', { class: 'tiles' });
    const start = h('div');
    const latest = h('ol', { class: 'deliveries short', 'aria-label': 'Latest deliveries' });
    const trouble = h('ul', { class: 'trouble' });
    document.title = 'Overview · Heliograph';
    put(main, hero, tiles, start, h('div', { class: 'two first' },
      panel('Latest deliveries', latest, h('p', { class: 'more' }, h('a', { href: '#/deliveries' }, 'All deliveries'))),
      panel('Needs attention', trouble)));
    const seen = {};
    const draw = () => {
      drawVerdict({ hero, verdict, sentence, checks, plot }, seen);
      drawTiles(tiles, seen);
      drawStart(start, seen);
      drawLatest(latest);
      drawTrouble(trouble, seen);
    };
    const load = async (signal) => {
      await Promise.all([
        get('/readyz', { signal, welcome: [503] }).then((v) => { seen.ready = v; }),
        has('GET pulse') && part(seen, 'pulse', control('pulse', { signal })),
        has('GET endpoints') && part(seen, 'endpoints', list('endpoints', { signal })),
        has('GET handshakes') && part(seen, 'handshakes', list('handshakes', { signal })),
        has('GET subscriptions') && part(seen, 'subscriptions', subscriptions(signal)),
      ]);
      if (seen.pulse) serverSays(seen.pulse.now);
      draw();
    };
    return { load, every: 5000, live: draw };
  },
};

// What one may not see is left out, and does not keep the rest from being seen.
async function part(seen, name, promise) {
  try {
    seen[name] = await promise;
  } catch (error) {
    if (error.status !== 403 && error.status !== 404) throw error;
  }
}

function totals(pulse) {
  const t = { delivered: 0, failed: 0, givenUp: 0, changes: 0, median: pulse ? pulse.medianMs : 0, late: pulse ? pulse.lateMs : 0 };
  for (const step of pulse ? pulse.value : []) {
    t.delivered += step.delivered;
    t.failed += step.failed;
    t.givenUp += step.givenUp;
    t.changes += step.changes;
  }
  return t;
}

const ill = (seen) => (seen.endpoints || []).filter((e) => e.parked || e.state !== 'healthy');

function judge(seen) {
  const t = totals(seen.pulse);
  const sick = ill(seen);
  if (!seen.ready) return ['wait', 'Looking…', ''];
  if (seen.ready.status !== 'ready') return ['bad', 'Not ready', 'Something that the server needs is not well: see the checks.'];
  if (sick.length > 0) {
    return ['warn', 'Working, with trouble', `${plural(sick.length, 'endpoint')} ${sick.length === 1 ? 'does' : 'do'} not take what is sent; it waits on disk, in order, and costs the others nothing.`];
  }
  const count = (seen.subscriptions || []).length;
  if (count === 0) return ['idle', 'Ready for a first subscription', 'The server is well. Nobody has subscribed to anything yet.'];
  const did = t.delivered > 0 ? `${plural(t.delivered, 'notification')} delivered in the last half hour` : 'nothing has changed in the last half hour';
  const failed = t.failed > 0 ? `, ${plural(t.failed, 'failure')} on the way` : '';
  return ['ok', 'It works', `${plural(count, 'subscription')}, ${did}${failed}.`];
}

function drawVerdict(to, seen) {
  const [state, word, text] = judge(seen);
  to.hero.dataset.state = state;
  if (to.verdict.textContent !== word) put(to.verdict, word);
  put(to.sentence, text);
  keep(to.checks, (seen.ready && seen.ready.checks) || [], (c) => c.name, (c) => `${c.ready}${c.detail || ''}`, (c) => h('li', {
    class: c.ready ? 'ok' : 'bad', title: c.detail || null,
  }, h('span', { 'aria-hidden': 'true' }, c.ready ? '✓' : '✗'), ` ${c.name}`, h('span', { class: 'sr' }, c.ready ? ' is well' : ' is not well'), c.detail && `: ${c.detail}`));
  if (seen.pulse) put(to.plot, bars(seen.pulse));
}

function tile(name, value, note, href, kind = '') {
  return h(href ? 'a' : 'div', { class: `tile ${kind}`, href }, h('span', { class: 'tile-name' }, name), h('span', { class: 'tile-value' }, value), h('span', { class: 'tile-note' }, note));
}

function drawTiles(to, seen) {
  const t = totals(seen.pulse);
  const subs = seen.subscriptions || [];
  const soon = subs.filter((s) => Date.parse(s.expires) - now() < 15 * 60_000).length;
  const tries = t.delivered + t.failed;
  const sick = ill(seen);
  const waiting = sick.filter((e) => e.parked).length;
  const mine = [];
  mine.push(tile('Subscriptions', number(subs.length), soon > 0 ? `${soon} within 15 min of the end` : subs.length > 0 ? 'all with time left' : 'none yet', '#/subscriptions', soon > 0 ? 'warn' : ''));
  if (seen.pulse) {
    mine.push(tile('Delivered', number(t.delivered), `from ${plural(t.changes, 'change')}, last half hour`, '#/deliveries'));
    mine.push(tile('Failed', number(t.failed + t.givenUp), tries > 0 ? `${percent(t.failed / tries)} of attempts${t.givenUp ? `, ${t.givenUp} given up` : ''}` : 'no attempts', '#/deliveries?only=failed', t.failed + t.givenUp > 0 ? 'bad' : ''));
    mine.push(tile('Half within', t.median ? span(t.median) : '–', t.late ? `95 % within ${span(t.late)}, from 202 to answer` : 'from 202 to the receiver’s answer', null));
  }
  if (seen.endpoints) {
    mine.push(tile('Endpoints', number(seen.endpoints.length), sick.length > 0 ? `${sick.length} ill, ${waiting} with a backlog` : 'all well', '#/endpoints', sick.length > 0 ? 'warn' : ''));
  }
  put(to, mine);
}

function drawLatest(to) {
  const items = live.all().slice(0, 8);
  keep(to, items, (d) => d.id, () => '', (d) => deliveryRow(d));
  if (items.length === 0) put(to, h('li', { 'data-key': 'none', class: 'none' }, empty('Nothing was delivered yet', h('p', null, 'What is sent to a receiver appears here the moment it is sent.'))));
}

function drawTrouble(to, seen) {
  const items = [];
  for (const c of (seen.ready && seen.ready.checks) || []) {
    if (!c.ready) items.push(['bad', `${c.name} is not well`, c.detail || '', null]);
  }
  for (const e of ill(seen)) {
    const why = e.why ? reason(e.why).sentence : '';
    items.push([e.state === 'dropping' ? 'bad' : 'warn', [shortUrl(e.endpoint), ' ', stateBadge(e.state === 'healthy' ? 'parked' : e.state)],
      [why, e.resumes && [' Tried again ', ago(e.resumes), '.']], `#/endpoints?focus=${encodeURIComponent(e.endpoint)}`]);
  }
  for (const s of seen.subscriptions || []) {
    if (s.state && s.state !== 'active') items.push(['warn', [s.resource, ' ', stateBadge(s.state)], [reason(s.reason).sentence, ' Nothing is delivered to it meanwhile; what comes waits.'], `#/subscriptions/${s.id}`]);
  }
  for (const x of (seen.handshakes || []).filter((one) => !one.proved).slice(0, 3)) {
    items.push(['warn', ['Handshake failed: ', shortUrl(x.url)], [reason(x.reason).kind === 'ok' ? 'The answer was not the token.' : reason(x.reason).sentence, ' ', ago(x.started)], `#/handshakes/${x.id}`]);
  }
  for (const d of live.all().filter((one) => one.givenUp).slice(0, 3)) {
    items.push(['bad', ['Given up: ', shortUrl(d.endpoint)], reason(d.givenUp).sentence, `#/deliveries/${d.id}`]);
  }
  if (items.length === 0) {
    put(to, h('li', { class: 'calm' }, h('span', { class: 'calm-mark', 'aria-hidden': 'true' }, '✓'), h('p', null, h('b', null, 'Nothing needs you.'), ' Endpoints are well, leases have time left, handshakes passed.')));
    return;
  }
  put(to, items.map(([kind, title, text, href]) => h('li', { class: kind },
    h(href ? 'a' : 'div', { href }, h('b', null, title), h('span', null, text)))));
}

function steps() {
  const at = location.origin;
  const elsewhere = at === 'http://127.0.0.1:8080' || at === 'http://localhost:8080' ? '' : ` --server ${at}`;
  return [
    ['listen', 'Start a receiver', 'It answers the handshake and prints what comes. Yours does as well.', 'heliograph listen'],
    ['subscribe', 'Subscribe to something', 'A mailbox that nobody has to make: what can be subscribed to is a path.', `heliograph subscriptions create users/demo/messages --url http://127.0.0.1:9090/${elsewhere}`],
    ['publish', 'Change something', 'What is published below the path reaches the receiver.', `heliograph publish users/demo/messages/1 --data '{"subject":"Hello"}'${elsewhere}`],
  ];
}

// Until the first notification has arrived, the way to it, ticked off as it is gone.
function drawStart(to, seen) {
  const subscribed = (seen.subscriptions || []).length > 0;
  const arrived = live.all().some((d) => d.reason === 'delivered');
  if (!seen.ready || arrived || (subscribed && live.all().length > 0)) {
    put(to);
    return;
  }
  const proved = (seen.handshakes || []).some((x) => x.proved);
  const done = { listen: proved, subscribe: subscribed, publish: arrived };
  const signature = JSON.stringify(done);
  if (to.dataset.signature === signature && to.firstChild) return;
  to.dataset.signature = signature;
  const first = steps().find(([key]) => !done[key]);
  put(to, h('section', { class: 'start', 'aria-labelledby': 'start-title' },
    h('h2', { id: 'start-title' }, 'Your first notification'),
    h('p', { class: 'lead' }, 'Three commands, in two terminals. Each is ticked here when the server has seen it.'),
    h('ol', { class: 'steps' }, steps().map(([key, title, text, command]) => h('li', { class: done[key] ? 'done' : key === first[0] ? 'next' : '' },
      h('span', { class: 'step-mark', 'aria-hidden': 'true' }, done[key] ? '✓' : ''),
      h('div', null, h('h3', null, title, done[key] && h('span', { class: 'sr' }, ' (done)')), h('p', null, text), code(command, { name: title }))))),
    h('details', null, h('summary', null, 'From an application of yours'),
      h('dl', { class: 'facts' },
        addressFact('Graph', `${location.origin}/v1.0`),
        addressFact('Token endpoint', `${location.origin}/common/oauth2/v2.0/token`),
        h('div', null, h('dt', null, 'Client'), h('dd', null, 'any client_id with any client_secret, in development'))))));
}

function addressFact(name, address) { return h('div', null, h('dt', null, name), h('dd', null, h('code', null, address), ' ', copyButton(() => address))); }
