'use strict';
// Draws the run that stands in the page as JSON. Times are milliseconds of simulated time.
(() => {
  const run = JSON.parse(document.getElementById('run').textContent);
  const NAMES = 84, AXIS = 34;                       // widths and heights, in pixels
  const NODE = 46, USER = 32, EPISODE = 17, GAP = 6;
  const DETAIL = new Set(['message', 'detail']);     // kinds of events that are shown only if asked for
  const SHOWN = 14;
  const at = (id) => document.getElementById(id);
  const seconds = (time) => (time / 1000).toFixed(3) + ' s';
  const colour = (node) => `var(--n${Math.max(0, run.nodes.findIndex((it) => it.name === node)) % 9})`;

  let from = 0, to = run.ends, moment = 0, width = 800, height = 0;

  // ---- building blocks -----------------------------------------------------------------------------------------
  const svg = (name, attributes = {}, ...children) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const html = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const titled = (element, text) => { element.append(svg('title', {}, text)); return element; };
  const x = (time) => NAMES + (time - from) / (to - from) * (width - NAMES);
  const time = (pixel) => from + (pixel - NAMES) / (width - NAMES) * (to - from);
  const isSeen = (begin, end) => end >= from && begin <= to;
  const clipped = (begin, end) => [Math.max(NAMES, x(begin)), Math.min(width, x(end))];

  // A bar with its words inside if there is room, and always as its title.
  function bar(into, begin, end, y, tall, kind, words, title, look = {}) {
    if (!isSeen(begin, end)) return;
    const [left, right] = clipped(begin, end);
    const wide = Math.max(1, right - left);
    into.append(titled(svg('rect', { x: left, y, width: wide, height: tall, rx: 2, class: kind, ...look }), title));
    const room = Math.floor((wide - 8) / 6.1);
    const label = words.length <= room ? words : room > 5 ? words.slice(0, room - 1) + '…' : '';
    if (label) {
      const text = svg('text', { x: left + 4, y: y + tall / 2 + 4, 'pointer-events': 'none' }, label);
      if (look.style) text.setAttribute('class', 'on-colour');
      into.append(text);
    }
  }

  function lane(into, y, tall, kind, name, note) {
    const group = svg('g', { class: 'row', 'data-lane': kind, 'data-name': name, role: 'img', 'aria-label': `${kind} ${name}` });
    group.append(svg('rect', { x: NAMES, y, width: Math.max(0, width - NAMES), height: tall, class: 'lane' }));
    group.append(svg('text', { x: 0, y: y + 13, class: 'lane-name' }, name));
    if (note) group.append(svg('text', { x: 0, y: y + 26, class: 'lane-note' }, note));
    into.append(group);
    return group;
  }

  // ---- lanes ---------------------------------------------------------------------------------------------------
  const rows = [];                                   // which episodes share a row: those that do not overlap
  for (const episode of run.episodes) {
    const row = rows.find((it) => it[it.length - 1].to <= episode.from);
    if (row) row.push(episode); else rows.push([episode]);
  }

  function drawEpisodes(into, y) {
    const tall = Math.max(1, rows.length) * EPISODE + 4;
    const group = lane(into, y, tall, 'episodes', 'faults', '');
    rows.forEach((row, number) => {
      for (const it of row) {
        const whom = it.nodes.length ? ' ' + it.nodes.join(' ') : '';
        bar(group, it.from, it.to, y + 2 + number * EPISODE, EPISODE - 2, 'episode', it.name + whom,
          `${it.text}${whom ? ', meets' + whom : ''}: ${seconds(it.from)} to ${seconds(it.to)}`);
      }
    });
    return y + tall + GAP;
  }

  function drawNode(into, y, node) {
    const group = lane(into, y, NODE, 'node', node.name, 'role, lease');
    group.append(svg('rect', { x: 0, y: y + 34, width: 20, height: 4, fill: colour(node.name) }));
    const span = (it) => `${node.name} ${it[3]}: ${seconds(it[0])} to ${seconds(it[1])}`;
    for (const it of node.role) bar(group, it[0], it[1], y + 3, 17, it[2], it[3], span(it));
    for (const it of node.service) bar(group, it[0], it[1], y + 22, 9, it[2], '', span(it));
    for (const it of node.process) {
      if (it[2] === 'down') bar(group, it[0], it[1], y + 3, 28, 'process-down', it[3], span(it));
      if (it[2] === 'paused') bar(group, it[0], it[1], y + 3, 28, 'process-paused', it[3], span(it));
    }
    for (const it of run.episodes.filter((it) => it.nodes.includes(node.name))) {
      bar(group, it.from, it.to, y + 35, 6, 'met', '', `${node.name} is met by ${it.name}: ${seconds(it.from)} to ${seconds(it.to)}`);
    }
    return y + NODE + GAP;
  }

  // All dots of a kind are one path, or a page with thousands of them would be slow.
  function dots(group, times, y, kind) {
    let path = '', last = -9;
    for (const it of times) {
      if (it < from || it > to) continue;
      const place = Math.round(x(it) * 2) / 2;
      if (place !== last) path += `M${place} ${y}v5`;
      last = place;
    }
    if (path) group.append(svg('path', { d: path, class: 'dots ' + kind }));
  }

  function drawUser(into, y, user) {
    const group = lane(into, y, USER, 'user', user.name, '');
    for (const it of user.sessions) {
      bar(group, it[0], it[1], y + 1, 13, 'session', it[2], `${it[3]}: ${seconds(it[0])} to ${seconds(it[1])}`, { style: `fill:${colour(it[2])}` });
    }
    dots(group, user.sent, y + 15, 'sent');
    dots(group, user.acknowledged, y + 20.5, 'acknowledged');
    dots(group, user.received, y + 26, 'received');
    dots(group, user.bounced, y + 26, 'bounced');
    return y + USER + GAP;
  }

  function drawViolations(into) {
    run.violations.forEach((it, number) => {
      if (it.at === null || it.at < from || it.at > to) return;
      const mark = svg('g', { class: 'violation', role: 'img', 'aria-label': `${it.invariant} at ${seconds(it.at)}: ${it.text}` });
      const place = x(it.at);
      mark.append(svg('line', { x1: place, x2: place, y1: 0, y2: height }));
      mark.append(svg('path', { d: `M${place} 0h15v13h-15z` }));
      mark.append(svg('text', { x: place + 3, y: 10 }, String(number + 1)));
      into.append(titled(mark, `${it.invariant} at ${seconds(it.at)}: ${it.text}`));
    });
  }

  function patterns() {
    const stripes = (id, back, front) => svg('pattern', { id, width: 7, height: 7, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
      svg('rect', { width: 7, height: 7, style: `fill:${back}` }), svg('rect', { width: 2.2, height: 7, style: `fill:${front}` }));
    return svg('defs', {}, stripes('stripes-fenced', 'var(--nobody)', 'var(--fenced)'), stripes('stripes-down', 'var(--line)', 'var(--down)'),
      stripes('stripes-paused', 'var(--lane)', 'var(--paused)'));
  }

  function drawAxis() {
    const axis = at('axis');
    axis.replaceChildren();
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 60000, 120000, 300000];
    const step = steps.find((it) => x(from + it) - x(from) >= 70) || 600000;
    for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
      axis.append(svg('line', { x1: x(tick), x2: x(tick), y1: 26, y2: AXIS, class: 'tick' }));
      const text = step >= 1000 ? tick / 1000 + ' s' : seconds(tick);
      axis.append(svg('text', { x: x(tick) + 3, y: AXIS - 2, class: 'tick-text' }, text));
    }
    const phases = [[run.begins, 'users begin'], [run.heals, 'all is whole'], [run.silent, 'users fall silent']];
    let free = NAMES;
    for (const [when, words] of phases) {
      const place = x(when);
      if (place < free || place > width - 20) continue;
      axis.append(svg('text', { x: place + 3, y: 13, class: 'phase-text' }, words));
      free = place + words.length * 6 + 10;
    }
    return phases;
  }

  // ---- everything ----------------------------------------------------------------------------------------------
  function draw() {
    width = Math.max(320, at('lanes').clientWidth);
    const phases = drawAxis();
    const picture = svg('svg', { id: 'picture' }, patterns());
    let y = 18;
    y = drawEpisodes(picture, y);
    for (const node of run.nodes) y = drawNode(picture, y, node);
    for (const user of run.users) y = drawUser(picture, y, user);
    height = y;
    for (const [when] of phases) {
      if (when >= from && when <= to) picture.append(svg('line', { x1: x(when), x2: x(when), y1: 0, y2: height, class: 'phase' }));
    }
    drawViolations(picture);
    picture.append(svg('line', { id: 'cursor', y1: 0, y2: height, 'pointer-events': 'none' }));
    picture.setAttribute('height', height);
    picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    at('lanes').replaceChildren(picture);
    look(moment);
    document.documentElement.dataset.drawn = 'yes';
  }

  // ---- the moment that is looked at ----------------------------------------------------------------------------
  const during = (spans, when) => spans.find((it) => it[0] <= when && when < it[1]);
  // How many of some sorted times are not after this one.
  function until(times, when, key = (it) => it) {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (key(times[middle]) <= when) low = middle + 1; else high = middle;
    }
    return low;
  }

  function look(when) {
    moment = Math.min(Math.max(0, when), run.ends);
    const cursor = at('cursor'), place = x(moment);
    cursor.setAttribute('x1', place);
    cursor.setAttribute('x2', place);
    cursor.setAttribute('visibility', place < NAMES || place > width ? 'hidden' : 'visible');
    at('moment').textContent = seconds(moment);
    const lanes = at('lanes');
    lanes.setAttribute('aria-valuenow', Math.round(moment));
    lanes.setAttribute('aria-valuetext', seconds(moment));
    tell(moment);
  }

  const chip = (node) => html('span', { class: 'chip', style: `background:${colour(node)}` });

  function tell(when) {
    at('nodes').tBodies[0].replaceChildren(...run.nodes.map((node) => {
      const [process, role, service] = [node.process, node.role, node.service].map((spans) => during(spans, when));
      const words = (it) => it ? it[3] : '–';
      return html('tr', {}, html('th', { scope: 'row' }, chip(node.name), node.name), html('td', {}, words(process)), html('td', {}, words(role)),
        html('td', {}, service ? (service[2] === 'serves' ? 'served' : 'not served') : '–'));
    }));
    at('users').tBodies[0].replaceChildren(...run.users.map((user) => {
      const session = during(user.sessions, when);
      const counts = [user.sent, user.acknowledged, user.received].map((times) => until(times, when)).join(' / ');
      return html('tr', {}, html('th', { scope: 'row' }, user.name), html('td', {}, ...(session ? [chip(session[2]), `at ${session[2]}`] : ['nowhere'])), html('td', {}, counts));
    }));
    const broken = run.episodes.filter((it) => it.from <= when && when < it.to);
    const lines = broken.map((it) => html('li', {}, `${it.name} ${it.nodes.join(' ')} (until ${seconds(it.to)})`));
    at('broken').replaceChildren(...(lines.length ? lines : [html('li', { class: 'none' }, 'nothing')]));
    const all = at('all').checked, shown = [];
    for (let number = until(run.events, when, (it) => it[0]) - 1; number >= 0 && shown.length < SHOWN; number--) {
      const [happened, kind, words] = run.events[number];
      if (all || !DETAIL.has(kind)) shown.push(html('li', { class: kind }, html('time', {}, (happened / 1000).toFixed(3)), html('span', {}, words)));
    }
    at('events').replaceChildren(...shown);
    document.querySelectorAll('#violations li').forEach((it) => it.classList.toggle('here', it.dataset.at !== '' && Math.abs(it.dataset.at - when) < 0.5));
  }

  // ---- moving about --------------------------------------------------------------------------------------------
  function show(begin, end) {
    const span = Math.min(run.ends, Math.max(5, end - begin));
    from = Math.min(Math.max(0, begin), run.ends - span);
    to = from + span;
    draw();
  }
  function zoom(factor, around) {
    show(around - (around - from) * factor, around + (to - around) * factor);
  }
  function visit(when) {
    if (when < from || when > to) { const half = (to - from) / 2; show(when - half, when + half); }
    look(when);
  }
  const marks = run.violations.map((it) => it.at).filter((it) => it !== null).sort((a, b) => a - b);
  const next = () => { const it = marks.find((it) => it > moment + 0.5); if (it !== undefined) visit(it); };
  const previous = () => { const it = marks.filter((it) => it < moment - 0.5).pop(); if (it !== undefined) visit(it); };

  function listen() {
    const lanes = at('lanes');
    let held = null;
    const pixel = (event) => event.clientX - lanes.getBoundingClientRect().left;
    lanes.addEventListener('pointermove', (event) => {
      if (held !== null && event.buttons) {
        const shift = time(held) - time(pixel(event));
        held = pixel(event);
        if (shift) show(from + shift, to + shift);
      }
      if (pixel(event) >= NAMES) look(time(pixel(event)));
    });
    lanes.addEventListener('pointerdown', (event) => { held = pixel(event); lanes.setPointerCapture(event.pointerId); });
    lanes.addEventListener('pointerup', () => { held = null; });
    lanes.addEventListener('wheel', (event) => {
      event.preventDefault();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const shift = (event.deltaX || event.deltaY) / width * (to - from);
        show(from + shift, to + shift);
      } else {
        zoom(Math.exp(event.deltaY * 0.0015), time(Math.max(NAMES, pixel(event))));
      }
    }, { passive: false });
    const keys = {
      ArrowLeft: (step) => visit(moment - step), ArrowRight: (step) => visit(moment + step),
      Home: () => visit(0), End: () => visit(run.ends),
      '+': () => zoom(0.5, moment), '-': () => zoom(2, moment), 0: () => show(0, run.ends), n: next, p: previous,
    };
    document.addEventListener('keydown', (event) => {
      const action = keys[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'INPUT') return;
      event.preventDefault();
      action((to - from) / (event.shiftKey ? 20 : 400));
    });
    at('closer').onclick = () => zoom(0.5, moment);
    at('farther').onclick = () => zoom(2, moment);
    at('whole').onclick = () => show(0, run.ends);
    at('next').onclick = next;
    at('previous').onclick = previous;
    at('next').disabled = at('previous').disabled = marks.length === 0;
    at('all').onchange = () => tell(moment);
    new ResizeObserver(() => { if (Math.abs(lanes.clientWidth - width) > 1) draw(); }).observe(lanes);
  }

  // ---- what stands still ---------------------------------------------------------------------------------------
  function drawWords() {
    const verdict = at('verdict');
    verdict.textContent = run.violations.length ? `${run.violations.length} violation${run.violations.length > 1 ? 's' : ''}` : 'Everything held';
    verdict.className = run.violations.length ? 'bad' : 'good';
    at('name').textContent = run.name;
    at('story').textContent = run.story + (run.bug && !run.story.includes(run.bug.split(':')[0]) ? ` Planted: ${run.bug}` : '');
    at('plan').textContent = `${run.plan}. Trace ${run.trace}.`;
    at('lanes').setAttribute('aria-valuemax', Math.round(run.ends));
    const swatch = (kind, words, shape) => html('span', {}, svg('svg', { viewBox: '0 0 20 11' }, shape || svg('rect', { width: 20, height: 11, rx: 2, class: kind })), words);
    const tick = (kind) => svg('path', { d: 'M4 2v7M10 2v7M16 2v7', class: 'dots ' + kind });
    at('legend').append(
      swatch('leader', 'leads'), swatch('follower', 'follows'), swatch('nobody', 'knows no leader'), swatch('serves', 'has its lease and serves'),
      swatch('fenced', 'serves nobody'), swatch('process-down', 'no process'), swatch('process-paused', 'stands still'), swatch('met', 'met by a fault'),
      swatch('', 'sent', tick('sent')), swatch('', 'acknowledged', tick('acknowledged')), swatch('', 'received', tick('received')), swatch('', 'came back', tick('bounced')),
      swatch('', 'violation', svg('path', { d: 'M9 0v11h2v-11z', style: 'fill:var(--bad)' })));
    if (run.violations.length) {
      const item = (it, number) => {
        const line = html('li', { tabindex: 0, 'data-at': it.at === null ? '' : it.at }, html('span', { class: 'number' }, String(number + 1)),
          html('time', {}, it.at === null ? 'whole run' : seconds(it.at)), html('p', {}, html('b', {}, it.invariant), ' ' + it.text));
        const go = () => { if (it.at !== null) { at('lanes').scrollIntoView({ block: 'nearest' }); visit(it.at); } };
        line.onclick = go;
        line.onkeydown = (event) => { if (event.key === 'Enter') go(); };
        return line;
      };
      at('violations').append(html('h3', {}, 'What did not hold'), html('ol', {}, ...run.violations.map(item)));
    }
    if (run.left_out.length) {
      at('events').after(html('p', { id: 'left-out' }, `Left out of this list, which would be too long: ${run.left_out.join(', ')}. Those nearest to the first violation were kept.`));
    }
  }

  drawWords();
  listen();
  draw();
  look(marks.length ? marks[0] : run.begins);
})();
