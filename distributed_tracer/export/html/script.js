"use strict";
// The drawing of one attribution graph. All text from outside becomes text, never markup: see `make`.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [FEATURE, ERROR, TOKEN, TARGET] = [0, 1, 2, 3];
  const KINDS = ["feature", "error", "token", "target"];
  const CELL = 30, ROW = 30, PAD = 14, FOLDED = 10, LEFT = 74, BELOW = 74, ABOVE = 48;
  const ALL_POSITIONS = 150, LISTED = 200, MOST_LABELS = 400;

  const decode = (text, Type) => {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new Type(bytes.buffer);
  };
  const kind = decode(data.kind, Uint8Array), layer = decode(data.layer, Int16Array);
  const position = decode(data.position, Int32Array), feature = decode(data.feature, Int32Array);
  const activation = decode(data.activation, Float32Array), influence = decode(data.influence, Float32Array);
  const row = decode(data.row, Float32Array); // sum of |weight| over the edges into a node
  const source = decode(data.source, Int32Array), target = decode(data.target, Int32Array);
  const weight = decode(data.weight, Float32Array); // the edges that pass on most influence come first
  const count = kind.length;
  const share = (edge) => (row[target[edge]] > 0 ? weight[edge] / row[target[edge]] : 0);

  const labels = new Map(data.labels.map(([l, f, found]) => [`${l}:${f}`, found]));
  const pins = new Set(data.pins);
  const element = (id) => document.getElementById(id);
  const canvas = element("canvas"), pen = canvas.getContext("2d");

  const visible = (text) => text.replace(/ /, "␣").replace(/\n/g, "⏎").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "·");
  const cut = (text, length) => {
    const characters = Array.from(text);
    return characters.length > length ? characters.slice(0, length - 1).join("") + "…" : text;
  };
  const token = (p) => visible(data.tokens[p] ?? "");
  const labelsOf = (node) => (kind[node] === FEATURE ? labels.get(`${layer[node]}:${feature[node]}`) ?? [] : []);
  const labelText = (node) => [...new Set(labelsOf(node).map(([text]) => visible(text).replace("␣", " ")))].join(" | ");
  const shortName = (node) => {
    if (kind[node] === FEATURE) return `${layer[node]}:${feature[node]}`;
    if (kind[node] === ERROR) return `error ${layer[node]}`;
    return kind[node] === TOKEN ? token(position[node]) : visible(data.targets[feature[node]].label);
  };
  const name = (node) => {
    const where = kind[node] === TARGET ? "" : ` at ${position[node]} ${kind[node] === TOKEN ? "" : token(position[node])}`;
    const said = labelText(node);
    return `${kind[node] === FEATURE || kind[node] === ERROR ? "" : KINDS[kind[node]] + " "}${shortName(node)}${where}${said ? " — " + said : ""}`;
  };
  const percent = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(100 * value).toFixed(1)}%`;
  const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "unknown");

  // --- what is shown -------------------------------------------------------------------------------------------------
  const inner = [...Array(count).keys()].filter((node) => kind[node] <= ERROR);
  // In an imported graph of which no influence is known, all nodes count the same.
  const isKnown = inner.some((node) => Number.isFinite(influence[node]));
  const flow = (node) => (isKnown ? influence[node] || 0 : 1);
  inner.sort((a, b) => flow(b) - flow(a) || a - b);
  const total = inner.reduce((sum, node) => sum + flow(node), 0) || 1;
  const covered = new Map(); // the share of influence of all nodes that come before this one
  inner.reduce((sum, node) => (covered.set(node, sum / total), sum + flow(node)), 0);
  const state = { share: 1, edges: 0, selected: -1, group: -1, scale: 1, stretch: 1, x: 0, y: 0, isFitted: true };
  if (inner.length > 300) state.share = covered.get(inner[300]);
  state.edges = Math.min(source.length, 600);
  let shown = new Uint8Array(count), drawn = [], places = new Float64Array(2 * count), columns = [], bands = [];
  let size = { width: 1, height: 1 };

  function choose() {
    shown = new Uint8Array(count);
    for (const node of inner) shown[node] = state.share >= 1 || covered.get(node) < state.share ? 1 : 0;
    const kept = [...pins, state.selected, ...(state.group >= 0 ? data.groups[state.group].members : [])];
    for (const node of kept) if (node >= 0) shown[node] = 1;
    const used = new Set();
    for (let node = 0; node < count; node++) if (shown[node] || kind[node] === TARGET) used.add(position[node]);
    for (let node = 0; node < count; node++)
      if (kind[node] === TARGET || (kind[node] === TOKEN && (data.tokens.length <= ALL_POSITIONS || used.has(position[node])))) shown[node] = 1;
    layOut();
    if (state.isFitted) fit();
    chooseEdges();
  }
  function chooseEdges() {
    drawn = [];
    for (let edge = 0; edge < source.length && drawn.length < state.edges; edge++)
      if (shown[source[edge]] && shown[target[edge]]) drawn.push(edge);
    const nodes = inner.reduce((sum, node) => sum + shown[node], 0);
    element("share-said").textContent = `${(100 * state.share).toFixed(1)}%, ${nodes.toLocaleString("en")} of ${inner.length.toLocaleString("en")} features and errors`;
    element("edges-said").textContent = `${drawn.length.toLocaleString("en")} of ${source.length.toLocaleString("en")}, strongest first`;
    redraw();
  }
  function layOut() {
    const sites = new Map();
    for (let node = 0; node < count; node++) {
      if (!shown[node]) continue;
      const key = position[node] * 65536 + layer[node] + 1;
      if (!sites.has(key)) sites.set(key, []);
      sites.get(key).push(node);
    }
    const across = (members) => Math.min(members.length, Math.max(3, Math.ceil(Math.sqrt(2.5 * members.length))));
    const widths = new Map(), rows = new Map();
    for (const [key, members] of sites) {
      const at = Math.floor(key / 65536), level = (key % 65536) - 1;
      const wide = level === data.num_layers ? 1 : across(members);
      widths.set(at, Math.max(widths.get(at) ?? 44, wide * CELL + PAD));
      rows.set(level, Math.max(rows.get(level) ?? 0, level === data.num_layers ? 1 : Math.ceil(members.length / wide)));
    }
    let x = 0;
    columns = [...widths.keys()].sort((a, b) => a - b).map((at) => ({ at, from: x, to: (x += widths.get(at)) }));
    const columnOf = new Map(columns.map((column) => [column.at, column]));
    bands = [];
    let y = 0;
    for (let level = -1; level <= data.num_layers; level++) {
      const folded = !rows.has(level), last = bands[bands.length - 1];
      if (folded && last?.folded) { last.last = level; continue; }
      const height = folded ? FOLDED : rows.get(level) * ROW + PAD + (level === data.num_layers ? 16 : 0);
      bands.push({ first: level, last: level, folded, from: y, to: (y += height) });
    }
    const bandOf = new Map(bands.filter((band) => !band.folded).map((band) => [band.first, band]));
    size = { width: Math.max(x, 1), height: Math.max(y, 1) };
    for (const [key, members] of sites) {
      const column = columnOf.get(Math.floor(key / 65536)), level = (key % 65536) - 1, band = bandOf.get(level);
      const isTarget = level === data.num_layers, wide = isTarget ? members.length : across(members);
      const step = isTarget ? 64 : CELL, deep = Math.ceil(members.length / wide);
      const middle = (column.from + column.to) / 2;
      const right = Math.min(middle + (wide - 1) * step / 2, Math.max(size.width - step / 2, (wide - 1) * step + step / 2));
      members.forEach((node, index) => {
        places[2 * node] = right - (wide - 1 - (index % wide)) * step;
        places[2 * node + 1] = size.height - (band.from + band.to) / 2 + (Math.floor(index / wide) - (deep - 1) / 2) * ROW;
      });
    }
  }

  // --- drawing -------------------------------------------------------------------------------------------------------
  let colours = {}, pending = false, hovered = -1;
  // Communities have six colours, then the same with triangles that point up, then down; then all begins anew.
  const COLOURS = 6, LOOKS = 18, FORMS = ["●", "▲", "▼"];
  const lookOf = data.communities && new Int16Array(count).fill(-1);
  data.communities?.forEach(({ members }, place) => members.forEach((node) => { lookOf[node] = place % LOOKS; }));
  const fillOf = (node) => {
    if (!lookOf || kind[node] !== FEATURE) return colours[KINDS[kind[node]]];
    return lookOf[node] < 0 ? colours["no-community"] : colours[`community-${lookOf[node] % COLOURS}`];
  };
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const key of [...KINDS, "back", "text", "faint", "line", "band", "positive", "negative", "select", "no-community", ...Array.from({ length: COLOURS }, (_, place) => `community-${place}`)])
      colours[key] = style.getPropertyValue(`--${key}`).trim();
  };
  const screenX = (x) => LEFT + (x - state.x) * state.scale;
  const tall = () => state.scale * state.stretch; // pixels for one unit of height
  const screenY = (y) => (y - state.y) * tall();
  const radius = (node) => {
    const size = kind[node] === TARGET ? data.targets[feature[node]].weight ?? largest : flow(node);
    return (3 + 5 * Math.sqrt(Math.min(size / largest, 1))) * Math.min(Math.max(state.scale, 0.5), 1.6);
  };
  const largest = Math.max(1e-30, ...inner.slice(0, 1).map(flow));
  const redraw = () => {
    if (!pending) requestAnimationFrame(draw);
    pending = true;
  };
  function draw() {
    pending = false;
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width - LEFT, height - BELOW);
    pen.clip();
    drawGrid(width, height);
    drawEdges();
    drawNodes();
    drawLabels(width, height);
    pen.restore();
    drawAxes(width, height);
  }
  function drawGrid(width, height) {
    pen.fillStyle = colours.band;
    for (const band of bands)
      if (band.folded) pen.fillRect(LEFT, screenY(size.height - band.to), width, (band.to - band.from) * tall());
    pen.strokeStyle = colours.line;
    columns.forEach((column, index) => {
      if (!index) return;
      pen.setLineDash(column.at - columns[index - 1].at > 1 ? [2, 3] : []);
      pen.globalAlpha = column.at - columns[index - 1].at > 1 ? 1 : 0.5;
      pen.beginPath();
      pen.moveTo(screenX(column.from), 0);
      pen.lineTo(screenX(column.from), height);
      pen.stroke();
    });
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }
  function line(edge) {
    pen.moveTo(screenX(places[2 * source[edge]]), screenY(places[2 * source[edge] + 1]));
    pen.lineTo(screenX(places[2 * target[edge]]), screenY(places[2 * target[edge] + 1]));
  }
  function drawEdges() {
    const focus = state.selected;
    const levels = 6; // edges of similar strength are one path, which is what a canvas draws fast
    for (let level = levels - 1; level >= 0; level--) {
      const part = drawn.slice(Math.floor((level / levels) ** 2 * drawn.length), Math.floor(((level + 1) / levels) ** 2 * drawn.length));
      pen.lineWidth = 0.5 + 1.6 * (1 - level / levels);
      pen.globalAlpha = (focus < 0 ? 1 : 0.2) * (0.12 + 0.5 * (1 - level / levels));
      for (const sign of ["positive", "negative"]) {
        pen.strokeStyle = colours[sign];
        pen.beginPath();
        for (const edge of part) if (weight[edge] > 0 === (sign === "positive")) line(edge);
        pen.stroke();
      }
    }
    pen.globalAlpha = 0.9;
    if (focus >= 0)
      for (let edge = source.length - 1; edge >= 0; edge--) {
        if ((source[edge] !== focus && target[edge] !== focus) || !shown[source[edge]] || !shown[target[edge]]) continue;
        pen.lineWidth = 0.4 + 5 * Math.sqrt(Math.min(Math.abs(share(edge)), 1));
        pen.globalAlpha = 0.25 + 0.65 * Math.min(1, 3 * Math.sqrt(Math.abs(share(edge))));
        pen.strokeStyle = weight[edge] > 0 ? colours.positive : colours.negative;
        pen.beginPath();
        line(edge);
        pen.stroke();
      }
    pen.globalAlpha = 1;
  }
  function drawNodes() {
    const inGroup = new Set(state.group >= 0 ? data.groups[state.group].members : []);
    for (let node = 0; node < count; node++) {
      if (!shown[node]) continue;
      const x = screenX(places[2 * node]), y = screenY(places[2 * node + 1]), r = radius(node);
      pen.beginPath();
      const tip = lookOf && kind[node] === FEATURE && lookOf[node] >= COLOURS ? (lookOf[node] < 2 * COLOURS ? -1.25 : 1.25) * r : 0;
      if (tip) { pen.moveTo(x, y + tip); pen.lineTo(x + 1.15 * r, y - 0.65 * tip); pen.lineTo(x - 1.15 * r, y - 0.65 * tip); pen.closePath(); }
      else if (kind[node] === FEATURE) pen.arc(x, y, r, 0, 2 * Math.PI);
      else if (kind[node] === ERROR) { pen.moveTo(x, y - r * 1.2); pen.lineTo(x + r * 1.2, y); pen.lineTo(x, y + r * 1.2); pen.lineTo(x - r * 1.2, y); pen.closePath(); }
      else pen.rect(x - r, y - r, 2 * r, 2 * r);
      pen.fillStyle = fillOf(node);
      pen.fill();
      const isMarked = node === state.selected || node === hovered || pins.has(node) || inGroup.has(node);
      pen.lineWidth = isMarked ? 2.5 : 1;
      pen.strokeStyle = isMarked ? colours.select : colours.back;
      pen.stroke();
    }
  }
  function drawLabels(width, height) {
    const order = inner.filter((node) => shown[node] && kind[node] === FEATURE).slice(0, MOST_LABELS);
    for (let node = 0; node < count; node++) if (kind[node] === TARGET) order.unshift(node);
    for (const node of [...pins, hovered, state.selected]) if (node >= 0 && kind[node] !== TOKEN) order.unshift(node);
    const boxes = [], done = new Set();
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    for (const node of order) {
      if (done.has(node)) continue;
      done.add(node);
      const lines = [cut(shortName(node), 16)];
      if (kind[node] === TARGET && data.targets[feature[node]].weight !== null) lines.push(data.targets[feature[node]].weight.toFixed(2));
      const said = labelText(node);
      if (said) lines.push(cut(said, 24));
      const wide = Math.max(...lines.map((text) => pen.measureText(text).width)) + 4, tall = 12 * lines.length;
      const x = screenX(places[2 * node]), bottom = screenY(places[2 * node + 1]) - radius(node) - 2;
      const left = Math.min(Math.max(x - wide / 2, LEFT), Math.max(width - wide, LEFT));
      const box = [left, bottom - tall, left + wide, bottom];
      if (box[2] < LEFT || box[0] > width || box[3] < 0 || box[1] > height) continue;
      const isWanted = node === state.selected || node === hovered;
      if (!isWanted && boxes.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      boxes.push(box);
      pen.globalAlpha = 0.8;
      pen.fillStyle = colours.back;
      pen.fillRect(box[0], box[1], wide, tall);
      pen.globalAlpha = 1;
      pen.fillStyle = colours.text;
      lines.forEach((text, index) => pen.fillText(text, left + wide / 2, box[1] + 12 * index + 10));
    }
  }
  function drawAxes(width, height) {
    pen.font = "12px system-ui, sans-serif";
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    let free = Infinity;
    for (const band of bands) {
      const y = screenY(size.height - (band.from + band.to) / 2);
      if (y < 6 || y > height - BELOW - 4 || free - y < 13) continue;
      free = y;
      const ends = new Map([[-1, "tokens"], [data.num_layers, "targets"]]);
      const span = band.first === band.last ? `${band.first}` : `${band.first}–${band.last}`;
      pen.fillStyle = band.folded ? colours.faint : colours.text;
      pen.fillText(band.folded ? `⋮ ${span}` : ends.get(band.first) ?? `layer ${band.first}`, LEFT - 8, y);
    }
    pen.strokeStyle = colours.faint;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(LEFT, 0);
    pen.lineTo(LEFT, height - BELOW);
    pen.lineTo(width, height - BELOW);
    pen.stroke();
    free = -Infinity;
    for (const column of columns) {
      const x = screenX((column.from + column.to) / 2);
      if (x < LEFT || x > width || x - free < 14) continue;
      free = x;
      pen.save();
      pen.translate(x, height - BELOW + 10);
      pen.rotate(-Math.PI / 4);
      pen.fillStyle = state.selected >= 0 && position[state.selected] === column.at ? colours.select : colours.text;
      pen.fillText(cut(token(column.at), 12), 0, 0);
      pen.restore();
    }
  }

  // --- moving and zooming --------------------------------------------------------------------------------------------
  function fit() {
    const width = canvas.clientWidth - LEFT, height = canvas.clientHeight - BELOW - ABOVE;
    state.scale = Math.min(Math.max(Math.min(width / (size.width + 30), height / size.height / 0.6), 0.02), 3);
    state.stretch = Math.min(Math.max(height / size.height / state.scale, 0.6), 2);
    state.x = size.width / 2 - width / 2 / state.scale;
    state.y = size.height / 2 - (height / 2 + ABOVE) / tall();
    state.isFitted = true;
    redraw();
  }
  function zoom(factor, x = LEFT + (canvas.clientWidth - LEFT) / 2, y = (canvas.clientHeight - BELOW) / 2) {
    const scale = Math.min(Math.max(state.scale * factor, 0.02), 12);
    state.x += (x - LEFT) * (1 / state.scale - 1 / scale);
    state.y += y * (1 / state.scale - 1 / scale) / state.stretch;
    state.scale = scale;
    state.isFitted = false;
    redraw();
  }
  function bringIntoView(node) {
    const x = screenX(places[2 * node]), y = screenY(places[2 * node + 1]);
    const width = canvas.clientWidth, height = canvas.clientHeight - BELOW;
    if (x < LEFT + 20 || x > width - 20) state.x += (x - (LEFT + width) / 2) / state.scale;
    if (y < 20 || y > height - 20) state.y += (y - height / 2) / tall();
  }
  function nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    for (let node = 0; node < count; node++) {
      if (!shown[node]) continue;
      const distance = (screenX(places[2 * node]) - x) ** 2 + (screenY(places[2 * node + 1]) - y) ** 2;
      if (distance < least) [best, least] = [node, distance];
    }
    return best;
  }
  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => {
    dragged = { x: event.offsetX, y: event.offsetY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (dragged) {
      const [dx, dy] = [event.offsetX - dragged.x, event.offsetY - dragged.y];
      if (!dragged.moved && Math.hypot(dx, dy) < 4) return;
      state.x -= dx / state.scale;
      state.y -= dy / tall();
      dragged = { x: event.offsetX, y: event.offsetY, moved: true };
      state.isFitted = false;
      redraw();
      return;
    }
    const node = nearest(event.offsetX, event.offsetY, 18);
    if (node !== hovered) redraw();
    hovered = node;
    const tip = element("tip");
    tip.hidden = node < 0;
    if (node < 0) return;
    tip.textContent = `${cut(name(node), 200)}\ninfluence ${number(influence[node])}`;
    tip.style.left = `${Math.max(Math.min(event.offsetX + 14, canvas.clientWidth - 330), 0)}px`;
    tip.style.top = `${Math.min(event.offsetY + 14, canvas.clientHeight - 60)}px`;
  });
  canvas.addEventListener("pointerleave", () => { hovered = -1; element("tip").hidden = true; redraw(); });
  canvas.addEventListener("pointerup", (event) => {
    if (dragged && !dragged.moved) select(nearest(event.offsetX, event.offsetY, 18));
    dragged = null;
  });
  canvas.addEventListener("pointercancel", () => { dragged = null; });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
  }, { passive: false });

  // --- lists beside the drawing --------------------------------------------------------------------------------------
  function make(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }
  function nodeRow(node, value) {
    const item = make("li"), button = make("button");
    button.type = "button";
    button.append(make("span", cut(name(node), 120) + (shown[node] ? "" : " (hidden)"), "name"));
    if (value !== undefined) {
      const sign = value > 0 ? "positive" : "negative", bar = make("span", "", `bar ${sign}`);
      bar.style.width = `${Math.min(100, 100 * Math.abs(value))}%`;
      button.append(make("span", percent(value), `share ${sign}`), bar);
    }
    button.addEventListener("click", () => select(node));
    item.append(button);
    return item;
  }
  function connections(title, edges, other) {
    const list = make("ul", undefined, "rows");
    edges.sort((a, b) => Math.abs(share(b)) - Math.abs(share(a)) || a - b);
    for (const edge of edges.slice(0, LISTED)) list.append(nodeRow(other[edge], share(edge)));
    const found = [make("h3", `${title} (${edges.length.toLocaleString("en")})`), list];
    if (edges.length > LISTED) found.push(make("p", `and ${(edges.length - LISTED).toLocaleString("en")} weaker ones`, "hint"));
    return found;
  }
  const edgesAt = (node, ends) => {
    const found = [];
    for (let edge = 0; edge < ends.length; edge++) if (ends[edge] === node) found.push(edge);
    return found;
  };
  const groups = new Map(); // the names of the groups of each node
  for (const group of data.groups)
    for (const node of group.members) groups.set(node, [...(groups.get(node) ?? []), visible(group.name).replace("␣", " ")]);
  const groupsOf = (node) => groups.get(node) ?? [];
  function describe() {
    const node = state.selected, panel = element("selected");
    panel.replaceChildren();
    if (node < 0) {
      panel.append(make("h2", "No node is selected"), make("p", "Click a node, or search for one.", "hint"));
      return;
    }
    const facts = { kind: KINDS[kind[node]], token: `${token(position[node])} at ${position[node]}` };
    if (kind[node] <= ERROR) facts.layer = layer[node];
    if (kind[node] === TARGET) facts.weight = number(data.targets[feature[node]].weight ?? NaN);
    if (kind[node] === FEATURE) facts.activation = number(activation[node]);
    facts.influence = number(influence[node]);
    if (groupsOf(node).length) facts.groups = groupsOf(node).join("\n");
    const list = make("dl");
    for (const [key, value] of Object.entries(facts)) list.append(make("dt", key), make("dd", String(value)));
    const pin = make("button", pins.has(node) ? "unpin" : "pin");
    pin.type = "button";
    pin.addEventListener("click", () => togglePin(node));
    panel.append(make("h2", cut(kind[node] === TARGET ? `target ${shortName(node)}` : name(node).split(" — ")[0], 120)));
    for (const [text, from] of labelsOf(node)) {
      const line = make("p", visible(text).replace("␣", " ") + " ", "label");
      line.append(make("span", from ? `(${visible(from).replace("␣", " ")})` : "", "source"));
      panel.append(line);
    }
    panel.append(list, pin, ...connections("Inputs, by share of this node's row", edgesAt(node, target), source));
    panel.append(...connections("Outputs, by share of their rows", edgesAt(node, source), target));
  }
  function listPins() {
    const panel = element("pinned"), list = make("ul", undefined, "rows");
    for (const node of pins) list.append(nodeRow(node));
    panel.replaceChildren(...(pins.size ? [make("h2", "Pinned"), list] : []));
  }
  function listGroups() {
    const panel = element("groups"), list = make("ul", undefined, "rows");
    data.groups.forEach((group, index) => {
      const item = make("li"), button = make("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(state.group === index));
      button.append(make("span", cut(visible(group.name).replace("␣", " "), 80), "name"), make("span", `${group.members.length} nodes${group.missing ? `, ${group.missing} not in this page` : ""}`, "share"));
      button.addEventListener("click", () => { state.group = state.group === index ? -1 : index; choose(); listGroups(); });
      item.append(button);
      list.append(item);
    });
    panel.replaceChildren(...(data.groups.length ? [make("h2", "Groups"), list] : []));
  }
  function listCommunities() {
    if (!lookOf) return;
    const list = make("ul", undefined, "rows communities");
    const add = (colour, form, text) => {
      const item = make("li"), mark = make("span", form, colour);
      mark.setAttribute("aria-hidden", "true");
      item.append(mark, make("span", ` ${text}`));
      list.append(item);
    };
    data.communities.forEach(({ name: called, members }, place) => {
      const look = place % LOOKS;
      add(`community-${look % COLOURS}`, FORMS[Math.floor(look / COLOURS)], `${cut(visible(called).replace("␣", " "), 80)} (${members.length})`);
    });
    const without = inner.filter((node) => kind[node] === FEATURE && lookOf[node] < 0).length;
    if (without) add("community-none", FORMS[0], `features without one (${without.toLocaleString("en")})`);
    const notes = data.communities.length > LOOKS ? [make("p", `Colours and forms repeat after the ${LOOKS} most influential of ${data.communities.length}.`, "hint")] : [];
    element("communities").replaceChildren(make("h2", "Communities"), list, ...notes);
  }
  function togglePin(node) {
    if (node < 0) return;
    if (!pins.delete(node)) pins.add(node);
    listPins();
    describe();
    redraw();
  }
  function select(node) {
    const wasShown = node < 0 || shown[node];
    state.selected = node;
    if (!wasShown) choose();
    if (node >= 0) bringIntoView(node);
    describe();
    element("said").textContent = node < 0 ? "nothing is selected" : `${KINDS[kind[node]]} ${cut(name(node), 200)}, influence ${number(influence[node])}`;
    redraw();
  }
  function strongest(ends, other) {
    const [first] = edgesAt(state.selected, ends).sort((a, b) => Math.abs(share(b)) - Math.abs(share(a)) || a - b);
    if (first !== undefined) select(other[first]);
  }
  function step(dx, dy) {
    if (state.selected < 0) return select(inner[0] ?? (count ? 0 : -1));
    const x = places[2 * state.selected], y = places[2 * state.selected + 1];
    let best = -1, least = Infinity;
    for (let node = 0; node < count; node++) {
      if (!shown[node] || node === state.selected) continue;
      const along = (places[2 * node] - x) * dx + (places[2 * node + 1] - y) * dy;
      const beside = Math.abs((places[2 * node] - x) * dy + (places[2 * node + 1] - y) * dx);
      if (along > 0.5 && along + 2.5 * beside < least) [best, least] = [node, along + 2.5 * beside];
    }
    if (best >= 0) select(best);
  }
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow && event.shiftKey) {
      state.x += 60 * arrow[0] / state.scale;
      state.y += 60 * arrow[1] / tall();
      state.isFitted = false;
      redraw();
    } else if (arrow) step(...arrow);
    else if (event.key === "i") strongest(target, source);
    else if (event.key === "o") strongest(source, target);
    else if (event.key === "p") togglePin(state.selected);
    else if (event.key === "Enter") element("selected").querySelector(".rows button")?.focus();
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit();
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target === element("search");
    if (event.key === "Escape") {
      if (!element("keys").hidden) showKeys();
      else if (isTyping && element("search").value) { element("search").value = ""; search(); }
      else select(-1);
      canvas.focus();
    } else if (isTyping) return;
    else if (event.key === "/") element("search").focus();
    else if (event.key === "?") showKeys();
    else return;
    event.preventDefault();
  });
  function showKeys() {
    element("keys").hidden = !element("keys").hidden;
    element("help").setAttribute("aria-expanded", String(!element("keys").hidden));
  }
  function search() {
    const wanted = element("search").value.toLowerCase(), list = element("found");
    list.replaceChildren();
    if (!wanted.trim()) return;
    const order = [...inner];
    for (let node = 0; node < count; node++) if (kind[node] >= TOKEN) order.push(node);
    const found = order.filter((node) => `${name(node)} ${groupsOf(node).join(" ")}`.toLowerCase().includes(wanted));
    for (const node of found.slice(0, 30)) list.append(nodeRow(node));
    list.append(make("li", found.length > 30 ? `and ${found.length - 30} more` : found.length ? "" : "no node", "hint"));
  }
  element("search").addEventListener("input", search);
  element("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") element("found").querySelector("button")?.click();
  });
  element("closer").addEventListener("click", () => zoom(1.25));
  element("farther").addEventListener("click", () => zoom(0.8));
  element("fit").addEventListener("click", fit);
  element("help").addEventListener("click", showKeys);
  // Both sliders have 1,000 steps; that of edges is finer for few of them.
  element("share").value = String(Math.round(1000 * state.share));
  element("share").addEventListener("input", () => { state.share = Number(element("share").value) / 1000; choose(); });
  element("edges").value = String(Math.round(1000 * Math.cbrt(state.edges / Math.max(source.length, 1))));
  element("edges").addEventListener("input", () => {
    state.edges = Math.round((Number(element("edges").value) / 1000) ** 3 * source.length);
    chooseEdges();
  });

  element("title").textContent = visible(data.text ?? data.prompt).replace("␣", " ");
  element("facts").textContent = data.facts.map((fact) => visible(fact).replaceAll("␣", " ")).join(" · ");
  for (const note of data.notes) element("notes").append(make("li", note));
  readColours();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
  choose();
  describe();
  listPins();
  listGroups();
  listCommunities();
  fit();
  let before = [canvas.clientWidth, canvas.clientHeight];
  new ResizeObserver(() => {
    const now = [canvas.clientWidth, canvas.clientHeight];
    if (now[0] !== before[0] || now[1] !== before[1]) fit();
    before = now;
  }).observe(canvas);
  document.documentElement.dataset.ready = "yes";
})();
