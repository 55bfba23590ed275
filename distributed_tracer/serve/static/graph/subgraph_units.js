// The subgraph of pinned nodes and supernodes: its units, the merged edges between them, and what changes them.
// Nothing here touches the page or the server.
import { ERROR, FEATURE, TARGET, TOKEN } from "../graph_data.js";
import { cut, visible } from "../text.js";

const MOST_NAME = 1000; // characters, as the server takes them

/**
 * Return the units of a subgraph: supernodes, and pinned nodes that are in none. A node in several groups counts for
 * the last of them, so that no effect is counted twice. A unit has `id` (the key of its first node, which no other unit
 * has), `group` (its number in `groups`, or -1), `name`, `nodes` (numbers in the graph) and `missing` (how many members
 * the graph does not have).
 */
export function unitsOf(graph, groups, pins) {
  const owner = new Map();
  groups.forEach(({ members }, group) => {
    for (const key of members) if (graph.nodeOf(key) >= 0) owner.set(graph.nodeOf(key), group);
  });
  const units = [];
  groups.forEach(({ name, members }, group) => {
    const found = [...new Set(members.map((key) => graph.nodeOf(key)))].filter((node) => owner.get(node) === group);
    const missing = members.filter((key) => graph.nodeOf(key) < 0).length;
    if (found.length) units.push({ id: graph.keyOf(found[0]), group, name: visible(name), nodes: found, missing });
  });
  for (const node of new Set(pins.map((key) => graph.nodeOf(key))))
    if (node >= 0 && !owner.has(node))
      units.push({ id: graph.keyOf(node), group: -1, name: nodeTitle(graph, node), nodes: [node], missing: 0 });
  return units;
}

/** Return what a node is called in the diagram: its label, or its short name. */
export function nodeTitle(graph, node) {
  return graph.labelText(node) || graph.shortName(node);
}

/** Return the second line of a unit: what and where its nodes are. */
export function unitPlace(graph, unit) {
  const [node] = unit.nodes, position = graph.position[node];
  if (unit.group < 0) {
    if (graph.kind[node] === TARGET) return "target";
    if (graph.kind[node] === TOKEN) return `token ${position}`;
    const site = graph.kind[node] === FEATURE && graph.labelText(node) ? `${graph.shortName(node)} ` : "";
    return `${site}at ${position} ${cut(graph.token(position), 14)}`;
  }
  const layers = unit.nodes.filter((one) => graph.kind[one] <= ERROR).map((one) => graph.layer[one]);
  const low = Math.min(...layers), high = Math.max(...layers);
  const where = !layers.length ? "" : low === high ? ` · layer ${low}` : ` · layers ${low}–${high}`;
  return `${unit.nodes.length} ${unit.nodes.length === 1 ? "node" : "nodes"}${where}`;
}

/**
 * Return the edges between units, the largest |share| first, as { source, target, weight, size, count, share }: numbers
 * of units, the sum of the effects, of their sizes, and their number. The share of a merged edge is
 *
 *   share(S → T) = Σ over members t of T of  w(t) · Σ over members s of S of effect(s → t) / outside(t)
 *   outside(t) = row(t) − Σ over members u of T of |effect(u → t)|
 *   w(t) = part(t) / Σ over members u of T of part(u),   part(t) = outside(t) / row(t)
 *
 * Each member's inputs are thus normalised by the sum of |effect| that comes from outside its supernode, and members are
 * averaged, weighted by the part of their input that comes from outside. For single nodes it is the edge's share in the
 * rest of the page. `row` is the sum of |effect| before pruning, or with `rows = "stored"` that of the edges here, as in
 * circuit-tracer's page. `query/merged_edges.py` computes the same. Edges within a unit are left out.
 */
