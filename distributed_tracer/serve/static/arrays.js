// Replies in binary form: see `Arrays` in endpoint.py. Arrays are views of the bytes that came, not copies.
const TYPES = { u1: Uint8Array, i2: Int16Array, i4: Int32Array, f4: Float32Array, f8: Float64Array };

/** Return { values, arrays } of the bytes. */
export function decode(buffer) {
  const size = new DataView(buffer).getUint32(0, true), begin = 4 + size;
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const arrays = {};
  for (const [name, { dtype, offset, length }] of Object.entries(header.arrays))
    arrays[name] = new TYPES[dtype](buffer, begin + offset, length);
  return { values: header.values, arrays };
}
