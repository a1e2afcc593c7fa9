// The page of one stream.

import { VideoPlayer, hasMediaSource } from "./mse.js";
import { ageText, isStale, sayingOf, stateOf } from "./status.js";
import { openTransport, wantedTransport } from "./transports.js";
import { CanvasPlayer, hasWebCodecs } from "./webcodecs.js";
import { hasWebRtc } from "./whep.js";

const IDLE_MS = 3000;
const REFRESH_MS = 250;
const AVERAGED_MS = 1000;

const byId = (id) => document.getElementById(id);

class StreamPage {
  constructor() {
    this.path = location.pathname;
    this.name = decodeURIComponent(this.path.slice(1));
    this.stage = byId("stage");
    this.transport = null;
    this.player = null;
    // One that is decoded elsewhere, and seen instead of the player's.
    this.video = null;
    this.shape = null;
    // What states are made of, see status.js.
    this.gone = "connecting";
    this.paused = false;
    this.stream = "waiting";
    // When the newest put frame was captured, by performance.now(); null: not known.
    this.newestMs = null;
    this.hasPicture = false;
    // Of what was shown in the last second: when, and how late.
    this.recent = [];
    this.said = "";
  }

  start() {
    document.title = `${this.name} · SpyGlass`;
    byId("name").textContent = this.name;
    byId("canvas").setAttribute("aria-label", `Live video of ${this.name}`);
    byId("video").setAttribute("aria-label", `Live video of ${this.name}`);
    this.usePlayer(hasWebCodecs() ? CanvasPlayer : hasMediaSource() ? VideoPlayer : null);
    this.listenToPeople();
    setInterval(() => this.refresh(), REFRESH_MS);
    // What cannot be decoded here may be decoded by WebRTC.
    const name = this.player ? wantedTransport(location.search) : "webrtc";
    this.transport = openTransport(name, this.path, this.listener());
    // It may have been opened behind another tab.
    this.tellPlaying();
    byId("webrtc").hidden = !hasWebRtc();
    byId("webrtc").setAttribute("aria-pressed", String(this.transport.wants));
  }

  // --- what comes ---------------------------------------------------------------

  listener() {
    return {
      onHello: (message) => {
        if (this.gone && this.player) this.player.reset();
        this.gone = null;
        this.onState(message);
        if (message.codec) this.onFormat(message);
      },
      onFormat: (message) => this.onFormat(message),
      onState: (message) => {
        this.gone = null;
        this.onState(message);
      },
      onPicture: (picture) => this.onPicture(picture),
      onElement: (element) => this.useVideo(element),
      onShown: (picture) => this.onShown(picture),
      onGone: (reason) => {
        this.gone = reason === "reconnecting" && !this.hasPicture ? "connecting" : reason;
        this.refresh();
      },
    };
  }

  onState({ state, age_ms: ageMs }) {
    this.stream = state;
    if (ageMs !== null && ageMs !== undefined) this.newestMs = performance.now() - ageMs;
    this.refresh();
  }

  onFormat(shape) {
    const old = this.shape;
    this.shape = shape;
    const same =
      old && old.codec === shape.codec && old.width === shape.width && old.height === shape.height;
    if (same || !this.player) return;
    this.player.format(shape);
  }

  onPicture(picture) {
    if (!picture.repeat && picture.number) {
      const late = this.transport ? this.transport.latencyMs(picture) : 0;
      this.newestMs = performance.now() - Math.max(0, late || 0);
      if (this.stream !== "live") this.onState({ state: "live" });
    }
    if (this.player) this.player.push(picture);
  }

  onShown(picture) {
    const now = performance.now();
    this.transport.shown(picture);
    if (!this.hasPicture) {
      this.hasPicture = true;
      this.refresh();
    }
    // A repeat shows an old frame: what it says about lateness is nobody's concern.
    if (!picture.repeat) this.recent.push({ at: now, late: this.transport.latencyMs(picture) });
    if (picture.ticks === undefined) this.stage.dataset.sequence = String(picture.sequence);
  }

  // --- decoding -----------------------------------------------------------------

  usePlayer(Player) {
    if (this.player) this.player.close();
    this.player = null;
    byId("canvas").hidden = Player !== CanvasPlayer;
    byId("video").hidden = Player !== VideoPlayer;
    if (!Player) return;
    const element = Player === CanvasPlayer ? byId("canvas") : byId("video");
    this.player = new Player(element, {
      onShown: (picture) => this.onShown(picture),
      onLost: () => this.transport && this.transport.resync(),
      onUnable: () => {
        this.usePlayer(Player === CanvasPlayer && hasMediaSource() ? VideoPlayer : null);
        if (this.player && this.shape) this.player.format(this.shape);
        if (this.player) this.transport.resync();
        else this.wantWebRtc(true);
        this.refresh();
      },
    });
    this.stage.dataset.player = Player === CanvasPlayer ? "webcodecs" : "mse";
  }

  get unable() {
    return !this.player && this.transport.name !== "webrtc";
  }