export function mergedEdges(graph, units, rows = "whole") {
  const unitOf = new Map(units.flatMap(({ nodes }, unit) => nodes.map((node) => [node, unit])));
  const merged = new Map();
  units.forEach(({ nodes }, target) => {
    const members = nodes.map((node) => {
      const inputs = graph.inputs(node), stored = sizes(graph, inputs);
      const row = !inputs.length ? 0 : rows === "stored" ? stored : graph.row[node];
      const inside = sizes(graph, inputs.filter((edge) => unitOf.get(graph.source[edge]) === target));
      const outside = Math.max(row - inside, 0);
      return { inputs, outside, part: row > 0 ? outside / row : 0 };
    });
    const whole = members.reduce((sum, { part }) => sum + part, 0);
    for (const { inputs, outside, part } of members)
      for (const edge of inputs) {
        const source = unitOf.get(graph.source[edge]);
        if (source === undefined || source === target) continue;
        const found = merged.get(source * units.length + target) ?? { source, target, weight: 0, size: 0, count: 0, share: 0 };
        const weight = Number.isFinite(graph.weight[edge]) ? graph.weight[edge] : 0;
        found.weight += weight;
        found.size += Math.abs(weight);
        found.count += 1;
        if (outside > 0 && whole > 0) found.share += (weight / outside) * (part / whole);
        merged.set(source * units.length + target, found);
      }
  });
  return [...merged.values()].sort((a, b) => Math.abs(b.share) - Math.abs(a.share) || a.source - b.source || a.target - b.target);
}

function sizes(graph, edges) {
  let sum = 0;
  for (const edge of edges) sum += Number.isFinite(graph.weight[edge]) ? Math.abs(graph.weight[edge]) : 0;
  return sum;
}

/** Return { groups, pins } in which some units are one supernode: the first group among them, or a new one. */
export function grouped(graph, { groups, pins }, units) {
  const old = units.filter(({ group }) => group >= 0).map(({ group }) => group);
  const keys = units.flatMap((unit) => (unit.group >= 0 ? groups[unit.group].members : [unit.id]));
  const first = old[0] ?? groups.length;
  const name = old.length ? groups[first].name : newName(graph, groups, units.flatMap(({ nodes }) => nodes));
  const made = { name, members: [...new Set(keys)] };
  const kept = groups.map((one, group) => (group === first ? made : one)).filter((_, group) => group === first || !old.includes(group));
  return { groups: old.length ? kept : [...groups, made], pins };
}

/** Return a name for a new supernode: a label of its most influential member, or where its members are. */
function newName(graph, groups, nodes) {
  const best = [...nodes].sort((a, b) => (graph.flow[b] || 0) - (graph.flow[a] || 0));
  const labelled = best.find((node) => graph.labelsOf(node).length);
  if (labelled !== undefined) return cut(graph.labelsOf(labelled)[0][0], MOST_NAME);
  const places = new Set(nodes.map((node) => (graph.kind[node] === TARGET ? "targets" : graph.tokens[graph.position[node]] ?? "")));
  if (places.size === 1 && [...places][0].trim()) return cut([...places][0].trim(), MOST_NAME);
  let number = groups.length + 1;
  while (groups.some(({ name }) => name === `supernode ${number}`)) number += 1;
  return `supernode ${number}`;
}

/** Return { groups, pins } without the supernodes among some units. Their members stay, as pins. */
export function ungrouped({ groups, pins }, units) {
  const gone = new Set(units.filter(({ group }) => group >= 0).map(({ group }) => group));
  const members = [...gone].flatMap((group) => groups[group].members);
  return { groups: groups.filter((_, group) => !gone.has(group)), pins: [...new Set([...pins, ...members])] };
}

/** Return { groups, pins } without some units: neither pinned nor grouped. */
export function unpinned({ groups, pins }, units) {
  const gone = new Set(units.filter(({ group }) => group >= 0).map(({ group }) => group));
  const keys = new Set(units.flatMap((unit) => (unit.group >= 0 ? groups[unit.group].members : [unit.id])));
  return { groups: groups.filter((_, group) => !gone.has(group)), pins: pins.filter((key) => !keys.has(key)) };
}

