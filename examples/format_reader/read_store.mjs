// Reads a store written by distributed_tracer, from distributed_tracer/store/FORMAT.md alone.
//
//   node read_store.mjs STORE              a line per prompt, and the store's digest
//   node read_store.mjs STORE PROMPT       one prompt's strongest edges

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { endianness } from "node:os";
import { fileURLToPath } from "node:url";
import FileSystemStore from "@zarrita/storage/fs";
import * as zarr from "zarrita";
import { byCodePoints, canonical, parse } from "./json_text.mjs";

// Section 5, in the order of its table: array, type in the digest, axis.
const ARRAYS = [
  ["prompts/id", "u1", "id_byte"],
  ["prompts/text", "u1", "text_byte"],
  ["prompts/has_text", "u1", "prompt"],
  ["prompts/metadata", "u1", "metadata_byte"],
  ["prompts/num_layers", "i4", "prompt"],
  ["prompts/constant_node", "u1", "prompt"],
  ["prompts/scores", "f8", "prompt"],
  ["prompts/error_share", "f8", "layer"],
  ["prompts/path_length", "f8", "path"],
  ["targets/token_id", "i4", "target"],
  ["targets/position", "i4", "target"],
  ["targets/weight", "f8", "target"],
  ["targets/value", "f8", "target"],
  ["targets/label_size", "i4", "target"],
  ["targets/label", "u1", "label_byte"],
  ["tokens/token", "i4", "token"],
  ["tokens/string_size", "i4", "token"],
  ["tokens/string", "u1", "token_byte"],
  ["nodes/kind", "u1", "node"],
  ["nodes/layer", "i2", "node"],
  ["nodes/position", "i4", "node"],
  ["nodes/feature", "i4", "node"],
  ["nodes/activation", "f4", "node"],
  ["nodes/in_degree", "i4", "node"],
  ["nodes/row_abs_sum", "f4", "node"],
  ["nodes/row_abs_sum_all", "f4", "node"],
  ["nodes/row_abs_dropped", "f4", "node"],
  ["nodes/constant", "f4", "node"],
  ["nodes/influence", "f4", "node"],
  ["edges/source", "u4", "edge"],
  ["edges/weight", "f4", "edge"],
  ["active/layer", "i2", "active"],
  ["active/position", "i4", "active"],
  ["active/feature", "i4", "active"],
  ["active/activation", "f4", "active"],
];
const [FEATURE, TARGET] = [0, 3];
const KINDS = ["feature", "error", "token", "target"];

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256"));
const bytesOf = (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
const textOf = (bytes) => new TextDecoder().decode(bytes);

/** Sections 1 and 3: the commits in the order of their names, checked against their own hash. */
async function readCommits(root) {
  const run = JSON.parse(await readFile(join(root, "run.json"), "utf8"));
  if (run.format !== "distributed_tracer" || run.format_version !== 1)
    throw new Error(`${root} is a store of format ${run.format} ${run.format_version}; this reads distributed_tracer 1`);
  const names = await readdir(join(root, "commits")).catch(() => []);
  const commits = [];
  for (const name of names.filter((name) => /^\d{10}-[0-9a-f]{32}\.json$/.test(name)).sort()) {
    const data = await readFile(join(root, "commits", name));
    const commit = JSON.parse(data.toString("utf8"));
    const end = data.lastIndexOf(',"sha256":');
    if (commit.sha256 && sha256(data.subarray(0, end)).digest("hex") !== commit.sha256)
      throw new Error(`${name} is not as it was written`);
    commits.push(commit);
  }
  return commits;
}

/** Section 5: all arrays of a part; a function that gives one prompt's rows of one array. */
async function readPart(root, commit) {
  for (const [key, [size, hash]] of Object.entries(commit.objects)) {
    const data = await readFile(join(root, "parts", commit.part, key));
    if (data.length !== size || sha256(data).digest("hex") !== hash)
      throw new Error(`${commit.part}/${key} is not as it was written`);
  }
  const group = zarr.root(new FileSystemStore(resolve(root, "parts", commit.part)));
  const whole = async (name) => {
    const array = await zarr.open.v3(group.resolve(name), { kind: "array" });
    const rows = array.shape[0] ? (await zarr.get(array)).data : new Uint8Array(0);
    return { rows, width: array.shape[1] ?? 1, attributes: array.attrs };
  };
  const held = new Map();
  const keepsActive = "active/layer/zarr.json" in commit.objects;
  for (const [name] of ARRAYS) if (keepsActive || !name.startsWith("active/")) held.set(name, await whole(name));
  const pointers = await whole("prompts/pointers");
  const rowsOf = (name, axis, prompt) => {
    const { rows, width } = held.get(name);
    const column = pointers.attributes.columns.indexOf(axis);
    const pointer = (row) => Number(pointers.rows[row * pointers.width + column]);
    const [first, end] = axis === "prompt" ? [prompt, prompt + 1] : [pointer(prompt), pointer(prompt + 1)];
    return rows.subarray(first * width, end * width);
  };
  return { rowsOf, keepsActive };
}

/** One prompt's rows of every array, by name. */
function readPrompt(part, number) {
  const arrays = {};
  for (const [name, , axis] of ARRAYS)
    if (part.keepsActive || axis !== "active") arrays[name] = part.rowsOf(name, axis, number);
  arrays["edges/source"] = Uint32Array.from(arrays["edges/source"]); // may be narrower on disk
  if (!part.keepsActive) {
    const isFeature = (_, node) => arrays["nodes/kind"][node] === FEATURE;
    for (const column of ["layer", "position", "feature", "activation"])
      arrays[`active/${column}`] = arrays[`nodes/${column}`].filter(isFeature);
  }
  return arrays;
}

/** Section 7: the digest of one prompt's graph, 32 bytes. */
function digestOf(arrays) {
  const hash = createHash("sha256");
  for (const [name, type] of ARRAYS) {
    const metadata = name === "prompts/metadata";
    const bytes = metadata ? Buffer.from(canonical(parse(textOf(arrays[name]))), "ascii") : bytesOf(arrays[name]);
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(bytes.length));
    hash.update(`${name}:${type}:`).update(size).update(bytes);
  }
  return hash.digest();
}

