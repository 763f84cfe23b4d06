import { control, list } from './api.js';
import { timing } from './chart.js';
import { badge, code, empty, facts, h, head, keep, panel, put } from './dom.js';
import { ago, plural, reason, shortUrl, span } from './format.js';

const verdictOf = (x) => (x.proved ? badge('ok', 'proved') : badge('bad', reason(x.reason).kind === 'ok' ? 'wrong answer' : reason(x.reason).word));

// What each rule of the handshake wants, and what usually breaks it.
const RULES = {
  'handshake.echo': 'The answer’s body has to be the token and nothing else: decoded once, no quotes, no HTML, no line break.',
  'handshake.status': 'The answer has to be 200.',
  'handshake.content_type': 'The answer has to be text/plain.',
  'handshake.timeout': 'The answer has to be whole within ten seconds. A receiver that starts cold needs to be woken before.',
  'handshake.address': 'The address guard does not let the server call this address.',
};

/** How endpoints proved that they are whose they are said to be. */
export const all = {
  title: 'Handshakes',
  show(main) {
    const rows = h('ol', { class: 'deliveries', 'aria-label': 'Handshakes, the latest first' });
    const none = h('div');
    put(main, head('Handshakes', 'Before a subscription is created, its endpoint is sent a token and has ten seconds to echo it.'), rows, none);
    return {
      every: 4000,
      load: async (signal) => {
        const found = await list('handshakes', { signal });
        keep(rows, found.slice(0, 200), (x) => x.id, () => '', (x) => h('li', { class: `delivery ${x.proved ? 'ok' : 'bad'}` },
          h('a', { class: 'delivery-link', href: `#/handshakes/${x.id}` },
            h('span', { class: 'delivery-what clip' }, shortUrl(x.url)),
            h('span', { class: 'delivery-where muted' }, x.property),
            h('span', { class: 'delivery-outcome' }, verdictOf(x)),
            h('span', { class: 'delivery-took' }, span(x.tookMs)),
            h('span', { class: 'delivery-when muted' }, ago(x.started)))));
        put(none, found.length === 0 && empty('There was none yet', h('p', null, 'A handshake is made when somebody subscribes.')));
      },
    };
  },
};

/** One handshake, with all that was said. */
export const one = {
  title: 'Handshake',
  show(main, { id }) {
    return {
      load: async (signal) => {
        let x;
        try {
          x = await control(`handshakes/${id}`, { signal });
        } catch (error) {
          if (error.status !== 404) throw error;
          put(main, head('Handshake'), empty('It is no longer remembered', h('p', null, h('a', { href: '#/handshakes' }, 'All handshakes'))));
          return;
        }
        draw(main, x);
      },
    };
  },
};

function draw(main, x) {
  put(main,
    head(x.proved ? 'The endpoint is proved' : 'The handshake failed', null, verdictOf(x)),
    h('p', { class: 'crumb' }, h('a', { href: '#/handshakes' }, 'Handshakes'), ' / ', h('code', null, x.id)),
    h('section', { class: `outcome ${x.proved ? 'ok' : 'bad'}`, 'aria-label': 'How it went' },
      h('div', { class: 'outcome-head' }, h('b', null, shortUrl(x.url)), h('span', { class: 'muted' }, x.property, ', ', ago(x.started))),
      !x.proved && h('p', null, RULES[x.rule] || reason(x.reason).sentence, x.detail && [' ', h('code', null, x.detail)], x.rule && h('span', { class: 'muted' }, ` (${x.rule})`)),
      timing(parts(x))),
    x.answer && !x.proved && panel('Byte by byte', difference(x)),
    h('div', { class: 'two' },
      panel('Request', x.request ? code(x.request.trim(), { name: 'The request' }) : h('p', { class: 'muted' }, 'It did not come to a request.'),
        facts(['Token, decoded', h('code', { class: 'break' }, x.expected)], ['Address', x.address], ['TLS', x.tls])),
      panel('Answer', x.answer ? [
        facts(['Status', String(x.answer.status)], ['In', span(x.tookMs)]),
        code(Object.entries(x.answer.header || {}).flatMap(([n, vs]) => vs.map((v) => `${n}: ${v}`)).join('\n') || 'no headers', { name: 'The headers of the answer' }),
        x.answer.body ? code(x.answer.body, { name: 'The body of the answer' }) : h('p', { class: 'muted' }, x.answer.bodyBase64 ? `Bytes that are no text: ${x.answer.bodyBase64}` : 'It had no body.'),
        x.answer.truncated && h('p', { class: 'muted' }, 'It went on; only its beginning is kept.'),
      ] : h('p', { class: 'muted' }, 'There was none.'))));
}

