"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const choice = { service: by("service"), ref: by("ref"), days: by("days") };
  const most = 8; // lines in one chart, and charts of one kind
  const day = 86400;
  const crowd = 300; // dots in a chart from which on what was expected is drawn by the day

  // Text, as the page has it where it was written.
  const round = (v) => Math.round(v * 1000) / 1000;
  const none = "–";
  function seconds(s) {
    if (s == null) return none;
    const tenths = s >= 10 ? Math.round(s) * 10 : Math.round(s * 10);
    if (tenths === 0) return "0s";
    if (tenths < 10) return tenths * 100 + "ms";
    const whole = Math.floor(tenths / 10), part = tenths % 10 ? "." + (tenths % 10) : "";
    const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, rest = (whole % 60) + part + "s";
    return h ? h + "h" + m + "m" + rest : m ? m + "m" + rest : rest;
  }
  const percent = (v) => v == null ? none : v < 1 && v > 0.995 ? Math.min(100 * v, 99.9).toFixed(1) + "%" : Math.round(100 * v) + "%";
  const bytes = (v) => !(v > 0) ? none : v >= 1e9 ? (v / 1e9).toFixed(2) + " GB" : v >= 1e6 ? (v / 1e6).toFixed(1) + " MB" : (v / 1e3).toFixed(1) + " kB";
  const number = (v) => v == null ? none : String(round(v));
  const minutes = (v) => v == null ? none : Math.round(v / 60) + " min";
  const count = (n, of) => n === 1 ? "1 " + of : n + " " + of + "s";
  const date = (t) => new Date(t * 1000).toISOString().slice(0, 10);
  const moment = (t) => new Date(t * 1000).toISOString().slice(0, 16).replace("T", " ");

  const brief = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

  const sum = (all) => all.reduce((a, b) => a + b, 0);
  const mean = (all) => all.length ? round(sum(all) / all.length) : null;
  function median(all) {
    if (!all.length) return null;
    const sorted = Float64Array.from(all).sort(), half = sorted.length >> 1;
    return round(sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2);
  }
  const share = (some, all) => all ? round(some / all) : null;

  function element(name, text, attributes) {
    const e = document.createElement(name);
    if (text != null) e.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
    return e;
  }
  function link(text, href) {
    return href ? element("a", text, { href, rel: "noopener noreferrer" }) : document.createTextNode(text);
  }

  // What is shown of some rows, by their indices, the oldest first. Where rows have no service, or no branch, none is shown of one that is chosen.
  function chosen(rows) {
    const since = choice.days.value ? data.made - choice.days.value * day : -Infinity, all = [];
    for (let i = 0; i < rows.at.length; i++) {
      if (choice.service.value !== "" && rows.service?.[i] !== +choice.service.value) continue;
      if (choice.ref.value !== "" && rows.ref?.[i] !== +choice.ref.value) continue;
      if (rows.at[i] >= since) all.push(i);
    }
    return all;
  }
  const selection = () => chosen(data), rescans = () => chosen(data.rescans), runs = () => chosen(data.runs);

  function summary(all) {
    const timed = all.filter((i) => data.passed[i] && data.seconds[i] > 0), foreseen = timed.filter((i) => data.expected[i] > 0);
    const passed = all.filter((i) => data.passed[i]).length;
    return {
      builds: all.length, passed, success: share(passed, all.length), seconds: median(timed.map((i) => data.seconds[i])),
      expected: median(foreseen.map((i) => data.expected[i])), within: share(foreseen.filter(within).length, foreseen.length),
      hits: mean(all.filter((i) => data.hits[i] >= 0).map((i) => data.hits[i])), startup: median(all.filter((i) => data.startup[i] > 0).map((i) => data.startup[i])),
      trials: all.filter((i) => data.trial[i] > 0).length, failed: all.filter((i) => data.trial[i] > 1).length, flaky: all.filter((i) => data.trial[i] > 2).length,
      work: sum(all.map((i) => data.work[i])),
    };
  }
  const scheduled = () => runs().length ? "efficiency, over " + count(runs().length, "run") : choice.service.value !== "" ? "of all services together" : "no run of several services or platforms";
  const packed = (of) => share(sum(of.map((i) => data.runs.least[i])), sum(of.map((i) => data.runs.seconds[i])));
  const within = (i) => data.low[i] <= data.seconds[i] && data.seconds[i] <= data.high[i];

  function cards(s) {
    return [
      ["Passed", percent(s.success), s.passed + " of " + count(s.builds, "build")],
      ["Build time", seconds(s.seconds), s.expected == null ? "median; nothing to compare with" : "median; " + seconds(s.expected) + " expected, " + percent(s.within) + " as expected"],
      ["From the cache", percent(s.hits), "mean of a build's instructions"],
      ["Startup", seconds(s.startup), "median until healthy"],
      ["Flaky", String(s.flaky), "of " + s.failed + " failed in " + count(s.trials, "trial")],
      ["Work", minutes(s.work), "summed over all builds"],
      ["Schedule", percent(packed(runs())), scheduled()],
    ];
  }
  function cells(all, scans) {
    const s = summary(all), live = scans.length ? sum(data.rescans.findings[scans.at(-1)]) : null;
    return [s.builds, percent(s.success), seconds(s.seconds), seconds(s.expected), percent(s.within), percent(s.hits), seconds(s.startup), bytes(size(all)), number(findings(all)), number(live), s.flaky, minutes(s.work)].map(String);
  }
  const wholeRuns = data.run.map((run) => run.replace(/^([1-9][0-9]{0,19})-[1-9][0-9]{0,4}$/, "$1")); // without their attempts
  // lastRun are those of the last run that had any such: several where jobs shared a service's platforms. Where jobs were run again, those of the last
  // attempt count for theirs.
  function lastRun(all, such) {
    const found = new Map();
    let run;
    for (let k = all.length - 1; k >= 0; k--) {
      const i = all[k];
      if (!such(i) || found.has(data.part[i])) continue;
      run ??= wholeRuns[i];
      if (wholeRuns[i] === run) found.set(data.part[i], i);
    }
    return [...found.values()];
  }
  const size = (all) => Math.max(...lastRun(all, (i) => data.bytes[i] > 0).map((i) => data.bytes[i])); // -Infinity of none
  const findings = (all) => { const found = lastRun(all, (i) => data.findings[i]); return found.length ? sum(found.map((i) => sum(data.findings[i]))) : null; };

  function showSummary(all, groups) {
    const scans = grouped(rescans(), data.rescans);
    by("cards").replaceChildren(...cards(summary(all)).map(([name, value, note]) => {
      const card = element("div");
      card.append(element("dt", name), element("dd", value, { class: "value" }), element("dd", note, { class: "muted" }));
      return card;
    }));
    by("services").tBodies[0].replaceChildren(...data.services.flatMap((name, s) => {
      if (!groups.has(s) && !scans.has(s)) return [];
      const row = element("tr");
      row.append(element("th", name, { scope: "row" }), ...cells(groups.get(s) || [], scans.get(s) || []).map((text) => element("td", text)));
      return row;
    }));
    for (const e of document.querySelectorAll("[data-service]")) e.hidden = choice.service.value !== "" && e.dataset.service !== choice.service.value;
    by("shown").textContent = count(all.length, "build") + " shown";
  }

  const trials = ["", "healthy", "not healthy", "not healthy, by chance"];
  function showLatest(all) {
    by("latest").tBodies[0].replaceChildren(...all.slice(-30).reverse().map((i) => {
      const row = element("tr"), base = data.bases[data.service[i]], sha = data.commit[i], run = data.run[i].split("-");
      const cell = (child, kind) => { const td = element("td", null, kind ? { class: kind } : {}); td.append(child); row.append(td); };
      cell(moment(data.at[i]));
      cell(data.services[data.service[i]]);
      cell(data.branches[data.ref[i]] || none);
      cell(link(sha.slice(0, 7) || none, base && /^[0-9a-f]{40}$/.test(sha) && base + "/commit/" + sha));
      cell(link(data.linked[i] ? run[0] : data.run[i] || none, base && data.linked[i] && base + "/actions/runs/" + run[0] + "/attempts/" + run[1]));
      const trouble = data.trial[i] > 1 ? ", " + trials[data.trial[i]] : "";
      cell((data.passed[i] ? data.reused[i] ? "used again" : "passed" : "did not pass") + trouble, data.passed[i] ? "good" : "bad");
      cell(seconds(data.seconds[i] || null));
      cell(data.expected[i] > 0 ? seconds(data.low[i]) + " to " + seconds(data.high[i]) : none);
      return row;
    }));
  }

  // Charts. Each has a table of what it shows, which is made once it is asked for.
  let drawn = [];
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = (i) => style("--c" + i % most);

  // steps are how far lines of the grid may be apart, where that is not for uPlot to say.
  const steps = new Map([[seconds, [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400]], [number, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]]]);

  // chart adds one to a place: {title, x, series: [{name, values, text, ...}], bands, table}.
  function chart(place, c) {
    const box = element("figure", null, { class: "chart" }), title = element("h3", c.title), plot = element("div"), readout = element("p", c.note || "", { class: "readout", "aria-hidden": "true" });
    box.style.margin = "0";
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", c.title + ": chart of " + c.series.map((s) => s.name).join(", ") + ". The table below has the same figures.");
    box.append(title, readout, plot);
    const shown = [...c.series.filter((s) => s.width !== 0 || s.fill), ...(c.bands || [])];
    if (shown.length > 1) {
      const legend = element("ul");
      shown.forEach((s) => { const item = element("li", s.name); item.style.setProperty("--swatch", swatch(s)); legend.append(item); });
      box.append(legend);
    }
    box.append(table(c));
    by(place).append(box);
    drawn.push(new uPlot(options(c, plot, readout), [c.x, ...c.series.map((s) => s.values)], plot));
  }
  const swatch = (s) => s.dash ? "repeating-linear-gradient(90deg, " + s.stroke + " 0 3px, transparent 3px 5px)" : s.stroke || s.fill;
  function options(c, plot, readout) {
    const axis = { stroke: style("--muted"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const text = c.series[0].text;
    return {
      width: Math.max(plot.clientWidth, 200), height: 190, legend: { show: false }, tzDate: (t) => uPlot.tzDate(new Date(t * 1000), "Etc/UTC"),
      cursor: { y: false, points: { size: 6 }, drag: { setScale: false } },
      scales: { x: { range: (_, low, high) => low === high ? [low - day, high + day] : [low, high] }, y: { range: (_, low, high) => [0, c.top || (high > 0 ? high * 1.08 : 1)] } },
      axes: [{ ...axis, size: 30, values: (_, all) => all.map((t) => brief.format(t * 1000)) }, { ...axis, size: 62, incrs: steps.get(text), values: (_, all) => all.map((v) => v === 0 ? "0" : text(v)) }],
      series: [{}, ...c.series.map((s) => ({ label: s.name, stroke: s.stroke, width: s.width ?? 1.75, dash: s.dash, fill: s.fill, spanGaps: true, paths: s.paths, points: s.points || { show: c.x.length < 2, size: 5 } }))],
      bands: c.bands,
      hooks: { setCursor: [(u) => { readout.textContent = u.cursor.idx == null ? c.note || "" : told(c, u.cursor.idx); }] },
    };
  }
  const told = (c, k) => (c.when || date)(c.x[k]) + "  " + c.series.filter((s) => s.values[k] != null).map((s) => s.name + " " + s.text(s.values[k])).join(", ");
  function table(c) {
    const details = element("details"), summary = element("summary", "Table of " + (c.of || c.title.toLowerCase()));
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.children.length > 1) return;
      const wide = element("div", null, { class: "wide", role: "region", tabindex: "0", "aria-label": c.of || c.title }), t = element("table"), head = element("tr"), body = element("tbody"), source = c.table || c;
      for (const name of ["Day", ...source.series.map((s) => s.name)]) head.append(element("th", name, { scope: "col" }));
      for (let k = source.x.length - 1; k >= 0; k--) {
        const row = element("tr");
        row.append(element("th", date(source.x[k]), { scope: "row" }), ...source.series.map((s) => element("td", s.values[k] == null ? none : s.text(s.values[k]))));
        body.append(row);
      }
      t.append(element("thead"), body);
      t.tHead.append(head);
      wide.append(t);
      details.append(wide);
    });
    return details;
  }

  // dated groups rows of some kind by their day: for each day the rows.
  function dated(rows, all) {
    const days = new Map();
    for (const i of all) {
      const d = Math.floor(rows.at[i] / day) * day;
      if (days.has(d)) days.get(d).push(i); else days.set(d, [i]);
    }
    return days;
  }
  const daily = (all) => dated(data, all);
  const column = (days, figure) => [...days.values()].map(figure);

  function showTimes(groups) {
    const shown = [...groups].map(([s, all]) => [s, all.filter((i) => data.seconds[i] > 0)]).filter(([, all]) => all.length).sort((a, b) => b[1].length - a[1].length).slice(0, most);
    by("times").classList.toggle("one", shown.length === 1);
    for (const [s, all] of shown) {
      const days = daily(all), foreseen = (i) => data.expected[i] > 0, many = all.length > crowd;
      const values = (figure, such) => all.map((i) => such(i) ? figure[i] : null), ofDay = (figure) => column(days, (is) => median(is.filter(foreseen).map((i) => figure[i])));
      const band = (figure) => { const of = ofDay(figure); return many ? [...days.values()].flatMap((is, k) => is.map(() => of[k])) : values(figure, foreseen); };
      const line = { width: 1.25, points: { show: false } }, edge = { width: 0, points: { show: false } }, dots = (fill) => ({ paths: () => null, points: { show: true, size: many ? 3 : 4, fill, stroke: "transparent" } });
      const good = style("--c0"), bad = style("--bad"), passed = (is) => is.filter((i) => data.passed[i]);
      const failures = all.some((i) => !data.passed[i]);
      chart("times", {
        title: data.services[s], of: "the build times of " + data.services[s], x: all.map((i) => data.at[i]), when: moment, bands: [{ name: "band", series: [4, 3], fill: style("--band") }],
        series: [
          { name: "took", values: values(data.seconds, (i) => data.passed[i]), text: seconds, stroke: good, ...dots(many ? good + "70" : good) },
          { name: "expected", values: band(data.expected), text: seconds, stroke: style("--muted"), ...line },
          { name: "at least", values: band(data.low), text: seconds, stroke: "transparent", ...edge },
          { name: "at most", values: band(data.high), text: seconds, stroke: "transparent", ...edge },
          ...(failures ? [{ name: "did not pass", values: values(data.seconds, (i) => !data.passed[i]), text: seconds, stroke: bad, ...dots(bad) }] : []),
        ],
        table: { x: [...days.keys()], series: [
          { name: "Builds", values: column(days, (is) => is.length), text: String },
          { name: "Median", values: column(days, (is) => median(passed(is).map((i) => data.seconds[i]))), text: seconds },
          { name: "Expected", values: ofDay(data.expected), text: seconds },
          { name: "At least", values: ofDay(data.low), text: seconds },
          { name: "At most", values: ofDay(data.high), text: seconds },
        ] },
      });
    }
    if (shown.length < groups.size) by("times").append(element("p", "Of " + groups.size + " services those are shown that were built most; choose another above.", { class: "muted" }));
  }

  // byService is a chart with a line for each service, of those that have the figure.
  function byService(title, groups, days, text, figure, top) {
    const series = [];
    for (const [s, all] of [...groups].sort((a, b) => b[1].length - a[1].length)) {
      const own = daily(all), values = [...days.keys()].map((d) => own.has(d) ? figure(own.get(d)) : null);
      if (series.length < most && values.some((v) => v != null)) series.push({ name: data.services[s], values, text, stroke: color(series.length) });
    }
    if (series.length) chart("trends", { title, x: [...days.keys()], series, top });
  }
  function bars(title, days, text, series, top) {
    const paths = uPlot.paths.bars({ size: [0.7, 28] });
    chart("trends", { title, x: [...days.keys()], top, series: series.map(([name, stroke, figure]) => ({ name, text, stroke, fill: stroke, width: 0, values: column(days, figure), paths, points: { show: false } })) });
  }
  function showTrends(all, groups) {
    const days = daily(all), some = all.length > 0;
    if (some) {
      bars("Share of builds that passed", days, percent, [["passed", style("--c2"), (is) => share(is.filter((i) => data.passed[i]).length, is.length)]], 1);
      byService("Instructions from the cache", groups, days, percent, (is) => mean(is.filter((i) => data.hits[i] >= 0).map((i) => data.hits[i])), 1);
      byService("Image size, compressed", groups, days, bytes, (is) => { const v = size(is); return v > 0 ? v : null; });
      byService("Startup until healthy", groups, days, seconds, (is) => median(is.filter((i) => data.startup[i] > 0).map((i) => data.startup[i])));
    }
    showFindings(groups);
    if (all.some((i) => data.trial[i] > 0)) {
      bars("Trials that failed", days, number, [["failed", style("--bad"), (is) => is.filter((i) => data.trial[i] > 1).length], ["of them flaky", style("--c4"), (is) => is.filter((i) => data.trial[i] > 2).length]]);
    }
    showPacked();
    if (some) bars("Minutes of work", days, (v) => minutes(60 * v), [["work", style("--c0"), (is) => sum(is.map((i) => data.work[i])) / 60]]);
  }
  function showPacked() {
    const days = dated(data.runs, runs());
    if (days.size) chart("trends", { title: "Schedule efficiency of runs", x: [...days.keys()], top: 1, series: [{ name: "efficiency", values: column(days, packed), text: percent, stroke: style("--c0") }] });
  }
  // showFindings draws two kinds: those that each day's newest images had when they were built, and those that all live images had by the last rescan. Both
  // stay what they are until there is a newer look.
  function showFindings(groups) {
    const scans = grouped(rescans(), data.rescans), names = ["critical", "high", "other"], strokes = [style("--bad"), style("--c1"), style("--c7")];
    const days = [...new Set([...[...groups.values()].flat().map((i) => data.at[i]), ...[...scans.values()].flat().map((i) => data.rescans.at[i])].map((t) => Math.floor(t / day) * day))].sort((a, b) => a - b);
    const built = days.map(() => null), live = days.map(() => null), none = () => [0, 0, 0];
    const add = (sums, k, found) => { sums[k] ??= none(); found.forEach((n, j) => { sums[k][j] += n; }); };
    for (const all of groups.values()) {
      const own = daily(all), runs = new Map(); // of each run the newest findings by platforms
      let open = new Map();
      days.forEach((d, k) => {
        for (const i of own.get(d) || []) if (data.findings[i]) {
          const run = wholeRuns[i];
          if (!runs.has(run)) runs.set(run, new Map());
          open = runs.get(run).set(data.part[i], data.findings[i]);
        }
        for (const found of open.values()) add(built, k, found);
      });
    }
    for (const all of scans.values()) {
      const own = dated(data.rescans, all);
      let open = null;
      days.forEach((d, k) => {
        if (own.has(d)) open = data.rescans.findings[own.get(d).at(-1)];
        if (open) add(live, k, open);
      });
    }
    const series = (sums, what, dash) => sums.some((n) => n) ? names.map((name, j) => ({ name: name + " " + what, values: sums.map((n) => n && n[j]), text: number, stroke: strokes[j], dash })) : [];
    const all = [...series(built, "when built"), ...series(live, "live", [4, 4])];
    if (all.length) chart("trends", { title: "Findings over time", x: days, series: all });
  }

  function grouped(all, rows = data) {
    const groups = new Map();
    for (const i of all) {
      if (groups.has(rows.service[i])) groups.get(rows.service[i]).push(i); else groups.set(rows.service[i], [i]);
    }
    return groups;
  }
  function draw(all, groups) {
    drawn.forEach((u) => u.destroy());
    drawn = [];
    by("times").replaceChildren();
    by("trends").replaceChildren();
    if (all.length === 0) by("times").append(element("p", "Nothing is remembered of such builds."));
    showTimes(groups);
    showTrends(all, groups);
  }
  function show() {
    const all = selection(), groups = grouped(all);
    showSummary(all, groups);
    showLatest(all);
    draw(all, groups);
  }

  // A page that is watched loads itself again. Meanwhile its address keeps what was chosen, by name, as what has which number may change.
  const form = document.querySelector("form");
  function keep() {
    if (!data.reload) return;
    const kept = new URLSearchParams();
    for (const [name, list] of Object.entries(choice)) if (list.value) kept.set(name, list.selectedOptions[0].textContent);
    if (!by("reload").checked) kept.set("reload", "off");
    if (form.contains(document.activeElement)) kept.set("at", document.activeElement.id);
    history.replaceState(null, "", "#" + kept);
  }
  function restore() {
    if (!data.reload) return;
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const [name, list] of Object.entries(choice)) {
      const option = kept.has(name) && [...list.options].find((o) => o.textContent === kept.get(name));
      if (option) list.value = option.value;
    }
    by("reload").checked = kept.get("reload") !== "off";
    const at = kept.get("at") && by(kept.get("at"));
    if (at && form.contains(at)) at.focus({ preventScroll: true });
  }
  // reload waits for who is at work on the page, or reads a table.
  function watch() {
    let used = -Infinity;
    for (const kind of ["keydown", "pointerdown", "wheel"]) addEventListener(kind, () => { used = performance.now(); }, { passive: true });
    setInterval(() => {
      if (!by("reload").checked || document.hidden || performance.now() - used < 1000 * data.reload || document.querySelector("details[open]")) return;
      keep();
      location.reload();
    }, 1000 * data.reload);
  }

  form.addEventListener("change", () => { keep(); show(); });
  form.addEventListener("reset", () => setTimeout(() => { keep(); show(); }));
  form.addEventListener("submit", (e) => e.preventDefault());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { const all = selection(); draw(all, grouped(all)); });
  addEventListener("resize", () => drawn.forEach((u) => u.setSize({ width: Math.max(u.root.parentElement.clientWidth, 200), height: 190 })));
  restore();
  if (Object.values(choice).some((list) => list.value)) show();
  else {
    const all = selection();
    showLatest(all);
    draw(all, grouped(all));
  }
  if (data.reload) watch();
  performance.mark("ready");
  document.documentElement.dataset.ready = "true";
})();