/** Every prompt of the store with its arrays, each from the first commit that names it (section 1, rule 5). */
export async function* prompts(root) {
  if (endianness() !== "LE") throw new Error("digests are of little-endian numbers, and this machine's are not");
  const seen = new Set();
  for (const commit of await readCommits(root)) {
    const part = await readPart(root, commit);
    for (const [number, id] of commit.prompts.id.entries()) {
      if (seen.has(id)) continue;
      seen.add(id);
      yield { id, arrays: readPrompt(part, number), commit, number };
    }
  }
}

export async function digestOfStore(root) {
  const digests = new Map();
  for await (const { id, arrays } of prompts(root)) digests.set(id, digestOf(arrays));
  const sorted = [...digests.keys()].sort(byCodePoints);
  return sha256(...sorted.map((id) => digests.get(id))).digest("hex");
}

/** What a node is called in a list of edges. */
function nodeName(arrays, labels, node) {
  const [kind, layer, position, feature] = ["kind", "layer", "position", "feature"].map((c) => arrays[`nodes/${c}`][node]);
  if (kind === TARGET) return `target ${canonical(labels[feature])}`;
  return kind === FEATURE ? `feature ${layer}:${feature} at ${position}` : `${KINDS[kind]} at ${position}`;
}

/** The strongest edges of a prompt's graph: [weight, source, node it goes into]. */
export function strongestEdges(arrays, count = 10) {
  const edges = [];
  let edge = 0;
  arrays["nodes/in_degree"].forEach((degree, node) => {
    for (const end = edge + degree; edge < end; edge++)
      edges.push([arrays["edges/weight"][edge], arrays["edges/source"][edge], node]);
  });
  const size = ([weight]) => Math.abs(weight) || 0; // NaN comes last
  return edges.sort((a, b) => size(b) - size(a)).slice(0, count);
}

function labelsOf(arrays) {
  let at = 0;
  const labels = [];
  for (const size of arrays["targets/label_size"]) labels.push(textOf(arrays["targets/label"].subarray(at, (at += size))));
  return labels;
}

if (process.argv[1] && fileURLToPath(import.meta.url) === resolve(process.argv[1])) {
  const [root, wanted] = process.argv.slice(2);
  if (!root) {
    console.error("usage: node read_store.mjs STORE [PROMPT]");
    process.exit(2);
  }
  for await (const { id, arrays, commit, number } of prompts(root)) {
    if (wanted === undefined) {
      const sizes = ["num_tokens", "num_nodes", "num_edges"].map((name) => `${commit.prompts[name][number]} ${name.slice(4)}`);
      console.log(`${canonical(id)}: ${sizes.join(", ")}`); // in ASCII: an id could control a terminal
    } else if (wanted === id) {
      const name = (node) => nodeName(arrays, labelsOf(arrays), node);
      for (const [weight, source, node] of strongestEdges(arrays))
        console.log(`${weight.toPrecision(6)}  ${name(source)} -> ${name(node)}`);
    }
  }
  if (wanted === undefined) console.log(await digestOfStore(root));
}
