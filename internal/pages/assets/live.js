// The deliveries that the page knows of, the newest first: those that were there and those that come.

import { follow, has, list } from './api.js';
import { serverSays } from './format.js';

const MOST = 1000;

const known = new Map();
const listeners = new Set();
let order = [];
let status = 'off';
let drawing = 0;

export const live = {
  /** The deliveries, the newest first. */
  all: () => order,
  state: () => status,
  get: (id) => known.get(id),
  /** Calls back when something has come or the connection has changed; returns what ends that. */
  on(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

function changed() {
  if (drawing) return;
  drawing = setTimeout(() => {
    drawing = 0;
    for (const listener of listeners) listener();
  }, 60);
}

function take(deliveries) {
  let fresh = false;
  for (const d of deliveries) {
    if (known.has(d.id)) continue;
    known.set(d.id, d);
    fresh = true;
  }
  if (!fresh) return;
  order = [...known.values()].sort((a, b) => compare(b.started, a.started) || compare(b.id, a.id));
  for (const old of order.splice(MOST)) known.delete(old.id);
  changed();
}

function compare(a, b) { return a < b ? -1 : Number(a > b); }

/** Begins to follow. */
export async function start() {
  if (has('GET events')) {
    follow('/control/v1/events', {
      heard(name, data) {
        if (data && data.now) serverSays(data.now);
        if (name === 'delivery') take([data]);
      },
      state(to) {
        const was = status;
        status = to;
        changed();
        if (to === 'on' && was !== 'on') refill();
      },
    });
  }
  await refill();
}

async function refill() {
  if (!has('GET deliveries')) return;
  try {
    take(await list('deliveries?top=300'));
  } catch {
    // the connection's state says it
  }
}
