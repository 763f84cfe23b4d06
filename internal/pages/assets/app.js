// The pages: what is where, and what holds for all of them.

import { about, begin, has, person, signIn, signOut, SignInNeeded, useToken } from './api.js';
import * as changes from './changes.js';
import decrypt from './decrypt.js';
import deliveries from './deliveries.js';
import delivery from './delivery.js';
import { h, head, put } from './dom.js';
import endpoints from './endpoints.js';
import { moved, now, span, tick } from './format.js';
import * as handshakes from './handshakes.js';
import { live, start } from './live.js';
import overview from './overview.js';
import * as subscriptions from './subscriptions.js';
import workbench from './workbench.js';

const main = document.getElementById('main');

// Path, page, name in the navigation, key after g, what the server must have for it.
const PAGES = [
  ['', overview, 'Overview', 'o'],
  ['subscriptions', subscriptions.all, 'Subscriptions', 's', 'GET subscriptions'],
  ['subscriptions/{id}', subscriptions.one],
  ['deliveries', deliveries, 'Deliveries', 'd', 'GET deliveries'],
  ['deliveries/{id}', delivery],
  ['changes', changes.all, 'Why not?', 'w', 'GET changes/{id}'],
  ['changes/{id}', changes.one],
  ['endpoints', endpoints, 'Endpoints', 'e', 'GET endpoints'],
  ['handshakes', handshakes.all, 'Handshakes', 'h', 'GET handshakes'],
  ['handshakes/{id}', handshakes.one],
  ['decrypt', decrypt, 'Decrypt', 'k'],
  ['workbench', workbench, 'Workbench', 'b', 'POST trigger'],
];

let current = null; // the page that is shown

function place() {
  const [path, text] = location.hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  for (const [pattern, page] of PAGES) {
    const want = pattern.split('/').filter(Boolean);
    if (want.length !== parts.length || !want.every((w, i) => w === '{id}' || w === parts[i])) continue;
    return { page, id: parts[1], path: parts[0] || '', query: Object.fromEntries(new URLSearchParams(text || '')) };
  }
  return null;
}

/** Shows the page of the address. */
function show() {
  if (current) current.leave();
  const at = place();
  drawNav(at);
  if (!at) {
    put(main, head('Nothing here'), h('p', null, 'There is no such page. ', h('a', { href: '#/' }, 'To the overview')));
    return;
  }
  const stopping = new AbortController();
  const said = h('p', { class: 'failure', role: 'alert', hidden: true });
  const go = (query) => {
    const text = new URLSearchParams(Object.entries(query).filter(([, v]) => v)).toString();
    history.replaceState(null, '', `#/${at.path}${at.id ? `/${at.id}` : ''}${text ? `?${text}` : ''}`);
  };
  const shown = at.page.show(main, { id: at.id, query: at.query, go, signal: stopping.signal }) || {};
  let timer = 0;
  const load = async () => {
    clearTimeout(timer);
    try {
      if (shown.load) await shown.load(stopping.signal);
      said.hidden = true;
      if (!stopping.signal.aborted) drawNav(at);
    } catch (error) {
      if (stopping.signal.aborted) return;
      said.hidden = false;
      put(said, error.message, error.detail && ` ${error.detail}`, error.rule && ` (${error.rule})`);
      main.prepend(said);
    }
    if (stopping.signal.aborted || !shown.every) return;
    timer = setTimeout(() => (document.hidden ? document.addEventListener('visibilitychange', load, { once: true }) : load()), shown.every);
  };
  const off = shown.live ? live.on(shown.live) : () => {};
  current = {
    keys: shown.keys || {},
    leave() {
      stopping.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', load);
      off();
    },
  };
  if (shown.live) shown.live();
  load();
  if (document.activeElement === document.body || document.activeElement?.closest('#nav')) window.scrollTo(0, 0);
}

function drawNav(at) {
  const nav = document.getElementById('nav');
  const shown = PAGES.filter(([, , name, , needs]) => name && (!needs || has(needs)));
  const signature = JSON.stringify([at && at.path, shown.map(([path]) => path), person(), about()]);
  if (nav.dataset.signature === signature) return; // and the focus stays where it is
  nav.dataset.signature = signature;
  put(nav, h('ul', null, shown.map(([path, , name, key]) => h('li', null,
    h('a', { href: `#/${path}`, 'aria-current': at && at.path === path ? 'page' : null, title: `g ${key}` }, name)))),
  person() && h('p', { class: 'person' }, person().name, h('br'), h('button', { type: 'button', class: 'small', onclick: signOut }, 'Sign out')),
  h('p', { class: 'version' }, about() ? `Heliograph ${about().version || ''}` : '', h('br'), h('a', { href: '/openapi.json' }, 'API')));
}

