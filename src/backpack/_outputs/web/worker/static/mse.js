// Decode with Media Source Extensions: what a page has that did not come over TLS or loopback.

import { fragment, initSegment, parameterSets } from "./mp4.js";
import { MOST_FAILURES } from "./webcodecs.js";

// How far the playhead stays behind the newest picture. Less, and pictures that come a
// little late find the playhead past them; more is latency.
const BEHIND_S = 0.04;
// From here on it hurries, and from here on it jumps.
const HURRY_S = 0.12;
const JUMP_S = 0.5;
// A playhead before the newest picture shows what comes at once, so it need not jump back, until
// it comes to the end of what the last picture lasts.
const LOST_S = 5;
const FASTEST = 1.15;
// A picture lasts until the next one, whenever that is: the playhead must not run dry. But Firefox
// (153) shows a few a second only where each lies within many before it; there it runs dry instead.
const LASTS_US = CSS.supports("-moz-orient", "inline") ? 200_000 : 10_000_000;
const KEEP_S = 5;
// An element that has run dry drops pictures from before the playhead and waits for one after it,
// while the server waits for those to be shown. From here on the playhead is sent to the newest one,
// which shows it; where even that does not help, all begins again.
const UNSHOWN_MS = 400;
const STUCK_MS = 2000;
const LOOK_MS = 200;

const Source = window.ManagedMediaSource || window.MediaSource;

export function hasMediaSource() {
  return Boolean(Source);
}

// The same as CanvasPlayer, with a video element.
export class VideoPlayer {
  constructor(video, { onShown, onLost, onUnable }) {
    this.video = video;
    this.onShown = onShown;
    this.onLost = onLost;
    this.onUnable = onUnable;
    this.shape = null;
    this.source = null;
    this.buffer = null;
    this.url = "";
    // Segments that the buffer has still to take; it takes one at a time.
    this.waiting = [];
    // Of those that may not have been shown yet: time in the video → picture.
    this.inside = [];
    this.number = 0;
    this.originUs = 0;
    this.newestS = 0;
    // The newest picture when the playhead was last sent there for being stuck.
    this.sought = 0;
    this.needsKey = true;
    // Of the decoder, since it last gave a picture.
    this.failures = 0;
    this.watcher = 0;
    this.guard = setInterval(() => this.check(), LOOK_MS);
    video.muted = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    video.addEventListener("error", () => {
      if (!this.source) return;
      this.failures += 1;
      if (this.failures >= MOST_FAILURES) this.onUnable();
      else this.restart();
    });
  }

  get element() {
    return this.video;
  }

  format(shape) {
    this.shape = shape;
    if (!Source.isTypeSupported(this.type)) {
      this.onUnable();
      return;
    }
    this.reset();
  }

  get type() {
    return `video/mp4; codecs="${this.shape.codec}"`;
  }

  reset() {
    this.drop();
    if (!this.shape) return;
    const source = new Source();
    this.source = source;
    this.url = URL.createObjectURL(source);
    this.video.src = this.url;
    source.addEventListener(
      "sourceopen",
      () => {
        if (this.source !== source) return;
        // Without an end it is live, and the decoder does not collect pictures first.
        source.duration = Infinity;
        this.buffer = source.addSourceBuffer(this.type);
        this.buffer.addEventListener("updateend", () => this.feed());
        this.feed();
      },
      { once: true },
    );
    this.watch();
  }

  drop() {
    this.needsKey = true;
    this.sought = 0;
    this.waiting = [];
    this.inside = [];
    this.buffer = null;
    this.source = null;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = "";
  }

  restart() {
    this.reset();
    this.onLost();
  }

  push(picture) {
    if (!this.source || (this.needsKey && !picture.key)) return;
    if (this.needsKey) this.begin(picture);
    const timeUs = picture.ptsUs - this.originUs;
    this.newestS = timeUs / 1e6;
    this.inside.push({ timeS: this.newestS, picture, atMs: performance.now() });
    this.number += 1;
    this.waiting.push(
      fragment({
        data: picture.data,
        key: picture.key,
        number: this.number,
        timeUs,
        durationUs: LASTS_US,
      }),
    );
    this.feed();
  }

  begin(key) {
    const sets = parameterSets(key.data);
    if (!sets.sps || !sets.pps) return;
    this.needsKey = false;
    // The video's time begins at a second: the playhead has somewhere to be before that.
    this.originUs = key.ptsUs - 1_000_000;
    this.waiting.push(initSegment({ ...sets, ...this.shape }));
  }

  feed() {
    const { buffer, source, video } = this;
    if (!buffer || buffer.updating || source.readyState !== "open") return;
    try {
      if (this.waiting.length) {
        buffer.appendBuffer(this.waiting.shift());
      } else if (buffer.buffered.length && video.currentTime - buffer.buffered.start(0) > 4 * KEEP_S) {
        buffer.remove(0, video.currentTime - KEEP_S);
        return;
      }
    } catch {
      // The quota is full, or the source has been closed from outside.
      this.restart();
      return;
    }
    this.steer();
  }

  // Keep the playhead at the live edge.
  steer() {
    const { video } = this;
    if (video.seeking) return;
    const behind = this.newestS - video.currentTime;
    if (behind > JUMP_S || behind < -LOST_S) {
      if (this.newestS > 0) video.currentTime = this.newestS;
      video.playbackRate = 1;
    } else if (behind > HURRY_S) {
      video.playbackRate = FASTEST;
    } else if (behind < BEHIND_S) {
      // A little slower where pictures come after their time; at once again when they do not.
      video.playbackRate = behind < 0 ? 0.95 : 1;
    }
    if (video.paused && this.buffer && this.buffer.buffered.length) {
      // Muted video may start by itself; where a browser refuses even that, a click starts it.
      video.play().catch(() => {});
    }
  }

  watch() {
    const { video } = this;
    if (this.watcher || !video.requestVideoFrameCallback) {
      if (!this.watcher) this.watcher = setInterval(() => this.note(video.currentTime), 40);
      return;
    }
    const look = (_now, about) => {
      this.note(about.mediaTime);
      this.watcher = video.requestVideoFrameCallback(look);
    };
    this.watcher = video.requestVideoFrameCallback(look);
  }

  note(timeS) {
    let shown = null;
    // A microsecond's slack: the element counts in floating seconds.
    while (this.inside.length && this.inside[0].timeS <= timeS + 1e-5) {
      shown = this.inside.shift().picture;
    }
    if (!shown) return;
    this.failures = 0;
    this.onShown(shown);
  }

  // Help where pictures have come and none is shown. A page that nobody sees shows none.
  check() {
    const [oldest] = this.inside;
    if (!oldest || document.visibilityState !== "visible") return;
    const unshownMs = performance.now() - oldest.atMs;
    if (unshownMs > STUCK_MS) {
      this.restart();
    } else if (unshownMs > UNSHOWN_MS && this.sought !== this.newestS && !this.video.seeking) {
      this.sought = this.newestS;
      this.video.currentTime = this.newestS;
    }
  }

  close() {
    clearInterval(this.guard);
    this.shape = null;
    this.drop();
    if (this.watcher && this.video.cancelVideoFrameCallback) {
      this.video.cancelVideoFrameCallback(this.watcher);
    } else {
      clearInterval(this.watcher);
    }
    this.watcher = 0;
    this.video.removeAttribute("src");
    this.video.load();
  }
}
