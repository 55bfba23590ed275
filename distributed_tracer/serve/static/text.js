// Text for people. Whatever comes from prompts, tokens, labels and metadata is hostile: it is shown, never obeyed.

/** Return a text in which every character can be seen: no control characters, no reversal of direction. */
export function visible(text) {
  return String(text).replace(/\r\n|\n|\r/g, "⏎").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "·");
}

/** Return a token as it is named in drawings: a leading space is shown. */
export function tokenText(text) {
  return visible(String(text).replace(/^ /, "␣"));
}

export function cut(text, length) {
  const characters = Array.from(text);
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : text;
}

/** Return a share with its sign, as in +12.3%. */
export function percent(value) {
  if (!Number.isFinite(value)) return "unknown";
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(100 * value).toFixed(1)}%`;
}

/** Return a number with four significant digits; "unknown" for null and NaN. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "unknown";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

/** Return a count with its noun: "1 prompt", "2,000 prompts". */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return any value of metadata as text. */
export function plain(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return visible(value);
  if (typeof value === "number") return number(value);
  return visible(JSON.stringify(value));
}
