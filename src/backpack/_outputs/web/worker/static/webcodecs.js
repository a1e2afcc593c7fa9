// Decode with WebCodecs, and draw each picture the moment it is decoded.

export function hasWebCodecs() {
  return isSecureContext && "VideoDecoder" in window && "EncodedVideoChunk" in window;
}

// A decoder that fails so often without a picture in between will not do it the next time either,
// and each time costs all who watch a key frame.
export const MOST_FAILURES = 3;

// A player: format() before the first picture, push() each of them. It calls onShown(picture) for
// what is on the screen, onLost() when only a key frame helps, and onUnable() when it never will.
export class CanvasPlayer {
  constructor(canvas, { onShown, onLost, onUnable }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.onShown = onShown;
    this.onLost = onLost;
    this.onUnable = onUnable;
    this.decoder = null;
    this.config = null;
    this.needsKey = true;
    this.failures = 0;
    // Capture time → picture, of those that the decoder has.
    this.inside = new Map();
  }

  get element() {
    return this.canvas;
  }

  format({ codec }) {
    // Without a description the decoder takes Annex B, as it comes.
    this.config = { codec, optimizeForLatency: true };
    this.reset();
  }

  reset() {
    this.needsKey = true;
    this.inside.clear();
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = null;
    if (!this.config) return;
    const decoder = new VideoDecoder({
      output: (frame) => this.draw(frame),
      error: (error) => {
        if (this.decoder !== decoder) return;
        this.decoder = null;
        this.fail(error);
      },
    });
    this.decoder = decoder;
    decoder.configure(this.config);
  }

  fail(error) {
    this.failures += 1;
    if (error.name === "NotSupportedError" || this.failures >= MOST_FAILURES) {
      this.onUnable();
      return;
    }
    this.reset();
    this.onLost();
  }

  push(picture) {
    if (!this.decoder || (this.needsKey && !picture.key)) return;
    this.needsKey = false;
    this.inside.set(picture.ptsUs, picture);
    try {
      this.decoder.decode(
        new EncodedVideoChunk({
          type: picture.key ? "key" : "delta",
          timestamp: picture.ptsUs,
          data: picture.data,
        }),
      );
    } catch (error) {
      this.fail(error);
    }
  }

  draw(frame) {
    const picture = this.inside.get(frame.timestamp);
    const { displayWidth: width, displayHeight: height } = frame;
    // Setting the size, even to what it is, would clear the picture.
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.drawImage(frame, 0, 0);
    this.failures = 0;
    frame.close();
    if (!picture) return;
    // In order: what came before this one will not come any more.
    for (const ptsUs of this.inside.keys()) {
      if (ptsUs <= picture.ptsUs) this.inside.delete(ptsUs);
    }
    this.onShown(picture);
  }

  close() {
    this.config = null;
    this.reset();
  }
}
