import { control, has, list, order } from './api.js';
import { action, badge, code, empty, facts, h, head, panel, put } from './dom.js';
import { faults } from './faults.js';
import { ago, plural, pretty, serverSays } from './format.js';
import { changeBadge } from './rows.js';

/** Makes things happen: changes, time, faults. Each part is there when the server has it. */
export default {
  title: 'Workbench',
  show(main, { query, go }) {
    const parts = [
      has('POST trigger') && triggers(query, go),
      has('POST clock') && clock(),
      has('POST faults') && faults(),
    ].filter(Boolean);
    put(main, head('Workbench', 'Make things happen: changes of any resource, time that passes, faults on the way.'),
      h('div', { class: 'two columns' }, parts.map((p) => p.node)),
      parts.length === 0 && empty('This server has no workbench', h('p', null, 'heliograph dev has.')));
    return { every: 5000, load: async (signal) => { await Promise.all(parts.map((p) => p.load && p.load(signal))); } };
  },
};

// ---- changes

function triggers(query, go) {
  let known = [];
  const choice = h('select', { id: 'trigger-event' });
  const about = h('p', { class: 'muted' });
  const fields = h('div', { class: 'form' });
  const count = h('input', { id: 'trigger-count', type: 'number', min: '1', max: '1000', value: '1' });
  const set = h('textarea', { id: 'trigger-set', rows: '3', spellcheck: 'false', placeholder: '{"subject": "Hi"}' });
  const result = h('div', { role: 'status' });
  const current = () => known.find((t) => t.event === choice.value);
  const draw = () => {
    const t = current();
    if (!t) return;
    put(about, t.about, ' ', h('code', { class: 'break' }, t.resource));
    put(fields, t.parameters.map((p) => h('div', null,
      h('label', { for: `p-${p.name}` }, p.name), h('input', { id: `p-${p.name}`, name: p.name, placeholder: p.seeded ? 'made up' : p.default, title: p.about || null, value: query[p.name] || '' }))),
    t.example && h('details', null, h('summary', null, 'What such a change looks like'), code(pretty(t.example), { name: 'An example' })));
    go({ ...query, event: t.event });
  };
  choice.addEventListener('change', draw);
  const send = action('Trigger', async () => {
    const t = current();
    const given = {};
    for (const p of t.parameters) {
      const value = fields.querySelector(`[name="${CSS.escape(p.name)}"]`).value.trim();
      if (value) given[p.name] = value;
    }
    const body = { event: t.event, count: Number(count.value) || 1, parameters: given };
    if (set.value.trim()) body.set = JSON.parse(set.value);
    const done = await order('trigger', body);
    put(result, h('ul', { class: 'fates' }, done.changes.slice(0, 5).map((c) => h('li', { class: 'ok' },
      h('a', { href: `#/changes/${c.id}` }, changeBadge(c), ' ', c.resource)))), done.changes.length > 5 && h('p', { class: 'muted' }, `and ${done.changes.length - 5} more`),
    h('p', { class: 'muted' }, `Seed ${done.seed}: the same seed makes the same content.`));
    return `${plural(done.accepted, 'change')} accepted.`;
  }, { kind: 'primary' });
  return {
    node: panel('Trigger', h('div', { class: 'form' }, h('label', { for: 'trigger-event' }, 'Event'), choice, about, fields,
      h('label', { for: 'trigger-set' }, 'Properties to set, as JSON'), set, h('label', { for: 'trigger-count' }, 'How many'), count, h('div', { class: 'row' }, send)), result),
    async load(signal) {
      if (known.length > 0) return;
      known = await list('triggers', { signal });
      const groups = new Map();
      for (const t of known) groups.set(t.fixture, [...(groups.get(t.fixture) || []), t]);
      put(choice, [...groups].map(([name, events]) => h('optgroup', { label: name }, events.map((t) => h('option', { value: t.event, selected: t.event === (query.event || 'message.created') }, t.event)))));
      draw();
    },
  };
}

// ---- time

function clock() {
  const shown = h('div', { role: 'status' });
  const by = h('input', { id: 'clock-by', placeholder: 'PT90M, P3D', value: '' });
  const draw = (c) => {
    serverSays(c.now);
    put(shown, facts(['The server’s time', [new Date(c.now).toISOString().replace('T', ' ').slice(0, 19), ' ', c.frozen ? badge('warn', 'frozen') : c.speed !== 1 ? badge('warn', `${c.speed} times as fast`) : null]],
      ['Ahead by', c.offset], ['Next thing that waits', c.next && ago(c.next)]));
  };
  const move = async (advance) => {
    let c = await order('clock', { advance });
    while (c.arrived === false) c = await order('clock', { set: c.to });
    draw(c);
    return `The clock is at ${c.now.slice(0, 19).replace('T', ' ')}${c.woken ? `; ${plural(c.woken, 'thing')} happened on the way` : ''}.`;
  };
  const stand = async (body, said) => {
    draw(await order('clock', body));
    return said;
  };
  return {
    node: panel('Clock', shown,
      h('div', { class: 'do' }, h('h3', null, 'Move'), h('p', null, 'What is due on the way happens at its moment, in order.'),
        h('div', { class: 'row' }, [['PT1M', '1 minute'], ['PT1H', '1 hour'], ['P1D', '1 day'], ['P3D', '3 days']].map(([d, t]) => action(`+ ${t}`, () => move(d)))),
        h('div', { class: 'row' }, h('label', { for: 'clock-by' }, 'or by'), by, action('Advance', () => move(by.value.trim())))),
      h('div', { class: 'do' }, h('h3', null, 'Pace'),
        h('div', { class: 'row' }, action('Freeze', () => stand({ freeze: true }, 'Time stands still.')), action('As usual', () => stand({ speed: 1 }, 'A second is a second.')), action('60 times as fast', () => stand({ speed: 60 }, 'A minute is a second.'))))),
    load: async (signal) => draw(await control('clock', { signal })),
  };
}