function drawLink() {
  const pill = document.getElementById('link');
  const state = live.state();
  pill.dataset.state = state;
  pill.textContent = { on: 'live', off: 'reconnecting', locked: 'signed out' }[state];
}

function drawClock() {
  const clock = document.getElementById('clock');
  clock.hidden = Math.abs(moved()) < 90_000;
  if (!clock.hidden) clock.textContent = `clock ${moved() > 0 ? '+' : '−'}${span(Math.abs(moved()))} · ${new Date(now()).toISOString().slice(0, 16).replace('T', ' ')}`;
}

// ---- light and dark

function setTheme(to) {
  if (to) document.documentElement.dataset.theme = to;
  try {
    if (to) localStorage.setItem('theme', to);
  } catch {
    // it is not kept, then
  }
}

function toggleTheme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  setTheme(dark ? 'light' : 'dark');
}

function storedTheme() {
  try {
    return localStorage.getItem('theme');
  } catch {
    return null;
  }
}

// ---- keyboard

const help = document.getElementById('help');

function showHelp() {
  const rows = PAGES.filter(([, , name, key, needs]) => name && key && (!needs || has(needs))).map(([, , name, key]) => [`g ${key}`, name]);
  const more = [['/', 'Search'], ['p', 'Pause or resume the stream'], ['j  k', 'Next, previous'], ['Enter', 'Open'], ['t', 'Light or dark'], ['?', 'This']];
  put(help, h('h2', { id: 'help-title' }, 'Keyboard'),
    h('dl', { class: 'keys' }, [...rows, ...more].map(([key, text]) => h('div', null, h('dt', null, key.split(/\s+/).map((k) => h('kbd', null, k))), h('dd', null, text)))),
    h('form', { method: 'dialog' }, h('button', { class: 'primary' }, 'Close')));
  if (!help.open) help.showModal();
}

let prefix = 0;

function onKey(event) {
  const typing = event.target.closest('input, textarea, select, [contenteditable]');
  if (event.key === 'Escape' && typing) typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const key = event.key;
  if (prefix && Date.now() - prefix < 1500) {
    prefix = 0;
    const to = PAGES.find(([, , name, k]) => name && k === key);
    if (to) location.hash = `#/${to[0]}`;
    return;
  }
  if (key === 'g') prefix = Date.now();
  else if (key === '?') showHelp();
  else if (key === 't') toggleTheme();
  else if (key === '/') focusSearch(event);
  else if (key === 'j' || key === 'k') step(key === 'j' ? 1 : -1);
  else if (current && current.keys[key]) current.keys[key]();
}

function focusSearch(event) {
  const search = main.querySelector('[data-search]');
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
}

function step(by) {
  const links = [...main.querySelectorAll('.delivery-link, .row-link')];
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + by))].focus();
}

// ---- a token by hand, where the server gives none

function askForToken(why) {
  const field = h('textarea', { rows: '4', id: 'token', autocomplete: 'off', spellcheck: 'false', required: true });
  put(main, head('A token, please', why),
    h('form', {
      class: 'form', onsubmit: (event) => {
        event.preventDefault();
        useToken(field.value);
        run();
      },
    }, h('label', { for: 'token' }, 'Access token'), field,
    h('p', { class: 'muted' }, 'heliograph token prints one. It is kept in this page only, and forgotten when it is closed.'),
    h('button', { class: 'primary' }, 'Use it')));
}

let running = false;

async function run() {
  if (!running) {
    running = true;
    window.addEventListener('hashchange', () => {
      show();
      main.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    });
    live.on(drawLink);
    setInterval(() => {
      tick();
      drawClock();
    }, 1000);
  }
  show();
  await start();
  drawLink();
}

async function boot() {
  setTheme(storedTheme());
  document.addEventListener('keydown', onKey);
  document.getElementById('theme').addEventListener('click', toggleTheme);
  document.getElementById('help-button').addEventListener('click', showHelp);
  document.getElementById('skip').addEventListener('click', (event) => {
    event.preventDefault();
    main.focus();
  });
  try {
    await begin();
    await signIn();
  } catch (error) {
    drawNav(null);
    if (error instanceof SignInNeeded) askForToken(error.message);
    else put(main, head('The server does not answer'), h('p', null, error.message));
    return;
  }
  run();
}

boot();
