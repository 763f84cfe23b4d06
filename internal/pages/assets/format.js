import { h } from './dom.js';

// The server's clock may be moved; what is "3 s ago" is told by it, not by the browser's.
let ahead = 0;

export function serverSays(stamp) {
  const at = Date.parse(stamp);
  if (!Number.isNaN(at)) ahead = at - Date.now();
}

export function now() { return Date.now() + ahead; }

/** How far the server's clock is ahead of this machine's, in milliseconds. */
export function moved() { return ahead; }

/** A span of time in few characters: 340 ms, 2.1 s, 4 min, 3 h, 2 d. */
export function span(ms) {
  const abs = Math.abs(ms);
  if (abs < 1) return abs === 0 ? '0 ms' : `${ms.toFixed(2)} ms`;
  if (abs < 10) return `${ms.toFixed(1)} ms`;
  if (abs < 1000) return `${Math.round(ms)} ms`;
  if (abs < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (abs < 90_000) return `${Math.round(ms / 1000)} s`;
  if (abs < 90 * 60_000) return `${Math.round(ms / 60_000)} min`;
  if (abs < 36 * 3600_000) return `${Math.round(ms / 3600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

function relative(at) {
  const ms = now() - at;
  if (Math.abs(ms) < 1500) return 'now';
  return ms > 0 ? `${span(Math.floor(ms / 1000) * 1000)} ago` : `in ${span(-ms)}`;
}

/** A moment as it is read beside now. It stays true: see tick. */
export function ago(stamp) {
  if (!stamp) return '–';
  const at = Date.parse(stamp);
  return h('time', { datetime: stamp, title: new Date(at).toISOString(), 'data-ago': String(at) }, relative(at));
}

/** A moment of today as a clock shows it. */
export function clockTime(stamp) {
  const at = new Date(stamp);
  const text = at.toLocaleTimeString([], { hour12: false }) + `.${String(at.getMilliseconds()).padStart(3, '0')}`;
  return h('time', { datetime: stamp, title: at.toISOString() }, text);
}

/** Brings all moments and leases on the page up to date. */
export function tick() {
  for (const element of document.querySelectorAll('[data-ago]')) {
    const text = relative(Number(element.dataset.ago));
    if (element.textContent !== text) element.textContent = text;
  }
}

export function number(n) { return n >= 10_000 ? `${(n / 1000).toFixed(n < 100_000 ? 1 : 0)}k` : String(n); }

export function plural(n, one, many = `${one}s`) { return `${number(n)} ${n === 1 ? one : many}`; }

export function percent(share) { return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`; }

export function pretty(value) { return JSON.stringify(value, null, 2); }

/** A URL with the part in front that tells endpoints apart. */
export function shortUrl(url) {
  try {
    const u = new URL(url);
    return u.host + (u.pathname === '/' ? '' : u.pathname) + u.search;
  } catch {
    return url;
  }
}

// What each reason means, and what helps.
const REASONS = {
  delivered: ['ok', 'delivered', 'The receiver answered with a 2xx in time.'],
  status: ['bad', 'refused', 'The receiver answered with something other than a 2xx. It is tried again until the window of four hours ends.'],
  timeout: ['bad', 'timed out', 'There was no whole answer in time. A receiver has three seconds: put the work in a queue and answer 202 first.'],
  connect: ['bad', 'no connection', 'The name could not be resolved or nobody listens there. Is the receiver running?'],
  tls: ['bad', 'TLS failed', 'The TLS handshake failed or the certificate is not trusted.'],
  address_refused: ['bad', 'address refused', 'The address guard does not let the server call this address.'],
  redirect: ['bad', 'redirected', 'The receiver answered with a redirect. Redirects are never followed: a login page often stands in the way.'],
  connection_broke: ['bad', 'broken off', 'The connection was closed before a whole answer had come.'],
  stopped: ['warn', 'stopped', 'The server stopped meanwhile; it is sent again after the next start.'],
  window: ['bad', 'given up', 'It was tried for the whole retry window without success.'],
  subscription_removed: ['warn', 'subscription gone', 'The subscription was removed before it could be delivered.'],
  subscription_expired: ['warn', 'subscription expired', 'The subscription had expired: it was not renewed in time.'],
  change_unreadable: ['bad', 'change lost', 'The change can no longer be read from the log.'],
  dropped: ['bad', 'dropped', 'The endpoint answered far too late far too often, so what came for it was dropped, as Graph does.'],
  unsealable: ['bad', 'cannot be sealed', 'The encryption certificate of the subscription cannot be used.'],
  endpoint_ill: ['warn', 'waits: ill', 'The endpoint failed; what comes for it waits on disk and is tried again.'],
  endpoint_slow: ['warn', 'waits: slow', 'The endpoint answers late too often; what comes for it is delayed.'],
  endpoint_behind: ['warn', 'waits: behind', 'More is waiting for the endpoint than memory may hold; the rest waits on disk.'],
  change_type: ['warn', 'other change type', 'The subscription asks for other change types than this.'],
  filter: ['warn', 'filtered out', 'The subscription’s $filter or $search does not let it through.'],
  token_ended: ['warn', 'the token has ended', 'The token behind the subscription has ended: reauthorize or renew it.'],
  access_revoked: ['warn', 'access was revoked', 'Its application or user may not see the resource any more.'],
  unauthorized: ['warn', 'not authorized', 'The token behind the subscription has ended: reauthorize or renew it.'],
};

/** What a reason is: how bad, in a word, in a sentence. */
export function reason(name) {
  const [kind, word, sentence] = REASONS[name] || ['warn', String(name || 'unknown').replaceAll('_', ' '), ''];
  return { kind, word, sentence };
}
