// Say in words how a stream is; no page is touched here.

const SAYINGS = {
  connecting: { badge: "Connecting", tone: "quiet", title: "Connecting", detail: "" },
  reconnecting: {
    badge: "Reconnecting",
    tone: "warn",
    title: "Reconnecting",
    detail: "The connection was lost. This page goes on by itself.",
  },
  denied: {
    badge: "Not allowed",
    tone: "bad",
    title: "Not allowed",
    detail:
      "Open the address that the application has printed: it holds the key. After a restart it is another one.",
  },
  full: {
    badge: "Full",
    tone: "warn",
    title: "Too many viewers",
    detail: "This page tries again by itself.",
  },
  unable: {
    badge: "Cannot play",
    tone: "bad",
    title: "This browser cannot play the stream",
    detail: "It has neither WebCodecs nor Media Source Extensions for this kind of video.",
  },
  waiting: {
    badge: "Waiting",
    tone: "quiet",
    title: "Waiting for frames",
    detail: "The application has not handed over a frame yet.",
  },
  absent: {
    badge: "Waiting",
    tone: "quiet",
    title: "No stream here yet",
    detail: "It shows as soon as the application starts it.",
  },
  ended: {
    badge: "Ended",
    tone: "warn",
    title: "The application has stopped streaming",
    detail: "This page goes on when it starts again.",
  },
  still: { badge: "Still", tone: "warn", title: "No new frames", detail: "" },
  paused: { badge: "Paused", tone: "quiet", title: "Paused", detail: "" },
  live: { badge: "Live", tone: "live", title: "", detail: "" },
};

// Decide which of the states holds: what keeps pictures from coming goes before how they are.
export function stateOf({ gone, unable, paused, stream }) {
  if (gone === "denied" || gone === "full") return gone;
  if (unable) return "unable";
  if (gone) return gone;
  if (stream === "ended" || stream === "absent") return stream;
  return paused ? "paused" : stream;
}

export function sayingOf(state) {
  return SAYINGS[state] || SAYINGS.connecting;
}

// Whether what is on the screen is not what the camera sees now.
export function isStale(state) {
  return state !== "live" && state !== "paused" && state !== "waiting";
}

export function ageText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}
