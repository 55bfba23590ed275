// JSON as section 7 of FORMAT.md has it. JSON.parse would lose what a digest needs: whether a number was written as
// an integer, integers beyond 2^53, NaN and infinities, and the order of keys by code points.

const TOKEN = /\s*([{}[\],:]|"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;

export class Float {
  constructor(value) {
    this.value = value;
  }
}

/** Values as JavaScript has them, but: integers are BigInt, other numbers are Float, objects are Map. */
export function parse(text) {
  TOKEN.lastIndex = 0;
  const tokens = [];
  while (text.slice(TOKEN.lastIndex).trim()) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (!found) throw new Error(`not JSON at character ${at}: ${text.slice(at, at + 20)}`);
    tokens.push(found[1]);
  }
  let next = 0;
  const value = () => {
    const token = tokens[next++];
    if (token === "{") {
      const map = new Map();
      while (tokens[next] !== "}") {
        const key = JSON.parse(tokens[next]);
        next += 2; // the key and its colon
        map.set(key, value());
        if (tokens[next] === ",") next++;
      }
      next++;
      return map;
    }
    if (token === "[") {
      const list = [];
      while (tokens[next] !== "]") {
        list.push(value());
        if (tokens[next] === ",") next++;
      }
      next++;
      return list;
    }
    if (token === "NaN" || token.endsWith("Infinity")) return new Float(Number(token));
    if (/^-?\d/.test(token)) return /[.eE]/.test(token) ? new Float(Number(token)) : BigInt(token);
    return JSON.parse(token);
  };
  return value();
}

/** The canonical text: keys sorted by code points at every depth, no white space, ASCII without DEL. */
export function canonical(value) {
  if (value instanceof Map) {
    const entries = [...value].sort(([a], [b]) => byCodePoints(a, b));
    return `{${entries.map(([key, of]) => `${escaped(key)}:${canonical(of)}`).join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value instanceof Float) return floatText(value.value);
  if (typeof value === "string") return escaped(value);
  return String(value); // BigInt, true, false, null
}

/** Compares as UTF-8 does; `<` compares UTF-16 units, which puts characters above U+FFFF before U+E000. */
export function byCodePoints(a, b) {
  const [x, y] = [[...a], [...b]];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const difference = x[i].codePointAt(0) - y[i].codePointAt(0);
    if (difference) return difference;
  }
  return x.length - y.length;
}

const SHORT = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b" };

function escaped(text) {
  // Without the flag u: units of UTF-16, so that characters above U+FFFF become surrogate pairs.
  const long = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return `"${text.replace(/["\\]|[^ -~]/g, (unit) => SHORT[unit] ?? long(unit))}"`;
}

/** The shortest decimal digits that give the number back: positional from 1e-4 to below 1e16, else with an exponent. */
export function floatText(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x < 0 ? "-Infinity" : "Infinity";
  if (x === 0) return Object.is(x, -0) ? "-0.0" : "0.0";
  const sign = x < 0 ? "-" : "";
  const [mantissa, power] = Math.abs(x).toExponential().split("e");
  const [digits, exponent] = [mantissa.replace(".", ""), Number(power)];
  if (exponent < -4 || exponent >= 16) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? "-" : "+"}${size}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}
