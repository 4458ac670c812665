// One EventSource for the page, with a visible state and a countdown to the next try.

import { say } from "./text.js";

const RETRY_S = 3;
const SILENCE_S = 20; // the server says something at least every 15 s

/**
 * Open the page's stream.
 * @param query   what to subscribe to, such as {view: "overview"}
 * @param events  event name to handler, called with the decoded content
 * @param onState called with true while connected, false while not
 */
export function openLive(query, events, onState = () => {}) {
  const banner = document.getElementById("connection");
  let source = null;
  let lastId = "";
  let heard = 0;
  let timer = 0;

  const show = (text) => {
    banner.hidden = !text;
    if (banner.textContent !== text) banner.textContent = text;
  };

  const connect = () => {
    const parameters = new URLSearchParams(query);
    // A stream that this page opens anew resumes where the last one ended, as the browser's own retry does.
    if (lastId) parameters.set("last", lastId);
    source = new EventSource(`/live?${parameters}`);
    heard = Date.now();
    source.addEventListener("open", () => {
      heard = Date.now();
      show("");
      onState(true);
    });
    for (const [name, call] of Object.entries(events)) {
      source.addEventListener(name, (event) => {
        heard = Date.now();
        lastId = event.lastEventId || lastId;
        call(JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => lost(source.readyState === EventSource.CLOSED));
  };

  const lost = () => {
    source.close();
    onState(false);
    clearInterval(timer);
    let left = RETRY_S;
    show(say("js", "disconnected", { seconds: left }));
    timer = setInterval(() => {
      left -= 1;
      if (left > 0) {
        show(say("js", "disconnected", { seconds: left }));
        return;
      }
      clearInterval(timer);
      connect();
    }, 1000);
  };

  connect();
  window.addEventListener("pagehide", () => source.close());
  return {
    /** Whether nothing was heard for longer than the server ever stays silent. */
    silent: () => Date.now() - heard > SILENCE_S * 1000,
  };
}
