// Video over WebRTC (WHEP), beside a WebSocket that is always there to fall back on.

import { ask } from "./ask.js";
import { SocketTransport } from "./socket.js";

const CONNECT_MS = 6000;
const FROZEN_MS = 4000;
const WATCH_MS = 500;
const ASK_STATE_MS = 2000;

const FIRST_PAUSE_MS = 10000;
const LONGEST_PAUSE_MS = 300000;

// So many skips in so long, and the WebSocket keeps falling behind.
const MANY_SKIPS = 4;
const SKIPS_MS = 20000;
// What WebRTC shows in so long must not be less than the WebSocket did, nor so much later, nor less
// than half of what it showed at first.
const TRIAL_MS = 6000;
const LATER_MS = 500;

// RTP counts 90,000 ticks a second, in 32 bits.
const TICKS_PER_MS = 90;
const TICKS = 2 ** 32;

export function hasWebRtc() {
  return (
    "RTCPeerConnection" in window &&
    "requestVideoFrameCallback" in HTMLVideoElement.prototype
  );
}

function middleOf(numbers) {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

// One session of WHEP, from its offer to its end. It calls onFrame(ticks) for each picture on the
// screen, with the RTP time that it has, and onEnd() once when it is over by itself.
class Session {
  constructor(path, video, { onFrame, onEnd }) {
    this.path = path;
    this.video = video;
    this.onFrame = onFrame;
    this.onEnd = onEnd;
    this.location = null;
    this.isOver = false;
    this.newestMs = performance.now();
    this.hasFrame = false;
    this.peer = new RTCPeerConnection();
    const { receiver } = this.peer.addTransceiver("video", { direction: "recvonly" });
    // At once, and not smoothly: what is late is late.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
    video.srcObject = new MediaStream([receiver.track]);
    video.play().catch(() => {});
    this.peer.onconnectionstatechange = () => {
      if (["failed", "closed"].includes(this.peer.connectionState)) this.end();
    };
    this.watcher = setInterval(() => this.watch(), WATCH_MS);
    this.frameRequest = 0;
    this.awaitFrame();
    this.offer().catch((error) => {
      console.info("WebRTC is not to be had here:", String(error));
      this.end();
    });
  }

  async offer() {
    await this.peer.setLocalDescription();
    // Without candidates: the server learns from our packets where we are.
    const response = await ask(`${this.path}/whep`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: this.peer.localDescription.sdp,
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(answer.trim());
    this.location = response.headers.get("Location");
    if (this.isOver) this.leave();
    else await this.peer.setRemoteDescription({ type: "answer", sdp: answer });
  }

  awaitFrame() {
    this.frameRequest = this.video.requestVideoFrameCallback((_, { rtpTimestamp }) => {
      if (this.isOver) return;
      this.newestMs = performance.now();
      this.hasFrame = true;
      this.onFrame(rtpTimestamp);
      this.awaitFrame();
    });
  }

  watch() {
    const limit = this.hasFrame ? FROZEN_MS : CONNECT_MS;
    if (performance.now() - this.newestMs > limit) this.end();
  }

  end() {
    if (this.isOver) return;
    this.close();
    this.onEnd();
  }

  // The last picture stays in the video.
  close() {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.watcher);
    this.video.cancelVideoFrameCallback(this.frameRequest);
    this.video.pause();
    this.peer.onconnectionstatechange = null;
    this.peer.close();
    this.leave();
  }

  leave() {
    if (!this.location) return;
    // Also while the page goes.
    ask(this.location, { method: "DELETE", keepalive: true }).catch(() => {});
    this.location = null;
  }
}

// A transport as SocketTransport is, and with the same listener, which hears moreover
//   onElement(video)  the video that is to be seen; null: the player's pictures
//   onShown(picture)  a picture of that video is on the screen
// It begins over the WebSocket. WebRTC is tried where it is wished for, or where the WebSocket
// keeps falling behind; and left again where it shows less.
export class SwitchingTransport {
  constructor(path, listener, wantsWebRtc) {
    this.path = path;
    this.listener = listener;
    this.wants = wantsWebRtc && hasWebRtc();
    this.plays = true;
    this.session = null;
    // The one that is seen, also when its session is over.
    this.video = null;
    // Whether the session's pictures are the ones to be seen.
    this.shows = false;
    this.pauseMs = FIRST_PAUSE_MS;
    this.notBeforeMs = 0;
    // What the pictures on the screen have to be at least: how many in TRIAL_MS, and how late.
    this.measure = null;
    // When the WebSocket skipped pictures.
    this.skips = [];
    // Of the pictures on the screen, whoever brought them: when, and how late.
    this.seen = [];
    this.judgeAtMs = Infinity;
    this.sequence = null;
    this.asking = 0;
    // Why the WebSocket is away, which is told when video is no longer seen.
    this.gone = null;
    this.socket = new SocketTransport(path, {
      onHello: (message) => {
        this.sequence = null;
        this.gone = null;
        listener.onHello(message);
      },
      onFormat: (message) => listener.onFormat(message),
      onState: (message) => this.onState(message),
      onPicture: (picture) => this.onPicture(picture),
      // While video comes, a WebSocket that does not is nobody's concern.
      onGone: (reason) => {
        this.gone = reason;
        if (!this.shows) listener.onGone(reason);
      },
    });
    this.watcher = setInterval(() => this.consider(), WATCH_MS);
    this.leave = () => this.closeSession();
    addEventListener("pagehide", this.leave);
  }

  // --- the WebSocket's pictures -------------------------------------------------

  onPicture(picture) {
    const gap = this.sequence === null ? 0 : picture.sequence - this.sequence - 1;
    this.sequence = picture.sequence;
    if (gap > 0) this.skips.push(performance.now());
    this.listener.onPicture(picture);
  }

  onState(message) {
    this.gone = null;
    if (message.state === "ended") this.closeSession();
    this.listener.onState(message);
  }

  // --- which of the two ---------------------------------------------------------

  consider() {
    const now = performance.now();
    this.skips = this.skips.filter((at) => now - at < SKIPS_MS);
    this.seen = this.seen.filter(({ at }) => now - at < TRIAL_MS);
    if (now > this.judgeAtMs) this.judge();
    const falls = this.skips.length >= MANY_SKIPS;
    if (this.plays && !this.session && now > this.notBeforeMs && (this.wants || falls)) this.begin();
  }

  // What was seen of late, and no more than that.
  look() {
    const lates = this.seen.map(({ lateMs }) => lateMs).filter((lateMs) => lateMs !== null);
    return { shown: this.seen.length, lateMs: lates.length ? middleOf(lates) : null };
  }

  // Whoever asked for WebRTC keeps it while it shows anything at all. A line that nobody chose
  // may become worse at any time, so it is judged as long as it is in use.
  judge() {
    const { shown, lateMs } = this.look();
    const { measure } = this;
    const isLater =
      lateMs !== null && measure.lateMs !== null && lateMs > measure.lateMs + LATER_MS;
    if (!this.wants && (shown < measure.shown || isLater)) {
      this.giveUp();
      return;
    }
    this.pauseMs = FIRST_PAUSE_MS;
    this.judgeAtMs = performance.now() + TRIAL_MS;
    if (measure.isOfBefore) {
      this.measure = {
        shown: Math.max(measure.shown, shown / 2),
        lateMs: measure.lateMs ?? lateMs,
        isOfBefore: false,
      };
    }
  }

  begin() {
    if (!hasWebRtc()) {
      this.notBeforeMs = Infinity;
      return;
    }
    const video = document.createElement("video");
    video.className = "picture";
    video.muted = true;
    video.playsInline = true;
    // It is not seen before it has a picture: until then it lies under the other ones.
    document.getElementById("stage").prepend(video);
    this.session = new Session(this.path, video, {
      onFrame: (ticks) => this.onFrame(ticks),
      onEnd: () => this.giveUp(),
    });
  }

  onFrame(ticks) {
    if (!this.shows) {
      this.shows = true;
      this.dropVideo();
      this.video = this.session.video;
      this.measure = { ...this.look(), isOfBefore: true };
      this.judgeAtMs = performance.now() + TRIAL_MS;
      this.seen = [];
      this.skips = [];
      this.listener.onElement(this.video);
      this.socket.setPlaying(false);
      this.askState();
    }
    const picture = { ticks, repeat: false };
    this.see(picture);
    this.listener.onShown(picture);
  }

  see(picture) {
    // A repeat shows an old frame, which is no lateness of the line.
    const lateMs = picture.repeat ? null : this.latencyMs(picture);
    this.seen.push({ at: performance.now(), lateMs });
  }

  giveUp() {
    this.notBeforeMs = performance.now() + this.pauseMs;
    this.pauseMs = Math.min(LONGEST_PAUSE_MS, this.pauseMs * 2);
    this.closeSession();
  }

  // The video stays on the screen until the WebSocket has a newer picture.
  closeSession() {
    clearTimeout(this.asking);
    this.judgeAtMs = Infinity;
    if (!this.session) return;
    this.session.close();
    if (!this.shows) this.session.video.remove();
    this.session = null;
    this.shows = false;
    this.sequence = null;
    this.socket.setPlaying(this.plays);
    if (this.gone) this.listener.onGone(this.gone);
  }

  dropVideo() {
    if (this.video) this.video.remove();
    this.video = null;
  }

  // Over WebRTC comes no word on how the stream is.
  async askState() {
    clearTimeout(this.asking);
    try {
      const { streams } = await (await ask("/api/streams")).json();
      const stream = streams.find((one) => one.path === this.path);
      if (this.shows) this.listener.onState(stream || { state: "absent", age_ms: null });
    } catch {
      // The pictures tell as well that it goes on.
    }
    if (this.shows) this.asking = setTimeout(() => this.askState(), ASK_STATE_MS);
  }

  // --- as a transport -----------------------------------------------------------

  // Ask for WebRTC, or for the WebSocket.
  want(wantsWebRtc) {
    this.wants = wantsWebRtc && hasWebRtc();
    this.notBeforeMs = 0;
    this.pauseMs = FIRST_PAUSE_MS;
    this.skips = [];
    if (!wantsWebRtc) this.closeSession();
    this.consider();
  }

  get name() {
    return this.shows ? "webrtc" : "ws";
  }

  shown(picture) {
    if (picture.ticks !== undefined) return;
    // What was on its way when video took over.
    if (!this.shows) this.see(picture);
    if (this.video && !this.session) {
      this.listener.onElement(null);
      this.dropVideo();
    }
    this.socket.shown(picture);
  }

  resync() {
    this.sequence = null;
    this.socket.resync();
  }

  setPlaying(plays) {
    if (plays === this.plays) return;
    this.plays = plays;
    this.sequence = null;
    if (plays) this.socket.setPlaying(true);
    else if (this.session) this.closeSession();
    else this.socket.setPlaying(false);
  }

  // The server counts RTP's ticks from the beginning of its monotonic clock.
  latencyMs(picture) {
    if (picture.ticks === undefined) return this.socket.latencyMs(picture);
    const nowMs = this.socket.clock.sinceMs(0);
    if (nowMs === null) return null;
    const late = (((nowMs * TICKS_PER_MS - picture.ticks) % TICKS) + TICKS) % TICKS;
    return (late > TICKS / 2 ? late - TICKS : late) / TICKS_PER_MS;
  }

  close() {
    clearInterval(this.watcher);
    removeEventListener("pagehide", this.leave);
    this.plays = false;
    this.closeSession();
    this.dropVideo();
    this.socket.close();
  }
}
