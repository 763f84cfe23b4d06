import { control, get, has } from './api.js';
import { code, empty, facts, h, head, panel, put, toast } from './dom.js';
import { now, pretty } from './format.js';
import { open, verify } from './crypto.js';

/** Opens resource data and checks validation tokens, without letting the key out of the page. */
export default {
  title: 'Decrypt',
  show(main, { query }) {
    const body = h('textarea', { id: 'body', rows: '9', spellcheck: 'false', autocomplete: 'off', placeholder: '{"value":[{…,"encryptedContent":{…}}],"validationTokens":["…"]}' });
    const key = h('textarea', { id: 'key', rows: '5', spellcheck: 'false', autocomplete: 'off', placeholder: '-----BEGIN PRIVATE KEY-----' });
    const file = h('input', { type: 'file', id: 'key-file', accept: '.pem,.key' });
    file.addEventListener('change', async () => {
      if (file.files[0]) key.value = await file.files[0].text();
    });
    const results = h('div', { class: 'flow', role: 'status' });
    const form = h('form', { class: 'form wide' },
      h('label', { for: 'body' }, 'What the receiver got'), body,
      h('label', { for: 'key' }, 'The private key of the subscription’s certificate'), key,
      h('div', { class: 'row' }, h('label', { for: 'key-file' }, 'or from a file'), file),
      h('p', { class: 'muted' }, 'The key stays in this page: it is not sent, not stored, and gone when you leave. Without it, only the tokens are checked.'),
      h('button', { class: 'primary' }, 'Open and check'));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      let read;
      try {
        read = JSON.parse(body.value);
      } catch (error) {
        toast(`What the receiver got is no JSON: ${error.message}`, 'bad');
        return;
      }
      run(read, key.value, results);
    });
    put(main, head('Decrypt', 'Open the resource data of a notification and check its tokens, each step by itself.'), form, results);
    return {
      load: async (signal) => {
        if (!query.delivery || body.value) return;
        const d = await control(`deliveries/${query.delivery}`, { signal });
        body.value = d.request ? pretty(d.request) : '';
        if (d.request) checkTokens(d.request, put(results));
      },
    };
  },
};

async function run(read, pem, results) {
  put(results);
  const items = (read.value || [read]).filter((n) => n && n.encryptedContent);
  if (items.length === 0) results.append(empty('There is no encryptedContent in it', h('p', null, 'A subscription without includeResourceData gets none.')));
  for (const [i, n] of items.entries()) {
    if (pem.trim()) await openOne(n, i, items.length, pem, results);
  }
  await checkTokens(read, results);
}

// A list of steps that grows as they are taken.
function stepper(title, results) {
  const list = h('ol', { class: 'proof' });
  results.append(panel(title, list));
  const told = (step) => list.append(h('li', { class: step.ok ? 'ok' : 'bad' },
    h('span', { class: 'proof-mark', 'aria-hidden': 'true' }, step.ok ? '✓' : '✗'),
    h('div', null, h('b', null, step.name), h('span', { class: 'sr' }, step.ok ? ' passed' : ' failed'), h('span', { class: 'muted' }, ` ${step.about}`), h('p', { class: 'break' }, step.said))));
  return { list, told };
}

async function openOne(n, i, count, pem, results) {
  const { list, told } = stepper(count > 1 ? `Resource data ${i + 1} of ${count}` : 'Resource data', results);
  const resource = await open(n.encryptedContent, pem, told);
  if (resource) list.parentElement.append(h('h3', null, n.resource || 'The resource'), code(pretty(resource), { name: 'The resource, decrypted' }));
}

async function checkTokens(read, results) {
  const tokens = read.validationTokens || [];
  const audiences = await applications(read.value || []);
  for (const [i, token] of tokens.entries()) {
    const { list, told } = stepper(tokens.length > 1 ? `Validation token ${i + 1} of ${tokens.length}` : 'Validation token', results);
    const tenant = (read.value || []).map((n) => n.tenantId).find(Boolean);
    const passed = await verify(token, { audiences, tenant, now: now(), keys }, told);
    if (passed) list.parentElement.append(h('details', null, h('summary', null, 'What it says'), facts(...Object.entries(passed.claims).map(([k, v]) => [k, String(v)]))));
  }
}

// The applications of the subscriptions that a body is for, as far as one may see them.
async function applications(items) {
  if (!has('GET subscriptions/{id}')) return [];
  const found = await Promise.all([...new Set(items.map((n) => n.subscriptionId))].filter(Boolean).slice(0, 20)
    .map((id) => control(`subscriptions/${id}`).then((s) => s.applicationId, () => null)));
  return found.filter(Boolean);
}

async function keys() {
  const address = '/common/discovery/v2.0/keys';
  return { found: (await get(address)).keys, address: location.origin + address };
}
