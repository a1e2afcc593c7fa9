// Write fragmented MP4 (ISO/IEC 14496-12 and -15), one picture a fragment.

export const TIMESCALE = 1000000;

const SPS = 7;
const PPS = 8;
const AUD = 9;

const encoder = new TextEncoder();

function box(type, ...parts) {
  const size = parts.reduce((sum, part) => sum + part.length, 8);
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint32(0, size);
  bytes.set(encoder.encode(type), 4);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const u8 = (...values) => Uint8Array.from(values);

function u16(...values) {
  return u8(...values.flatMap((value) => [value >> 8, value & 255]));
}

function u32(...values) {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, place) => view.setUint32(place * 4, value));
  return new Uint8Array(view.buffer);
}

function u64(value) {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value));
  return new Uint8Array(view.buffer);
}

const full = (version, flags) => u32((version << 24) | flags);

const MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);

// Give the NAL units of an access unit in Annex B form.
export function splitAnnexB(data) {
  const units = [];
  let start = -1;
  let at = 0;
  const end = data.length;
  while (at + 2 < end) {
    // The third byte of a start code is 1; anything above it rules out three positions.
    if (data[at + 2] > 1) {
      at += 3;
    } else if (data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1) {
      if (start >= 0) units.push(trim(data.subarray(start, at)));
      start = at + 3;
      at = start;
    } else {
      at += 1;
    }
  }
  if (start >= 0) units.push(trim(data.subarray(start)));
  return units.filter((unit) => unit.length > 0);
}

// Zeros before a start code belong to it (H.264, B.1.1).
function trim(unit) {
  let end = unit.length;
  while (end > 0 && unit[end - 1] === 0) end -= 1;
  return unit.subarray(0, end);
}

const kind = (unit) => unit[0] & 31;

export function parameterSets(data) {
  const units = splitAnnexB(data);
  return { sps: units.find((one) => kind(one) === SPS), pps: units.find((one) => kind(one) === PPS) };
}

// Describe the video: what goes in front of all fragments.
export function initSegment({ sps, pps, width, height }) {
  const avcC = box(
    "avcC",
    u8(1, sps[1], sps[2], sps[3], 0xff, 0xe1),
    u16(sps.length),
    sps,
    u8(1),
    u16(pps.length),
    pps,
    // The profiles from High on say their chroma format and depths: 4:2:0, 8 bits.
    sps[1] >= 100 ? u8(0xfd, 0xf8, 0xf8, 0) : u8(),
  );
  const avc1 = box(
    "avc1",
    u32(0),
    u16(0, 1),
    u32(0, 0, 0, 0),
    u16(width, height),
    u32(0x480000, 0x480000, 0),
    u16(1),
    new Uint8Array(32),
    u16(24, 0xffff),
    avcC,
  );
  const stbl = box(
    "stbl",
    box("stsd", full(0, 0), u32(1), avc1),
    box("stts", full(0, 0), u32(0)),
    box("stsc", full(0, 0), u32(0)),
    box("stsz", full(0, 0), u32(0, 0)),
    box("stco", full(0, 0), u32(0)),
  );
  const minf = box(
    "minf",
    box("vmhd", full(0, 1), u16(0, 0, 0, 0)),
    box("dinf", box("dref", full(0, 0), u32(1), box("url ", full(0, 1)))),
    stbl,
  );
  const mdia = box(
    "mdia",
    box("mdhd", full(0, 0), u32(0, 0, TIMESCALE, 0), u16(0x55c4, 0)),
    box("hdlr", full(0, 0), u32(0), encoder.encode("vide"), u32(0, 0, 0), u8(0)),
    minf,
  );
  const tkhd = box(
    "tkhd",
    full(0, 3),
    u32(0, 0, 1, 0, 0, 0, 0),
    u16(0, 0, 0, 0),
    MATRIX,
    u32(width * 65536, height * 65536),
  );
  const moov = box(
    "moov",
    box(
      "mvhd",
      full(0, 0),
      u32(0, 0, TIMESCALE, 0, 0x10000),
      u16(0x100, 0),
      u32(0, 0),
      MATRIX,
      u32(0, 0, 0, 0, 0, 0, 2),
    ),
    box("trak", tkhd, mdia),
    box("mvex", box("trex", full(0, 0), u32(1, 1, 0, 0, 0))),
  );
  const ftyp = box("ftyp", encoder.encode("iso5"), u32(1), encoder.encode("iso5avc1mp41"));
  return concat([ftyp, moov]);
}

// Write one picture. Times are microseconds.
export function fragment({ data, key, number, timeUs, durationUs }) {
  const units = splitAnnexB(data).filter((unit) => ![SPS, PPS, AUD].includes(kind(unit)));
  const sample = concat(units.flatMap((unit) => [u32(unit.length), unit]));
  // A sample that others depend on, or one that depends on others.
  const flags = key ? 0x02000000 : 0x01010000;
  const build = (offset) =>
    box(
      "moof",
      box("mfhd", full(0, 0), u32(number)),
      box(
        "traf",
        box("tfhd", full(0, 0x20000), u32(1)),
        box("tfdt", full(1, 0), u64(timeUs)),
        box("trun", full(0, 0x701), u32(1, offset, durationUs, sample.length, flags)),
      ),
    );
  const offset = build(0).length + 8;
  return concat([build(offset), box("mdat", sample)]);
}

function concat(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