function parts(x) {
  const out = [];
  let at = 0;
  for (const [key, name, field] of [['dns', 'name resolved', 'resolved'], ['connect', 'connected', 'connected'], ['tls', 'TLS', 'secured'], ['answer', 'answer began', 'firstByte']]) {
    const ms = x.timingMs[field];
    if (ms === undefined) continue;
    out.push({ key, name, ms: Math.max(0, ms - at), text: span(Math.max(0, ms - at)) });
    at = ms;
  }
  out.push({ key: 'rest', name: at ? 'rest of it' : 'the call', ms: Math.max(0, x.tookMs - at), text: span(Math.max(0, x.tookMs - at)) });
  return out;
}

/** The token and the answer, byte under byte, from a little before the place where they part. */
export function difference(x) {
  const want = new TextEncoder().encode(x.expected);
  const got = x.answer.bodyBase64 ? Uint8Array.from(atob(x.answer.bodyBase64), (c) => c.charCodeAt(0)) : new TextEncoder().encode(x.answer.body);
  const at = x.differsAt ?? firstDifference(want, got);
  if (at < 0) return h('p', null, 'The body is the token, byte for byte. It failed for another reason: see above.');
  const from = Math.max(0, at - 8);
  const width = Math.max(Math.min(want.length, from + 24), Math.min(got.length, from + 24)) - from;
  const line = (name, bytes) => h('tr', null, h('th', { scope: 'row' }, name), Array.from({ length: width }, (_, i) => {
    const n = from + i;
    const b = bytes[n];
    return h('td', { class: n === at ? 'differs' : n < at ? 'same' : b === undefined ? 'end' : '' }, b === undefined ? '·' : [h('span', { class: 'hex' }, b.toString(16).padStart(2, '0')), h('span', { class: 'chr' }, visible(b))]);
  }));
  return [
    h('p', null, at > 0 && `The first ${at === 1 ? 'byte is' : `${at} bytes are`} right; `,
      at >= got.length ? at > 0 ? 'then the answer ends.' : 'The body is empty: the token has to be in it.' : at >= want.length ? `then the token ends, and the answer goes on for ${plural(got.length - at, 'byte')}.` : `byte ${at + 1} is ${name(got[at])} where ${name(want[at])} was expected.`, ' ', hint(want, got)),
    h('div', { class: 'table-wrap', tabindex: '0', role: 'region', 'aria-label': 'Bytes that were expected and bytes that came' }, h('table', { class: 'bytes' },
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'byte'), Array.from({ length: width }, (_, i) => h('th', { scope: 'col' }, String(from + i + 1))))),
      h('tbody', null, line('expected', want), line('came', got)))),
  ];
}

function firstDifference(a, b) {
  const most = Math.max(a.length, b.length);
  for (let i = 0; i < most; i++) if (a[i] !== b[i]) return i;
  return -1;
}

const visible = (b) => (b === 10 ? '\\n' : b === 13 ? '\\r' : b === 9 ? '\\t' : b > 32 && b < 127 ? String.fromCharCode(b) : b === 32 ? '\u00a0' : '·');
const name = (b) => (b === 34 ? 'a quotation mark' : b === 32 ? 'a space' : b === 10 ? 'a line break' : b === 13 ? 'a carriage return' : b > 32 && b < 127 ? `“${String.fromCharCode(b)}”` : `0x${b.toString(16).padStart(2, '0')}`);

// What the answer looks like, when it looks like a well-known mistake.
function hint(want, got) {
  const decode = (bytes) => new TextDecoder().decode(bytes);
  const [w, g] = [decode(want), decode(got)];
  if (g === JSON.stringify(w)) return 'The token came as JSON, in quotes: send it as plain text.';
  if (g.trim() === w) return 'There is white space around the token: send it bare.';
  if (/^\s*</.test(g)) return 'HTML came: a login page, a tunnel’s notice or a framework’s error page stands in front of the receiver.';
  if (got.length === 0) return '';
  try {
    if (decodeURIComponent(w.replaceAll('+', ' ')) === g) return 'The token was decoded twice.';
    if (decodeURIComponent(g.replaceAll('+', ' ')) === w) return 'The token came back undecoded: decode the query parameter once.';
  } catch {
    // it is no such mistake
  }
  if (g.includes(w)) return 'The token is in the answer, with something around it: send it alone.';
  return '';
}
