// Ask this server for something, and not for ever.

// Where a tunnel has lost its network its connections stay, and nothing ever comes.
const LIMIT_MS = 8000;

// A page may have been opened with a name and a password in its address. A browser refuses to fetch
// such ones, as relative ones would become; it sends by itself what it has let the page in by.
export function ask(path, options = {}) {
  return fetch(new URL(path, location.origin), {
    cache: "no-store",
    signal: AbortSignal.timeout(LIMIT_MS),
    ...options,
  });
}
