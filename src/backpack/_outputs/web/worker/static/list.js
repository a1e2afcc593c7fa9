// The page that lists all streams.

import { ask } from "./ask.js";
import { ageText, sayingOf } from "./status.js";

const REFRESH_MS = 1500;
const THUMBNAIL_WIDTH = 640;

const byId = (id) => document.getElementById(id);

class Card {
  constructor(stream) {
    this.path = stream.path;
    this.node = byId("card").content.firstElementChild.cloneNode(true);
    this.find("a").href = stream.path;
    this.find(".name").textContent = stream.name;
    // Of the picture that is shown.
    this.url = "";
    this.isLoading = false;
    this.isRemoved = false;
  }

  find(selector) {
    return this.node.querySelector(selector);
  }

  show(stream) {
    const saying = sayingOf(stream.state);
    const badge = this.find(".badge");
    if (badge.textContent !== saying.badge) badge.textContent = saying.badge;
    badge.dataset.tone = saying.tone;
    this.node.classList.toggle("stale", stream.state === "still");
    this.find(".about").textContent = describe(stream);
    this.find(".problem").textContent = (stream.problems || []).join(" ");
    this.load();
  }

  async load() {
    if (this.isLoading) return;
    this.isLoading = true;
    let url = "";
    try {
      const response = await ask(`${this.path}/snapshot.jpg?width=${THUMBNAIL_WIDTH}`);
      if (!response.ok) return;
      url = URL.createObjectURL(await response.blob());
      const image = new Image();
      image.alt = "";
      image.src = url;
      // One that cannot be decoded leaves the picture of before.
      await image.decode();
      if (this.isRemoved) return;
      this.find("img").replaceWith(image);
      [this.url, url] = [url, this.url];
    } catch {
      // The next one comes soon.
    } finally {
      if (url) URL.revokeObjectURL(url);
      this.isLoading = false;
    }
  }

  remove() {
    this.isRemoved = true;
    this.node.remove();
    if (this.url) URL.revokeObjectURL(this.url);
  }
}

function describe(stream) {
  const parts = [];
  if (stream.width && stream.height) parts.push(`${stream.width} × ${stream.height}`);
  if (stream.fps && stream.state === "live") parts.push(`${Math.round(stream.fps)} fps`);
  if (stream.viewers) parts.push(stream.viewers === 1 ? "1 viewer" : `${stream.viewers} viewers`);
  if (stream.state === "still" && stream.age_ms !== null) {
    parts.push(`last frame ${ageText(stream.age_ms)} ago`);
  }
  return parts.join(" · ");
}

class ListPage {
  constructor() {
    this.cards = new Map();
    this.said = null;
  }

  start() {
    const turn = async () => {
      try {
        if (!document.hidden) await this.refresh();
      } finally {
        setTimeout(turn, REFRESH_MS);
      }
    };
    turn();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.refresh();
    });
  }

  async refresh() {
    let streams = null;
    try {
      const response = await ask("/api/streams");
      if (response.status === 401 || response.status === 403) {
        this.say("denied");
        return;
      }
      // What a proxy says of a server that is away is an answer, too, but no list.
      ({ streams } = await response.json());
      this.say(streams.length ? "" : "none");
    } catch {
      this.say("reconnecting");
      return;
    }
    this.show(streams);
  }

  show(streams) {
    const paths = new Set(streams.map((stream) => stream.path));
    for (const [path, card] of this.cards) {
      if (!paths.has(path)) {
        card.remove();
        this.cards.delete(path);
      }
    }
    for (const stream of streams) {
      let card = this.cards.get(stream.path);
      if (!card) {
        card = new Card(stream);
        this.cards.set(stream.path, card);
        byId("streams").append(card.node);
      }
      card.show(stream);
    }
  }

  say(state) {
    if (state === this.said) return;
    this.said = state;
    const none = {
      title: "No streams yet",
      detail: "They show as soon as the application starts one.",
    };
    const saying = state === "none" ? none : sayingOf(state);
    byId("notice").hidden = !state;
    document.body.classList.toggle("away", state !== "" && state !== "none");
    byId("title").textContent = state ? saying.title : "";
    byId("detail").textContent = state ? saying.detail : "";
  }
}

new ListPage().start();
