// Plots, drawn by hand as SVG.

import { h, s } from './dom.js';
import { percent, plural } from './format.js';

/** Bars of what was delivered and what failed, over the steps of the pulse. */
export function bars(pulse, { height = 72 } = {}) {
  const width = 600;
  const each = pulse.stepSeconds * 1000;
  const end = Math.floor(Date.parse(pulse.now) / each) + 1;
  const oldest = pulse.value.length > 0 ? end - Math.floor(Date.parse(pulse.value[0].at) / each) : 0;
  const per = oldest <= 30 ? 1 : oldest <= 60 ? 2 : Math.ceil(pulse.steps / 30); // steps in a bar
  const bins = 30;
  const sums = Array.from({ length: bins }, () => ({ delivered: 0, failed: 0 }));
  for (const step of pulse.value) {
    const back = end - Math.floor(Date.parse(step.at) / each) - 1;
    const bin = bins - 1 - Math.floor(back / per);
    if (bin < 0 || bin >= bins) continue;
    sums[bin].delivered += step.delivered;
    sums[bin].failed += step.failed + step.givenUp;
  }
  const most = Math.max(1, ...sums.map((b) => b.delivered + b.failed));
  const scale = (n) => (n > 0 ? Math.max(2, (n / most) * (height - 4)) : 0);
  const step = width / bins;
  const seconds = Math.round((each * per) / 1000);
  const drawn = sums.map((b, i) => {
    const up = scale(b.delivered);
    const down = scale(b.failed);
    const x = i * step + 0.75;
    return s('g', null,
      s('title', null, `${plural(b.delivered, 'notification')} delivered, ${b.failed} failed, in ${seconds} s`),
      s('rect', { x: i * step, y: 0, width: step, height, class: 'bar-hit' }),
      b.delivered > 0 && s('rect', { x, y: height - up, width: step - 1.5, height: up, rx: 1.5, class: 'bar-ok' }),
      b.failed > 0 && s('rect', { x, y: height - up - down, width: step - 1.5, height: down, rx: 1.5, class: 'bar-bad' }),
      b.delivered + b.failed === 0 && s('rect', { x, y: height - 1.5, width: step - 1.5, height: 1.5, class: 'bar-none' }));
  });
  const all = sums.reduce((a, b) => ({ delivered: a.delivered + b.delivered, failed: a.failed + b.failed }));
  return h('figure', { class: 'bars' },
    s('svg', {
      viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img',
      'aria-label': `The last ${spanOf(bins * per * each)}: ${plural(all.delivered, 'notification')} delivered, ${all.failed} failed; at most ${most} in ${seconds} s`,
    }, drawn),
    h('figcaption', null, h('span', null, `${spanOf(bins * per * each)} ago`), h('span', null, h('i', { class: 'key ok' }), 'delivered ', h('i', { class: 'key bad' }), 'failed'), h('span', null, 'now')));
}

const spanOf = (ms) => `${Math.round(ms / 60_000)} min`;

/** How large a share of an endpoint's answers came late, over time, with the shares at which it is called slow. */
export function health(points, nowMs, rules) {
  const age = points.length > 0 ? (nowMs - Date.parse(points[0].at)) / 60_000 : 0;
  const minutes = age > 9 ? 30 : age > 4 ? 10 : 5;
  const [width, height, left, bottom] = [640, 150, 40, 26];
  const from = nowMs - minutes * 60_000;
  const x = (at) => left + ((at - from) / (nowMs - from)) * (width - left - 8);
  const y = (share) => 8 + (1 - share) * (height - bottom - 8);
  const seen = points.map((p) => ({ ...p, ms: Date.parse(p.at) })).filter((p) => p.ms >= from);
  const line = (key) => seen.map((p, i) => `${i ? 'L' : 'M'}${x(p.ms).toFixed(1)} ${y(p[key]).toFixed(1)}`).join('');
  const area = seen.length > 1 ? `${line('late')}L${x(seen.at(-1).ms).toFixed(1)} ${y(0)}L${x(seen[0].ms).toFixed(1)} ${y(0)}Z` : '';
  const strips = seen.map((p, i) => {
    const next = seen[i + 1] ? seen[i + 1].ms : Math.min(nowMs, p.ms + 10_000);
    const state = p.state !== 'healthy' ? p.state : p.parked ? 'parked' : 'healthy';
    return s('rect', { x: x(p.ms), y: height - bottom + 3, width: Math.max(1, x(next) - x(p.ms)), height: 5, class: `strip ${state}` });
  });
  const last = seen.at(-1);
  const label = last
    ? `The last ${minutes} minutes: now ${percent(last.late)} of ${plural(last.answers, 'answer')} late, ${percent(last.beyond)} far too late, ${last.state}`
    : 'Nothing is known yet: a point is taken every ten seconds';
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => [
    s('line', { x1: left, x2: width - 8, y1: y(share), y2: y(share), class: 'grid' }),
    s('text', { x: left - 6, y: y(share) + 3.5, class: 'axis', 'text-anchor': 'end' }, `${share * 100}%`)]);
  const times = [0, minutes / 5, (2 * minutes) / 5, (3 * minutes) / 5, (4 * minutes) / 5, minutes].map((back) => s('text', {
    x: x(nowMs - back * 60_000), y: height - 5, class: 'axis', 'text-anchor': back === 0 ? 'end' : back === minutes ? 'start' : 'middle',
  }, back === 0 ? 'now' : `-${back} min`));
  return s('svg', { viewBox: `0 0 ${width} ${height}`, class: 'plot', role: 'img', 'aria-label': label },
    grid, times, rules && ['slow', 'drop'].map((k) => s('line', { x1: left, x2: width - 8, y1: y(rules[`${k}Share`]), y2: y(rules[`${k}Share`]), class: `threshold ${k}` })),
    s('path', { d: area, class: 'area-late' }),
    s('path', { d: line('late'), class: 'line-late' }),
    s('path', { d: line('beyond'), class: 'line-beyond' }),
    last && s('circle', { cx: x(last.ms), cy: y(last.late), r: 3, class: 'dot-late' }),
    strips);
}

/** Where the time of one POST went, as a bar with its parts. */
export function timing(parts) {
  const total = Math.max(parts.reduce((sum, p) => sum + p.ms, 0), 0.001);
  let at = 0;
  return h('div', { class: 'timing' },
    h('div', { class: 'timing-bar', role: 'img', 'aria-label': parts.map((p) => `${p.name} ${p.text}`).join(', ') },
      parts.filter((p) => p.ms > 0).map((p) => {
        const part = h('span', { class: `t-${p.key}`, style: { left: `${(at / total) * 100}%`, width: `${(p.ms / total) * 100}%` }, title: `${p.name}: ${p.text}` });
        at += p.ms;
        return part;
      })),
    h('ul', { class: 'timing-key' }, parts.map((p) => h('li', null, h('i', { class: `key t-${p.key}` }), `${p.name} `, h('b', null, p.text)))));
}