export function renamed({ groups, pins }, group, name) {
  return { groups: groups.map((one, number) => (number === group ? { ...one, name: cut(name, MOST_NAME) } : one)), pins };
}

/** Return { groups, pins } with some more members in a group, which leave the groups that they were in. */
export function withMembers({ groups, pins }, group, keys) {
  const more = new Set(keys);
  const changed = groups.map((one, number) => (number === group
    ? { ...one, members: [...new Set([...one.members, ...keys])] }
    : { ...one, members: one.members.filter((key) => !more.has(key)) }));
  return { groups: changed.filter(({ members }, number) => members.length || !groups[number].members.length), pins };
}

/** Return { groups, pins } in which a member has left its group. It stays, as a pin; an empty group is gone. */
export function withoutMember({ groups, pins }, group, key) {
  const changed = groups.map((one, number) => (number === group ? { ...one, members: one.members.filter((other) => other !== key) } : one));
  return { groups: changed.filter(({ members }, number) => number !== group || members.length), pins: [...new Set([...pins, key])] };
}

/** Return the keys of tokens and targets whose edges from or to what is shown have a share of at least `least`. */
export function takingPart(graph, groups, pins, least) {
  const shown = unitsOf(graph, groups, pins), isShown = new Set(shown.flatMap(({ nodes }) => nodes));
  const others = [];
  for (let node = 0; node < graph.count; node++)
    if ((graph.kind[node] === TOKEN || graph.kind[node] === TARGET) && !isShown.has(node)) others.push(graph.keyOf(node));
  const units = unitsOf(graph, groups, [...pins, ...others]), found = new Set();
  for (const { source, target, share } of mergedEdges(graph, units))
    if (Math.abs(share) >= least && (source < shown.length || target < shown.length)) found.add(units[source].id).add(units[target].id);
  return others.filter((key) => found.has(key));
}

/** Return what a graph has of { groups, pins }: an annotation may also name nodes that pruning left out. */
export function present(graph, { groups, pins }) {
  const isThere = (key) => graph.nodeOf(key) >= 0;
  return { groups: groups.map(({ name, members }) => ({ name, members: members.filter(isThere) })), pins: pins.filter(isThere) };
}

/**
 * Return { groups, pins } of a view, with the nodes that were saved and that the graph does not have. Those of a group
 * come into the group that has most of its other members, or its name if it has none; without such a group it is gone.
 */
export function withAbsent(graph, view, saved) {
  const isAbsent = (key) => graph.nodeOf(key) < 0;
  const groups = view.groups.map(({ name, members }) => ({ name, members: [...members] }));
  for (const old of saved.groups) {
    const absent = old.members.filter(isAbsent);
    if (!absent.length) continue;
    const isOnlyAbsent = absent.length === old.members.length;
    const common = groups.map(({ members }) => old.members.filter((key) => members.includes(key)).length);
    let to = common.indexOf(Math.max(0, ...common));
    if (!common[to]) to = groups.findIndex(({ name }) => name === old.name);
    if (to < 0 && isOnlyAbsent) groups.push({ name: old.name, members: absent });
    else if (to >= 0) groups[to].members = [...new Set([...groups[to].members, ...absent])];
  }
  return { groups, pins: [...new Set([...view.pins, ...saved.pins.filter(isAbsent)])] };
}

/** Return { groups, pins } that have all of two, each once. */
export function union(one, other) {
  const groups = new Map([...one.groups, ...other.groups].map((group) => [JSON.stringify([group.name, group.members]), group]));
  return { groups: [...groups.values()], pins: [...new Set([...one.pins, ...other.pins])] };
}

export const isSame = (one, other) => canonical(one) === canonical(other);
// A group of which the graph has no node is not drawn, and does not count as a change.
const canonical = ({ groups, pins }) =>
  JSON.stringify([groups.filter(({ members }) => members.length).map(({ name, members }) => [name, members]), pins]);
