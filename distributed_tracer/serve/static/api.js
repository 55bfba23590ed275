// Requests to this server's API. Errors carry the server's own words.
import { decode } from "./arrays.js";

export class ApiError extends Error {
  constructor(status, kind, message) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

const BASE = "api/v1/";

/** Return the relative address of something in the API. Lists repeat their parameter. */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== null && one !== undefined) query.append(name, String(one));
  const text = query.toString();
  return BASE + path + (text ? `?${text}` : "");
}

async function answered(response) {
  if (response.ok) return response;
  let kind = "", message = `the server answered with ${response.status}`;
  try {
    ({ kind, message } = (await response.json()).error);
  } catch { /* not in JSON: the number must do */ }
  throw new ApiError(response.status, kind, message);
}

async function ask(path, params, options) {
  try {
    return await fetch(address(path, params), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "NoServer", "the server does not answer; it may have been stopped");
  }
}

/** Return the JSON of an address. */
export async function get(path, params, signal) {
  return (await answered(await ask(path, params, { signal }))).json();
}

/** Return values and arrays of an address that answers in binary form. */
export async function getArrays(path, params, signal) {
  return decode(await (await answered(await ask(path, params, { signal }))).arrayBuffer());
}

/** Return { waiting } with the JSON of an answer that says "not yet", or else its values and arrays. */
export async function getArraysOnceThere(path, params, signal) {
  const response = await answered(await ask(path, params, { signal }));
  return response.status === 202 ? { waiting: await response.json() } : decode(await response.arrayBuffer());
}

/** Send a change, and return the JSON of the answer. */
export async function post(path, body, params) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return (await answered(await ask(path, params, options))).json();
}
