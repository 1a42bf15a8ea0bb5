"use strict";
// Fetches this page anew and puts what has changed into the one that is shown. The page is written in
// one place, the balancer, which escapes all text; parsing it here runs nothing.
(() => {
  const PERIOD = 2000;
  const LIVE = ["verdict", "facts", "tiles", "rows", "absent", "phases", "numbers", "reasons", "errors"];
  const clock = document.getElementById("clock");
  const time = document.createElement("span");
  const button = document.createElement("button");
  let paused = false;

  function replace(fresh) {
    document.title = fresh.title;
    for (const id of LIVE) {
      const now = document.getElementById(id);
      const then = fresh.getElementById(id);
      if (now === null || then === null || now.innerHTML === then.innerHTML) continue;
      const isOpen = now.querySelector("details[open]") !== null;
      now.replaceChildren(...then.childNodes);
      const details = now.querySelector("details");
      if (isOpen && details !== null) details.open = true;
    }
    time.textContent = fresh.getElementById("clock").textContent;
  }

  function tell(isFresh) {
    document.body.classList.toggle("stale", !isFresh);
    if (!isFresh && !time.textContent.includes("no answer")) {
      time.textContent = "no answer since " + time.textContent;
    }
  }

  async function look() {
    if (!paused && !document.hidden) {
      try {
        const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(5000) });
        if (!answer.ok) throw new Error(answer.statusText);
        replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
        tell(true);
      } catch (error) {
        tell(false);
      }
    }
    setTimeout(look, PERIOD);
  }

  function name() {
    button.textContent = paused ? "Resume" : "Pause";
  }

  time.textContent = clock.textContent;
  button.type = "button";
  button.addEventListener("click", () => {
    paused = !paused;
    name();
  });
  name();
  clock.replaceChildren(time, button);
  setTimeout(look, PERIOD);
})();
