// What goes over the WebSocket; src/backpack/web/wire.py writes the same.

const HEADER_BYTES = 28;
const PICTURE = 1;
const KEY = 1;
const REPEAT = 2;

// Read a binary message; null where this page is older than its server.
export function readPicture(buffer) {
  if (buffer.byteLength <= HEADER_BYTES) return null;
  const view = new DataView(buffer);
  if (view.getUint8(0) !== PICTURE) return null;
  const flags = view.getUint8(1);
  return {
    key: (flags & KEY) !== 0,
    repeat: (flags & REPEAT) !== 0,
    epoch: view.getUint16(2),
    sequence: view.getUint32(4),
    // Microseconds since the machine started, or since 1970, stay exact up to 2^53.
    ptsUs: Number(view.getBigUint64(8)),
    wallUs: Number(view.getBigUint64(16)),
    number: view.getUint32(24),
    data: new Uint8Array(buffer, HEADER_BYTES),
  };
}

export function writeShown(sequence) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, sequence);
  return view.buffer;
}
