import { call, list, order } from './api.js';
import { action, badge, empty, h, panel, put } from './dom.js';
import { plural, shortUrl } from './format.js';

// What can go wrong, where, in a word or two, and whether it takes a span of time.
const KINDS = {
  'On calls of the API': [
    ['unauthorized', '401: the token is refused'], ['forbidden', '403: the permission is missing'], ['conflict', '409: there is such a subscription'],
    ['throttled', '429 with Retry-After', 'retryAfter'], ['unavailable', '503 with Retry-After', 'retryAfter'], ['latency', 'answered late', 'delay'],
  ],
  'On deliveries': [
    ['drop', 'never sent, told as delivered'], ['delay', 'sent late', 'delay'], ['duplicate', 'sent twice'], ['reorder', 'in another order'], ['truncate', 'the body ends in the middle'],
    ['client_state', 'another clientState'], ['signature', 'a signature that does not fit'], ['certificate', 'for a certificate that nobody has'], ['issuer', 'tokens of the other issuer'],
    ['outage', 'the endpoint cannot be reached'],
  ],
};

const known = Object.entries(KINDS).flatMap(([where, kinds]) => kinds.map(([kind, text, span]) => ({ kind, text, span, onCalls: where === 'On calls of the API' })));
const about = (kind) => known.find((k) => k.kind === kind) || { kind, text: kind };

/** What goes wrong on purpose: a form to add to it, and a list to take it back. */
export function faults() {
  const choice = h('select', { id: 'fault-kind' }, Object.entries(KINDS).map(([where, kinds]) => h('optgroup', { label: where }, kinds.map(([kind, text]) => h('option', { value: kind, selected: kind === 'duplicate' }, `${kind}: ${text}`)))));
  const where = h('input', { id: 'fault-where' });
  const whereLabel = h('label', { for: 'fault-where' });
  const times = h('input', { id: 'fault-times', type: 'number', min: '0', value: '1' });
  const share = h('input', { id: 'fault-share', type: 'number', min: '1', max: '100', value: '100' });
  const seconds = h('input', { id: 'fault-seconds', type: 'number', min: '0', max: '60', value: '5' });
  const span = h('div', null, h('label', { for: 'fault-seconds' }, 'Seconds'), seconds);
  const shown = h('ul', { class: 'fates', 'aria-label': 'Faults in force' });
  const draw = () => {
    const k = about(choice.value);
    put(whereLabel, k.onCalls ? 'Below which path (empty: all)' : 'To which endpoint, from its beginning (empty: all)');
    where.placeholder = k.onCalls ? '/v1.0/subscriptions' : 'http://127.0.0.1:9090/';
    span.hidden = !k.span;
  };
  choice.addEventListener('change', draw);
  draw();
  const load = async (signal) => {
    const found = await list('faults', { signal });
    put(shown, found.map((f) => h('li', { class: f.times && f.hit >= f.times ? '' : 'warn' },
      h('div', { class: 'row' }, badge(f.times && f.hit >= f.times ? 'plain' : 'warn', f.kind), h('span', null, about(f.kind).text), action('Remove', async () => {
        await call('DELETE', `/control/v1/faults/${f.id}`);
        await load();
        return `${f.kind} is taken back.`;
      }, { kind: 'small' })),
      h('p', { class: 'muted' }, f.endpoint ? shortUrl(f.endpoint) : f.path || 'everywhere', f.share < 1 ? `, ${Math.round(f.share * 100)} of 100` : '', f.delay || f.retryAfter ? `, ${f.delay || f.retryAfter}` : '',
        `; happened ${plural(f.hit, 'time')}`, f.times ? ` of ${f.times}` : ''))));
    if (found.length === 0) put(shown, h('li', { class: 'none' }, empty('Nothing goes wrong on purpose')));
  };
  const add = action('Add', async () => {
    const k = about(choice.value);
    const fault = { kind: k.kind, times: Number(times.value) || 0, share: Math.min(100, Number(share.value) || 100) / 100 };
    if (where.value.trim()) fault[k.onCalls ? 'path' : 'endpoint'] = where.value.trim();
    if (k.span) fault[k.span] = `PT${Number(seconds.value) || 0}S`;
    await order('faults', fault);
    await load();
    return `${k.kind} is in force.`;
  }, { kind: 'primary' });
  const clear = action('Remove all', async () => {
    await call('DELETE', '/control/v1/faults');
    await load();
    return 'Nothing goes wrong on purpose any more.';
  });
  return {
    node: panel('Faults', h('div', { class: 'form' }, h('label', { for: 'fault-kind' }, 'What goes wrong'), choice, whereLabel, where, span,
      h('div', { class: 'pair' }, h('div', null, h('label', { for: 'fault-times' }, 'How often (0: always)'), times), h('div', null, h('label', { for: 'fault-share' }, 'In how many of 100'), share)),
      h('div', { class: 'row' }, add, clear)), h('h3', null, 'In force'), shown),
    load,
  };
}
