// Pictures over a WebSocket, which comes back by itself.

import { ask } from "./ask.js";
import { ServerClock } from "./clock.js";
import { readPicture, writeShown } from "./wire.js";

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4000;
const PING_MS = 2000;
const FIRST_PINGS = 3;
// After so many pings without a word from the server nothing passes any more, though the connection
// is still there: that of a tunnel which has lost its network. Pings are counted and not seconds,
// since a page that nobody sees may sleep for a minute between two.
const UNHEARD_PINGS = 4;
const OPEN_MS = 10000;
const FULL = 1013;

// Open the way to a stream. What is heard goes to the listener:
//   onHello(message)    it is open: state, age_ms, and codec, width, height where they are known
//   onFormat(message)   codec, width, height
//   onState(message)    state, age_ms
//   onPicture(picture)  see wire.js
//   onGone(reason)      "reconnecting", "denied", "full"; it goes on trying
export class SocketTransport {
  constructor(path, listener) {
    this.path = path;
    this.listener = listener;
    this.clock = new ServerClock();
    this.plays = true;
    this.socket = null;
    this.failures = 0;
    // Pings since the server was last heard.
    this.unheard = 0;
    // Until the next attempt, or until this one has taken too long.
    this.timer = 0;
    this.pinger = 0;
    this.retryNow = () => {
      if (!this.socket && !document.hidden) this.connect();
    };
    addEventListener("online", this.retryNow);
    document.addEventListener("visibilitychange", this.retryNow);
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}/ws`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.timer = setTimeout(() => this.abandon(), OPEN_MS);
    let wasOpen = false;
    socket.onopen = () => {
      clearTimeout(this.timer);
      wasOpen = true;
      this.unheard = 0;
      this.clock = new ServerClock();
      this.pingSoon(FIRST_PINGS);
      if (!this.plays) this.say({ type: "pause" });
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.hear(event.data);
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      clearTimeout(this.pinger);
      this.explain(wasOpen, event.code);
      this.reconnectLater();
    };
  }

  // Go on without a connection that nothing passes through; its end may never be told.
  abandon() {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.pinger);
    socket.close();
    this.listener.onGone("reconnecting");
    this.reconnectLater();
  }

  // A browser does not tell why a WebSocket was refused: asked for plainly, the server does.
  async explain(wasOpen, code) {
    if (wasOpen) {
      this.listener.onGone(code === FULL ? "full" : "reconnecting");
      return;
    }
    let reason = "reconnecting";
    try {
      const response = await ask("/api/streams");
      if (response.status === 401 || response.status === 403 || response.status === 429) {
        reason = "denied";
      }
    } catch {
      // Nobody there: that is what reconnecting is for.
    }
    if (!this.socket || this.socket.readyState !== WebSocket.OPEN) this.listener.onGone(reason);
  }

  reconnectLater() {
    clearTimeout(this.timer);
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.failures);
    this.failures += 1;
    // Not all pages at once when a server comes back.
    this.timer = setTimeout(() => this.connect(), pause * (0.75 + Math.random() / 2));
  }

  hear(data) {
    this.unheard = 0;
    if (data instanceof ArrayBuffer) {
      const picture = readPicture(data);
      if (picture) this.listener.onPicture(picture);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "pong") {
      this.clock.learn(message.sent, performance.now(), message.mono_us);
    } else if (message.type === "hello") {
      this.failures = 0;
      this.listener.onHello(message);
    } else if (message.type === "format") {
      this.listener.onFormat(message);
    } else if (message.type === "state") {
      this.failures = 0;
      this.listener.onState(message);
    }
  }

  pingSoon(quickOnes) {
    if (this.unheard >= UNHEARD_PINGS) {
      this.abandon();
      return;
    }
    // The quick ones follow each other sooner than an answer may come.
    if (quickOnes === 0) this.unheard += 1;
    this.say({ type: "ping", sent: performance.now(), round_trip_ms: this.clock.roundTripMs });
    this.pinger = setTimeout(
      () => this.pingSoon(Math.max(0, quickOnes - 1)),
      quickOnes > 0 ? PING_MS / 20 : PING_MS,
    );
  }

  say(message) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(typeof message === "object" && message.type ? JSON.stringify(message) : message);
    }
  }

  // Tell the server what is on the screen: it sends only so far ahead of that.
  shown(picture) {
    this.say(writeShown(picture.sequence));
  }

  // The decoder has lost its way: begin again at a key frame.
  resync() {
    this.say({ type: "resync" });
  }

  setPlaying(plays) {
    if (plays === this.plays) return;
    this.plays = plays;
    this.say({ type: plays ? "play" : "pause" });
  }

  latencyMs(picture) {
    return this.clock.sinceMs(picture.ptsUs);
  }

  close() {
    removeEventListener("online", this.retryNow);
    document.removeEventListener("visibilitychange", this.retryNow);
    clearTimeout(this.timer);
    clearTimeout(this.pinger);
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }
}