  // Show a video that is decoded elsewhere instead of what the player shows; null: no longer.
  useVideo(video) {
    this.video = video;
    if (this.player) this.player.element.hidden = Boolean(video);
    if (video) video.setAttribute("aria-label", `Live video of ${this.name}`);
    this.stage.dataset.transport = video ? "webrtc" : "ws";
    this.gone = null;
    this.refresh();
  }

  // --- what is seen -------------------------------------------------------------

  refresh() {
    const state = stateOf(this);
    const saying = sayingOf(state);
    this.stage.dataset.state = state;
    this.stage.classList.toggle("stale", isStale(state));
    this.stage.classList.toggle("empty", !this.hasPicture || state === "waiting");
    if (this.said !== state) {
      this.said = state;
      // Written only when it changes: a screen reader reads it out each time.
      byId("state").textContent = saying.badge;
      byId("state").dataset.tone = saying.tone;
      byId("title").textContent = saying.title;
      byId("detail").textContent = saying.detail;
    }
    byId("notice").hidden = !saying.title || state === "paused";
    this.refreshAge(state);
    this.refreshNumbers(state);
  }

  refreshAge(state) {
    const shows = isStale(state) && this.hasPicture && this.newestMs !== null;
    byId("age").hidden = !shows;
    if (shows) {
      byId("age").textContent = `Last frame ${ageText(performance.now() - this.newestMs)} ago`;
    }
  }

  refreshNumbers(state) {
    const now = performance.now();
    this.recent = this.recent.filter((one) => now - one.at < AVERAGED_MS);
    const lates = this.recent.map((one) => one.late).filter((late) => late !== null);
    lates.sort((a, b) => a - b);
    const middle = lates[Math.floor(lates.length / 2)];
    const live = state === "live" && lates.length > 0;
    byId("latency").textContent = live ? `${Math.max(0, Math.round(middle))} ms` : "–";
    byId("fps").textContent = live ? `${this.recent.length} fps` : "–";
  }

  // --- what people do -----------------------------------------------------------

  listenToPeople() {
    byId("pause").addEventListener("click", () => this.togglePause());
    byId("snapshot").addEventListener("click", () => this.saveSnapshot());
    byId("webrtc").addEventListener("click", () => this.toggleWebRtc());
    byId("fullscreen").addEventListener("click", () => this.toggleFullscreen());
    byId("fullscreen").hidden = !document.fullscreenEnabled;
    this.stage.addEventListener("dblclick", (event) => {
      if (!event.target.closest("button, a")) this.toggleFullscreen();
    });
    document.addEventListener("fullscreenchange", () => {
      const is = Boolean(document.fullscreenElement);
      byId("fullscreen").setAttribute("aria-label", is ? "Leave full screen" : "Full screen");
      byId("fullscreen").dataset.on = String(is);
    });
    document.addEventListener("visibilitychange", () => this.tellPlaying());
    document.addEventListener("keydown", (event) => this.onKey(event));
    let timer = 0;
    const wake = () => {
      this.stage.classList.remove("idle");
      clearTimeout(timer);
      timer = setTimeout(() => this.stage.classList.add("idle"), IDLE_MS);
    };
    for (const kind of ["pointermove", "pointerdown", "keydown", "focusin"]) {
      document.addEventListener(kind, wake, { passive: true });
    }
    wake();
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // A button that has the focus takes the space bar for itself.
    const onButton = event.target.closest("button, a");
    if (event.key === "k" || (event.key === " " && !onButton)) this.togglePause();
    else if (event.key === "f") this.toggleFullscreen();
    else if (event.key === "s") this.saveSnapshot();
    else return;
    event.preventDefault();
  }

  togglePause() {
    this.paused = !this.paused;
    byId("pause").dataset.on = String(this.paused);
    byId("pause").setAttribute("aria-label", this.paused ? "Play" : "Pause");
    this.tellPlaying();
    this.refresh();
  }

  toggleWebRtc() {
    this.wantWebRtc(byId("webrtc").getAttribute("aria-pressed") !== "true");
  }

  wantWebRtc(wants) {
    this.transport.want(wants);
    byId("webrtc").setAttribute("aria-pressed", String(this.transport.wants));
  }

  // A page that nobody sees costs nothing.
  tellPlaying() {
    if (this.transport) this.transport.setPlaying(!this.paused && !document.hidden);
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (document.fullscreenEnabled) this.stage.requestFullscreen().catch(() => {});
  }

  saveSnapshot() {
    const element = this.video || (this.player && this.player.element);
    if (!this.hasPicture || !element) return;
    const picture = document.createElement("canvas");
    picture.width = element.videoWidth || element.width;
    picture.height = element.videoHeight || element.height;
    picture.getContext("2d").drawImage(element, 0, 0);
    picture.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      const when = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
      link.download = `${this.name.replaceAll("/", "-")}-${when}.png`;
      link.click();
      // The download has its own hold on the data once it has begun.
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }, "image/png");
    byId("flash").classList.remove("now");
    requestAnimationFrame(() => byId("flash").classList.add("now"));
  }
}

const page = new StreamPage();
page.start();
