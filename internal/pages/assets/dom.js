// Elements are made here and nowhere else. Text stays text: nothing in these pages makes HTML of data.

const SVG = 'http://www.w3.org/2000/svg';

/** Makes an element. Properties: on… are listeners, class and data-… attributes, style an object; null and false are left out. */
export function h(tag, props, ...children) { return fill(document.createElement(tag), props, children); }

/** Makes an element of a drawing. */
export function s(tag, props, ...children) { return fill(document.createElementNS(SVG, tag), props, children); }

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  add(element, children);
  return element;
}

/** Appends nodes, texts and lists of them. */
export function add(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === '') continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/**
 * Makes the children of a list what items say, and leaves those alone that have not changed, so that focus, selection
 * and scrolling stay where they are.
 */
export function keep(list, items, keyOf, signatureOf, make) {
  const old = new Map();
  for (const child of list.children) old.set(child.dataset.key, child);
  let at = list.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    const signature = String(signatureOf(item));
    let child = old.get(key);
    if (!child || child.dataset.signature !== signature) {
      const fresh = make(item);
      fresh.dataset.key = key;
      fresh.dataset.signature = signature;
      if (child) {
        const focused = child.contains(document.activeElement);
        if (at === child) at = fresh;
        child.replaceWith(fresh);
        if (focused) (fresh.querySelector('a, button') || fresh).focus();
      }
      child = fresh;
    }
    old.delete(key);
    if (at === child) at = at.nextElementSibling;
    else list.insertBefore(child, at);
  }
  for (const child of old.values()) child.remove();
}

/** Says something for a moment, to eyes and to screen readers. */
export function toast(text, kind = 'ok') {
  const box = document.getElementById('toasts');
  const note = h('p', { class: `toast ${kind}` }, text);
  box.append(note);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(() => note.remove(), kind === 'bad' ? 9000 : 4500);
}

/** A button that copies a text. */
export function copyButton(text, label = 'Copy') {
  return h('button', {
    type: 'button', class: 'small quiet', 'aria-label': `${label}: ${String(text()).slice(0, 40)}`,
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(text());
        toast('Copied.');
      } catch {
        toast('The browser does not let the page copy.', 'bad');
      }
    },
  }, label);
}

/** A text to look at and to copy: a command, a body, a header. */
export function code(text, { label = 'Copy', name = 'Text' } = {}) {
  return h('div', { class: 'code' },
    h('pre', { tabindex: '0', role: 'region', 'aria-label': name }, h('code', null, text)),
    copyButton(() => text, label));
}

/** A button that does something on the server, once at a time, and says how it went. */
export function action(label, run, { kind = '', title = null, confirm = null } = {}) {
  const button = h('button', { type: 'button', class: kind, title }, label);
  button.addEventListener('click', async () => {
    if (confirm && !(await ask(confirm, label))) return;
    button.disabled = true;
    try {
      const said = await run();
      if (said) toast(said);
    } catch (error) {
      toast(error.message, 'bad');
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** Asks before something that cannot be taken back. */
export function ask(question, yes) {
  return new Promise((resolve) => {
    const dialog = h('dialog', { class: 'ask', 'aria-label': question },
      h('p', null, question),
      h('form', { method: 'dialog', class: 'row' },
        h('button', { value: 'no', class: 'quiet' }, 'Cancel'),
        h('button', { value: 'yes', class: 'primary' }, yes)));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A small word with a colour: a state. */
export function badge(kind, text) { return h('span', { class: `badge ${kind}` }, text); }

/** A list of names and values. */
export function facts(...pairs) {
  return h('dl', { class: 'facts' }, pairs.filter((p) => p && p[1] !== null && p[1] !== undefined && p[1] !== '')
    .map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))));
}

/** What stands where nothing is. */
export function empty(title, ...text) { return h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), text); }

/** The head of a page. */
export function head(title, lead, ...actions) {
  document.title = `${title} · Heliograph`;
  return h('header', { class: 'page-head' },
    h('div', null, h('h1', null, title), lead && h('p', { class: 'lead' }, lead)),
    actions.length > 0 && h('div', { class: 'row' }, actions));
}

/** A part of a page with a heading. */
export function panel(title, ...children) {
  const id = `p-${title.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
  return h('section', { class: 'panel', 'aria-labelledby': id }, h('h2', { id }, title), children);
}
