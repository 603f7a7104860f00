"use strict";
// The episode browser. Everything is put on the page as text, never as HTML.
(() => {
  const browser = document.getElementById("browser");
  if (!browser) return;
  const { texts, episodes } = JSON.parse(document.getElementById("episode-data").textContent);
  const byId = (id) => document.getElementById(id);
  const list = byId("episode-list");
  const search = byId("filter-text");
  const OUTCOMES = { success: "✓", failure: "✕", error: "!" };
  const STATUSES = { kept: "✓ kept", changed: "→ changed", rejected: "✕ rejected" };
  const PREFIX = "#episode=";
  let shown = [];
  let current = episodes.find((episode) => episode.corrected) ?? null; // the most telling one comes first

  function node(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  // Filters

  const selects = ["iteration", "split", "outcome", "group"].map((field) => {
    const select = byId(`filter-${field}`);
    const values = [...new Set(episodes.map((episode) => episode[field]))];
    values.sort((a, b) => (typeof a === "number" ? a - b : a < b ? -1 : 1));
    select.append(new Option("all", ""));
    values.forEach((value, place) => select.append(new Option(value === "" ? "(no type)" : value, String(place + 1))));
    return { field, select, values };
  });

  function commands(episode) {
    const corrected = Object.values(episode.corrections).map((correction) => texts[correction[2]]);
    return [...episode.steps.map((step) => texts[step[2]]), ...corrected];
  }

  for (const episode of episodes) episode.haystack = commands(episode).join("\n").toLowerCase();

  const wanted = () => search.value.trim().toLowerCase();

  function matches(episode) {
    const chosen = selects.every(
      ({ field, select, values }) => !select.value || episode[field] === values[Number(select.value) - 1]
    );
    return chosen && episode.haystack.includes(wanted());
  }

  // The list

  function address(episode) {
    return PREFIX + encodeURIComponent(episode.key);
  }

  function listItem(episode) {
    const outcome = node("span", `outcome ${episode.outcome}`, OUTCOMES[episode.outcome]);
    outcome.title = episode.outcome;
    const details = [`iteration ${episode.iteration}`, episode.split, `${episode.steps.length} steps`];
    if (episode.corrected) details.push("corrected");
    const said = node("span", "unseen", `${episode.outcome}: `);
    const words = node("span", "words", said, episode.title, node("small", "", details.join(" · ")));
    const link = node("a", "", outcome, words);
    link.href = address(episode);
    return node("li", "", link);
  }

  function mark() {
    shown.forEach((episode, place) => {
      const link = list.children[place].firstChild;
      if (episode === current) {
        link.setAttribute("aria-current", "true");
        const box = link.getBoundingClientRect();
        const frame = list.getBoundingClientRect();
        if (box.top < frame.top) list.scrollTop -= frame.top - box.top;
        if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom;
      } else {
        link.removeAttribute("aria-current");
      }
    });
    const place = shown.indexOf(current);
    byId("position").textContent = shown.length
      ? `Episode ${place + 1} of ${shown.length}` + (shown.length < episodes.length ? ` (${episodes.length} in all)` : "")
      : `No episode matches (${episodes.length} in all)`;
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place < 0 || place >= shown.length - 1;
  }

  function refresh() {
    shown = episodes.filter(matches);
    list.replaceChildren(...shown.map(listItem));
    show(shown.includes(current) ? current : shown[0] ?? null);
  }

  // One episode

  function said(label, reason, command, className, badge) {
    return node(
      "div",
      `said ${className}`,
      node("p", "who", label, badge),
      reason ? node("p", "reason", reason) : null,
      node("p", "command", node("code", "", command || "(no command)"))
    );
  }

  function student([, reason, command, reply]) {
    const invalid = reply !== null;
    const badge = invalid ? node("span", "badge rejected", "✕ invalid") : null;
    const block = said("Student", texts[reason], texts[command], invalid ? "invalid" : "", badge);
    if (invalid && texts[reply]) {
      block.append(node("details", "reply", node("summary", "", "Raw reply"), node("pre", "", texts[reply])));
    }
    return block;
  }

  function teacher([status, reason, command, why], step) {
    const badge = node("span", `badge ${status}`, STATUSES[status]);
    const sameReason = reason === step[1];
    const block = said("Teacher", sameReason ? "" : texts[reason], texts[command], status, badge);
    if (sameReason) block.insertBefore(node("p", "reason same", "Same reason."), block.lastChild);
    if (texts[why]) block.append(node("p", "why", texts[why]));
    return block;
  }

  function stepItem(episode, step, place) {
    const correction = episode.corrections[place];
    const spoken = node("div", "sides", student(step), correction ? teacher(correction, step) : null);
    const item = node("li", "", node("p", "observation", texts[step[0]]), spoken);
    const found = [step[2], correction ? correction[2] : step[2]].some((text) =>
      texts[text].toLowerCase().includes(wanted())
    );
    if (wanted() && found) item.classList.add("found");
    return item;
  }

  function facts(episode) {
    return node("dl", "facts", ...episode.facts.map(([name, value]) => node("div", "", node("dt", "", name), node("dd", "", value))));
  }

  function article(episode) {
    const words = { success: "✓ success", failure: "✕ failure", error: "! error" };
    const steps = node("ol", "steps", ...episode.steps.map((step, place) => stepItem(episode, step, place)));
    return [
      node("h3", "", episode.title),
      node("p", "", node("span", `badge ${episode.outcome}`, words[episode.outcome])),
      facts(episode),
      episode.error === null ? null : node("p", "problem", `The episode failed to run: ${episode.error}`),
      episode.teacherError === null ? null : node("p", "problem", `The teacher failed: ${episode.teacherError}`),
      steps,
      episode.final ? node("p", "observation final", episode.final) : null,
    ].filter((part) => part !== null);
  }

  function show(episode) {
    current = episode;
    byId("episode").replaceChildren(...(episode ? article(episode) : [node("p", "empty", "Widen the choice above.")]));
    mark();
  }

  // Moving about

  function follow() {
    if (!location.hash.startsWith(PREFIX)) return false;
    let key;
    try {
      key = decodeURIComponent(location.hash.slice(PREFIX.length));
    } catch {
      return false; // a mangled address: stay where we are
    }
    const episode = episodes.find((candidate) => candidate.key === key);
    if (!episode) return false;
    if (matches(episode)) {
      show(episode);
    } else {
      selects.forEach(({ select }) => (select.value = ""));
      search.value = "";
      current = episode;
      refresh();
    }
    return true;
  }

  function move(by) {
    const target = shown[shown.indexOf(current) + by];
    if (current && target) location.hash = address(target);
  }

  selects.forEach(({ select }) => select.addEventListener("change", refresh));
  search.addEventListener("input", refresh);
  browser.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  browser.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
  });
  window.addEventListener("hashchange", follow);
  browser.hidden = false;
  refresh();
  if (follow()) byId("episodes").scrollIntoView();
})();
