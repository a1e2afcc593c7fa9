// Choose how pictures come: over a WebSocket, or over WebRTC where that was asked for.

import { SwitchingTransport } from "./whep.js";

export const DEFAULT_TRANSPORT = "ws";

// The transport that the address asks for.
export function wantedTransport(search) {
  const wanted = new URLSearchParams(search).get("transport");
  return wanted === "webrtc" ? "webrtc" : DEFAULT_TRANSPORT;
}

// Open a transport. Pictures come over a WebSocket at once, whatever was asked for.
export function openTransport(name, path, listener) {
  return new SwitchingTransport(path, listener, name === "webrtc");
}
