// What the server's monotonic clock says now, as far as a page can know (Cristian's algorithm).

const REMEMBERED = 12;

export class ServerClock {
  constructor() {
    this.samples = [];
  }

  // Take an answer: when we asked, when it came (both performance.now()), and what it said.
  learn(sentMs, receivedMs, serverUs) {
    const roundTripMs = receivedMs - sentMs;
    // Whatever the way back took, it was not more than both: the quickest answer errs least.
    const offsetMs = serverUs / 1000 - (sentMs + roundTripMs / 2);
    this.samples.push({ roundTripMs, offsetMs });
    if (this.samples.length > REMEMBERED) this.samples.shift();
  }

  get best() {
    return this.samples.reduce(
      (best, one) => (best && best.roundTripMs <= one.roundTripMs ? best : one),
      null,
    );
  }

  get roundTripMs() {
    return this.best ? this.best.roundTripMs : null;
  }

  // How long ago a capture time was; null while the clock is not known.
  sinceMs(ptsUs) {
    return this.best ? performance.now() + this.best.offsetMs - ptsUs / 1000 : null;
  }
}
