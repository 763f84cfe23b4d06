// All that the pages know of the server comes from here.

/** A request that the server refused. */
export class Refusal extends Error {
  constructor(status, body, headers) {
    const told = body && body.error;
    super((told && told.message) || `The server answered ${status}.`);
    this.status = status;
    this.code = told && told.code;
    this.rule = headers.get('Heliograph-Rule') || '';
    this.detail = headers.get('Heliograph-Detail') || '';
    this.handshake = headers.get('Heliograph-Handshake') || '';
    this.requestId = headers.get('Request-Id') || '';
  }
}

const session = { token: '', asking: null, person: null };
let offered = new Set();
let service = null;

/** What the server says of itself. */
export function about() { return service; }

/** Whether the server has a call of the control API, such as "GET deliveries/{id}". */
export function has(call) { return offered.has(call); }

/** Reads what the server is and can, and gets a token where one is given without asking. */
export async function begin() {
  const answer = await fetch('/', { headers: { Accept: 'application/json' }, cache: 'no-store' });
  service = await answer.json();
  offered = new Set(service.control || []);
  return service;
}

/** Gets a token from the server. It gives one to a browser on its own machine, in development. */
export async function signIn() {
  session.asking ||= (async () => {
    try {
      const answer = await fetch('/session', { method: 'POST', cache: 'no-store' });
      if (!answer.ok) throw new SignInNeeded((await answer.text()).trim());
      const given = await answer.json();
      session.token = given.token || '';
      if (given.signIn) await enter(given.signIn);
    } finally {
      session.asking = null;
    }
  })();
  return session.asking;
}

// Where people sign in, the browser's session says who it is; without one, the way in leads past the provider.
async function enter(signIn) {
  const answer = await fetch(`${signIn}/person`, { cache: 'no-store' });
  if (answer.ok) {
    session.person = await answer.json();
    return;
  }
  location.assign(`${signIn}?to=${encodeURIComponent(`/${location.hash}`)}`);
  await new Promise(() => {}); // the page is left
}

/** Who is signed in, where people sign in. */
export function person() { return session.person; }

/** Ends the session here and goes to where it is ended at the provider. */
export async function signOut() {
  const answer = await fetch('/signout', { method: 'POST', headers: { Accept: 'application/json' } });
  location.assign(answer.ok ? (await answer.json()).location : '/');
}

/** The server gives this browser no token by itself. */
export class SignInNeeded extends Error {}

/** Uses a token that somebody has pasted. It is kept in memory only. */
export function useToken(token) { session.token = token.trim(); }

async function send(method, path, { body, headers = {}, signal } = {}, again = true) {
  const all = { Accept: 'application/json', ...headers };
  if (session.token) all.Authorization = `Bearer ${session.token}`;
  if (body !== undefined) all['Content-Type'] = 'application/json';
  const answer = await fetch(path, { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: 'no-store' });
  if (answer.status === 401 && again) {
    await signIn();
    return send(method, path, { body, headers, signal }, false);
  }
  return answer;
}

/** Calls the server and returns what it answers, or throws a Refusal. Some answers that are no 2xx are welcome. */
export async function call(method, path, body, { signal, welcome = [] } = {}) {
  const answer = await send(method, path, { body, signal });
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    // a text: there is no value then
  }
  if (answer.status === 403) offered.delete(`${method} ${path.replace(/^\/control\/v1\/|\?.*$/g, '')}`); // it is not offered to this caller
  if (!answer.ok && !welcome.includes(answer.status)) throw new Refusal(answer.status, value, answer.headers);
  return value;
}

export const get = (path, options) => call('GET', path, undefined, options);
export const control = (path, options) => get(`/control/v1/${path}`, options);
export const order = (path, body) => call('POST', `/control/v1/${path}`, body);

/** All items of a list of the control API. */
export async function list(path, options) { return (await control(path, options)).value || []; }

/**
 * Follows a stream of server-sent events until stop is called, and takes it up again when it breaks, behind the last
 * event that was heard. (EventSource sends no token.)
 */
export function follow(path, { heard, state }) {
  const stopped = new AbortController();
  let last = '';
  let wait = 500;
  (async () => {
    while (!stopped.signal.aborted) {
      try {
        const answer = await send('GET', path, { headers: last ? { 'Last-Event-ID': last } : {}, signal: stopped.signal });
        if (!answer.ok) throw new Error(`the stream answered ${answer.status}`);
        state('on');
        wait = 500;
        await read(answer.body, (event) => {
          if (event.id) last = event.id;
          heard(event.name, event.data, event.id);
        });
      } catch (error) {
        if (error instanceof SignInNeeded) {
          state('locked');
          return;
        }
      }
      if (stopped.signal.aborted) return;
      state('off');
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, 10_000);
    }
  })();
  return () => stopped.abort();
}

async function read(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const event = { id: '', name: 'message', data: '' };
      for (const line of rest.slice(0, end).split('\n')) {
        const colon = line.indexOf(': ');
        const [field, text] = [line.slice(0, colon), line.slice(colon + 2)];
        if (field === 'id') event.id = text;
        if (field === 'event') event.name = text;
        if (field === 'data') event.data += text;
      }
      rest = rest.slice(end + 2);
      heard({ ...event, data: event.data ? JSON.parse(event.data) : null });
    }
  }
}
