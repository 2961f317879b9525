// The console without this script is whole: it adds what moves by itself, and the keys.
"use strict";
(() => {
  const body = document.body;
  const ahead = Number(body.dataset.now) - Date.now(); // the server's clock counts
  const now = () => Date.now() + ahead;
  const two = (n) => String(n).padStart(2, "0");

  // Lengths of time, as the server writes them.
  function span(ms) {
    const s = Math.max(Math.round(ms / 1000), 0), m = Math.floor(s / 60), h = Math.floor(s / 3600), d = Math.floor(s / 86400);
    if (d) return `${d} d ${h % 24} h`;
    if (h) return `${h} h ${two(m % 60)} m`;
    return m ? `${m} m ${two(s % 60)} s` : `${s} s`;
  }
  const lasted = (ms) => (ms < 59500 ? `${(Math.max(ms, 0) / 1000).toFixed(ms < 9950 ? 1 : 0)} s` : span(ms));

  function tick() {
    const local = new Date(now() + Number(body.dataset.offset) * 1000);
    const clock = document.getElementById("clock");
    if (clock) clock.textContent = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())}`;
    for (const one of document.querySelectorAll("span[data-due], b[data-due]")) {
      const left = Number(one.dataset.due) - now();
      one.textContent = left > 0 ? `in ${span(left)}` : "now";
    }
    for (const one of document.querySelectorAll("[data-started]")) one.textContent = lasted(now() - Number(one.dataset.started));
  }
  setInterval(tick, 1000);

  // Parts of the page are replaced where they are; a part in which somebody works is left alone.
  let isLoading = false, isWanted = false;
  async function refresh() {
    if (document.hidden || isLoading) {
      isWanted = true;
      return;
    }
    isLoading = true;
    isWanted = false;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(10000) });
      if (answer.type === "opaqueredirect") return location.reload(); // the login has ended: the server asks for another one
      if (!answer.ok) throw new Error(String(answer.status));
      replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
      setLive(true);
    } catch {
      setLive(false);
    }
    isLoading = false;
    if (isWanted) setTimeout(refresh, 1000);
  }

  function replace(fresh) {
    body.dataset.mark = fresh.body.dataset.mark;
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = fresh.getElementById(part.id);
      if (!other || other.innerHTML === part.innerHTML) continue;
      if (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) continue;
      if (part.querySelector("details[open]") && !other.querySelector("details[open]")) continue;
      const kept = keep(part);
      if (!("rows" in part.dataset) || !updateRows(part, other)) part.replaceChildren(...other.childNodes);
      part.className = other.className;
      kept();
    }
    tick();
    mark();
  }

  // Rows stay where they are, whatever the order would be now; what has come meanwhile is counted above them.
  function updateRows(part, other) {
    const mine = new Map([...part.querySelectorAll("tr[data-row]")].map((row) => [row.dataset.row + row.dataset.due, row]));
    const fresh = [...other.querySelectorAll("tr[data-row]")];
    if (!mine.size || !fresh.length) return false;
    let news = 0;
    for (const row of fresh) {
      const old = mine.get(row.dataset.row + row.dataset.due);
      if (!old) news += 1;
      else if (old.innerHTML !== row.innerHTML) old.replaceChildren(...row.childNodes);
    }
    const told = part.querySelector("#news");
    told.hidden = !news;
    told.textContent = `${news} new`;
    return true;
  }

  // What was scrolled stays where it was; an output that was at its end follows it.
  function keep(part) {
    const scrolled = [...part.querySelectorAll(".pic, .out")].map((one) => [one.scrollLeft, one.scrollTop, one.scrollTop + one.clientHeight >= one.scrollHeight - 4]);
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const again = focused && (focused.getAttribute("href") ? `[href="${CSS.escape(focused.getAttribute("href"))}"]` : focused.id && `#${CSS.escape(focused.id)}`);
    return () => {
      [...part.querySelectorAll(".pic, .out")].forEach((one, index) => {
        const was = scrolled[index];
        if (was) [one.scrollLeft, one.scrollTop] = [was[0], was[2] && "follow" in one.dataset ? one.scrollHeight : was[1]];
        else if ("follow" in one.dataset) one.scrollTop = one.scrollHeight;
      });
      if (again) part.querySelector(again)?.focus({ preventScroll: true });
    };
  }

  let lostAt = "";
  function setLive(isLive) {
    body.classList.toggle("stale", !isLive);
    const pulse = document.getElementById("pulse");
    if (isLive) lostAt = "";
    else if (pulse) {
      lostAt ||= document.getElementById("clock")?.textContent || "";
      pulse.textContent = `Not live since ${lostAt}`;
    }
  }

  if (window.EventSource && body.dataset.live) {
    const stream = new EventSource(body.dataset.live);
    stream.addEventListener("changed", (event) => event.data !== body.dataset.mark && refresh());
    stream.addEventListener("open", () => body.classList.contains("stale") && refresh());
    stream.addEventListener("error", () => setLive(false));
    // A server that stands still closes nothing: it is missed when its regular sign does not come.
    let heardAt = now();
    for (const sign of ["changed", "quiet"]) stream.addEventListener(sign, () => (heardAt = now()));
    setInterval(() => now() - heardAt > 40000 && setLive(false), 5000);
    addEventListener("pagehide", () => stream.close());
    document.addEventListener("visibilitychange", () => !document.hidden && isWanted && refresh());
    setInterval(refresh, 15000); // what ages without anything happening: how long ago, how late
  }

  // Keys: never inside a field.
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((one) => one.dataset.row);
  // The marked row is remembered by where it leads, not by its place: others may come before it.
  let chosen = "", chord = "";
  function mark() {
    for (const one of rows()) one.classList.toggle("on", one.dataset.row === chosen);
  }
  function move(by) {
    const all = rows(), at = all.findIndex((one) => one.dataset.row === chosen);
    const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
    chosen = next?.dataset.row ?? "";
    mark();
    next?.scrollIntoView({ block: "nearest" });
  }
  const pages = { n: "", j: "jobs", r: "runs", t: "timeline", s: "system" };
  document.addEventListener("keydown", (event) => {
    const inField = event.target.matches("input, select, textarea, [contenteditable]");
    if (event.key === "Escape" && inField) return event.target.blur();
    if (inField || event.ctrlKey || event.metaKey || event.altKey) return;
    if (chord === "g" && event.key in pages) {
      location.href = body.dataset.home + pages[event.key];
      event.preventDefault();
    } else if (event.key === "/") {
      const field = document.querySelector("main input[type=search]") || document.getElementById("find");
      field?.focus();
      field?.select();
      event.preventDefault();
    } else if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "Enter" && chosen && event.target === body) location.href = chosen;
    else if (event.key === "Escape") {
      chosen = "";
      mark();
    }
    chord = event.key;
    setTimeout(() => (chord = ""), 1000);
  });

  // A picture that is wider than the screen opens at its newest end, the timeline at now.
  for (const one of document.querySelectorAll(".pic[data-middle]")) one.scrollLeft = (one.scrollWidth - one.clientWidth) / 2;
  for (const one of document.querySelectorAll(".out[data-follow]")) one.scrollTop = one.scrollHeight;
  for (const one of document.querySelectorAll("select[name=sort]")) one.addEventListener("change", () => one.form.requestSubmit());
})();
