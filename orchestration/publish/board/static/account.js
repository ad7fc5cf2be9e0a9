"use strict";

/* An account's page: account.html#<account id>. The account is in one of the scripts data/accounts-<number>.js. */
(() => {
  const { make, fill, number, signed, share, counted, capital, day, addDays, daysBetween, measure, tier, tierLabel, change, table, row, groupRow, accountLink, shared } = board;
  const STATES = {
    measured: "Measured", not_applicable: "Does not apply", stale: "Only older values", missing: "No data", late: "Late: the feed has stopped",
  };
  const TRENDS = { improving: "↑ Improving", declining: "↓ Declining", stable: "Stable", new: "New" };
  const NEUTRAL = 50;
  const SHOWN_CHANGES = 9;
  const LEAST = 0.005;

  /* An account as it is delivered: see orchestration/publish/board/accounts.py. */
  function readMetric(account, [key, value, state, score, weight, points, place, peers, before]) {
    const [label, rule, tested] = (shared.rules[account.scorecard] || {})[key] || [];
    const isCap = key.startsWith("cap:");
    // A cap's value is that of the metric that it tests: at most 39 where days_late_180d >= 20.
    const known = shared.metrics[tested || key] || {};
    return {
      key, value, state, score, weight, points, place, peers, before,
      label: (isCap ? label : known.label) || label || key, unit: known.unit, dimension: known.dimension, isCap,
      rule: (rule || "").replace(/(\d)\.0\b/g, "$1").replace(tested || "", () => (tested && known.label) || ""),
    };
  }

  function showHead(account) {
    document.title = `${account.name} · Customer health`;
    fill("name", account.name);
    const left = account.termEndsOn && daysBetween(shared.asOf, account.termEndsOn);
    const facts = [
      account.segment, account.industry, account.region, account.stage && `${capital(account.stage)} stage`,
      account.owner === shared.noOwner ? account.owner : `Owner ${account.owner}`,
      account.arr === null ? null : `${number(account.arr)} ${shared.currency} ARR`,
      account.seats && counted(account.seats, "seat"),
      account.termEndsOn && `Term ends ${day(account.termEndsOn)}${left >= 0 && !board.isStale() ? `, in ${counted(left, "day")}` : ""}`,
    ];
    fill("facts", facts.filter(Boolean).map((fact) => make("span", {}, make("bdi", {}, fact))));
    fill("score", number(account.score, 1));
    fill("cap", account.cap === null ? null : [board.scoreBar(account.score, account.uncapped), `${number(account.uncapped, 1)} without the cap`, board.capBadge(account.cap)]);
    fill("tier", tier(account.tier));
    const [, delta] = account.delta;
    fill("trend", make("span", { class: "trend" }, TRENDS[account.trend] || account.trend, delta === null ? null : " ", delta === null ? null : change(delta), delta === null ? null : " in 28 days"));
    const notes = [`${tierLabel(account.tier)} since ${day(account.tierSince)} (${counted(account.daysInTier, "day")})`];
    if (account.previousTier) notes.push(`before that ${tierLabel(account.previousTier)}`);
    if (account.rawTier !== account.modelTier) notes.push(`this day's score alone says ${tierLabel(account.rawTier)}`);
    fill("since", notes.join("; "));
    const override = document.getElementById("override");
    override.hidden = account.override === null;
    if (account.override) {
      const [reason, author, expires] = account.override;
      fill("override", make("strong", {}, "Tier set by a person. "), `${tierLabel(account.tier)}`, author ? [" by ", make("bdi", {}, author)] : [], ` until ${day(expires)}`,
        reason ? [": “", make("bdi", {}, reason), "”"] : [], `. The model says ${tierLabel(account.modelTier)}.`);
    }
  }

  function drivers(metrics) {
    return make("dl", { class: "drivers" }, metrics.map((metric) => [
      make("dt", {}, metric.label, make("span", { class: "quiet" }, metric.state === "measured" || metric.isCap ? measure(metric.value, metric.unit) : STATES[metric.state])),
      make("dd", { class: "num" }, signed(metric.points)),
    ]));
  }

  function showWhy(account, metrics) {
    const up = metrics.filter((metric) => metric.points >= LEAST).slice(0, 3);
    const down = metrics.filter((metric) => metric.points <= -LEAST).slice(0, 3);
    const none = (text) => make("p", { class: "quiet" }, text);
    fill("why", make("h3", {}, "Holds it down"), down.length ? drivers(down) : none("Nothing takes points away."),
      account.cap === null ? null : make("p", { class: "small" }, `Without the cap the score would be ${number(account.uncapped, 1)}.`),
      make("h3", {}, "Holds it up"), up.length ? drivers(up) : none("Nothing adds points."));
  }

  function showActions(account) {
    fill("actions", account.actions.length
      ? make("ol", { class: "todo" }, account.actions.map(([label, reason, since]) =>
          make("li", {}, make("strong", {}, label), make("p", {}, make("bdi", {}, reason)), make("p", { class: "quiet small" }, `Since ${day(since)}`))))
      : make("p", { class: "quiet" }, "No playbook asks for anything."));
  }

  function showSure(account, metrics) {
    const counted = metrics.filter((metric) => !metric.isCap);
    const states = Object.keys(STATES).map((state) => [state, counted.filter((metric) => metric.state === state)]).filter(([, found]) => found.length);
    fill("sure",
      make("p", { class: "big" }, share(account.coverage)),
      make("p", { class: "quiet small" }, "of the scorecard's weight is measured"),
      make("progress", { class: "meter", max: 1, value: account.coverage, "aria-label": "Coverage" }),
      make("ul", { class: "states" }, states.map(([state, found]) => make("li", {}, make("strong", {}, number(found.length)), ` ${STATES[state].toLowerCase()}`,
        state === "measured" ? null : make("span", { class: "quiet" }, `: ${found.slice(0, 4).map((metric) => metric.label).join(", ")}${found.length > 4 ? ", …" : ""}`)))),
      account.rawTier === "unknown" ? make("p", { class: "small" }, "Too little is measured for a tier.") : null);
  }

  function showChanges(account, metrics, days) {
    for (const button of document.querySelectorAll("[data-days]")) button.setAttribute("aria-pressed", String(Number(button.dataset.days) === days));
    const delta = account.delta[days === 7 ? 0 : 1];
    const from = addDays(shared.asOf, -days);
    if (delta === null) {
      fill("changes", make("p", { class: "quiet" }, `There is no score of ${day(from)} to compare with.`));
      return;
    }
    const rows = account.changes.filter(([k]) => k === days).map(([, component, key, points, label]) => ({
      label: label || (shared.metrics[key] || {}).label || key || component, points, component, key,
    }));
    const summary = make("p", {}, "From ", make("strong", {}, number(account.score - delta, 1)), ` on ${day(from)} to `, make("strong", {}, number(account.score, 1)), `: `, change(delta), ".");
    if (!rows.length) {
      fill("changes", summary, make("p", { class: "quiet" }, "Nothing that counts has moved."));
      return;
    }
    const shown = rows.slice(0, rows.length > SHOWN_CHANGES ? SHOWN_CHANGES - 1 : SHOWN_CHANGES);
    const rest = rows.slice(shown.length);
    if (rest.length) shown.push({ label: `${rest.length} smaller changes`, points: rest.reduce((sum, each) => sum + each.points, 0) });
    let at = account.score - delta;
    const bars = [{ label: day(from), from: at, to: at, end: at, kind: "score", text: number(at, 1) }];
    for (const each of shown) {
      const to = at + each.points;
      bars.push({ label: each.label, from: at, to, end: Math.max(at, to), kind: each.points < 0 ? "fall" : "rise", text: signed(each.points, 1) });
      at = to;
    }
    bars.push({ label: day(shared.asOf), from: account.score, to: account.score, end: account.score, kind: "score", text: number(account.score, 1) });
    const chart = make("div", { class: "chart" });
    // Only the values of today and of 28 days ago are at hand.
    const heads = days === 28 ? [["What"], ["Then", "num phone-off"], ["Now", "num phone-off"], ["Points", "num"]] : [["What"], ["Points", "num"]];
    const values = (each) => {
      const metric = metrics.find(({ key }) => key === each.key);
      return days !== 28 ? [] : metric ? [measure(metric.before, metric.unit), measure(metric.value, metric.unit)] : ["", ""];
    };
    const words = make("table", { class: "plain", "aria-label": `Changes in ${days} days` }, table(heads, rows.map((each) => [each.label, ...values(each), change(each.points, 2)])));
    fill("changes", summary, make("div", { class: "split even" }, chart, make("div", { class: "table-box" }, words)));
    board.draw(chart, "changes", { rows: bars }, `What moved the score in ${days} days, as a waterfall; the table beside it has the figures`, bars.length);
  }

  function showHistory(account) {
    const offsets = account.dayOffsets.length === account.scores.length ? account.dayOffsets : account.scores.map((_, i) => account.dayOffsets[0] + i);
    const names = offsets.map((offset) => addDays(shared.firstDay, offset));
    const keys = [...account.tiers].map((code) => shared.tiers[Number(code)][0]);
    let run = 0;
    const rows = account.scores.map((score, i) => {
      if (i && offsets[i] !== offsets[i - 1] + 1) run += 1;
      return { day: names[i], score, uncapped: account.uncappedScores ? account.uncappedScores[i] : null, tier: keys[i], run };
    });
    const strip = [];
    rows.forEach((each, i) => {
      const last = strip[strip.length - 1];
      if (last && last.tier === each.tier && last.end === each.day) last.end = addDays(each.day, 1);
      else strip.push({ start: each.day, end: addDays(each.day, 1), tier: each.tier });
    });
    const bands = [];
    const marks = [];
    let byRank = false;
    account.rules.forEach(([offset, version, scorecard], i) => {
      const start = addDays(shared.firstDay, offset);
      const next = account.rules[i + 1];
      const end = next ? addDays(shared.firstDay, next[0]) : addDays(shared.asOf, 1);
      const limits = shared.tierLimits.filter((limit) => limit[0] === version && limit[1] === scorecard);
      let top = 100;
      for (const [, , mode, key, least] of limits) {
        if (mode !== "threshold") { byRank = true; continue; }
        bands.push({ start, end, from: least, to: top, tier: key });
        top = least;
      }
      if (i === 0) return;
      const [, versionBefore, scorecardBefore] = account.rules[i - 1];
      marks.push({ day: start, text: version !== versionBefore ? `Rules ${version}` : scorecard !== scorecardBefore ? `Scorecard ${shared.scorecards[scorecard] || scorecard}` : "Rules edited" });
    });
    board.draw(document.getElementById("history-chart"), "history", { rows, strip, bands, marks },
      `Score of ${account.name} from ${day(names[0])} to ${day(names[names.length - 1])}, over the tier bands`);
    const lowest = Math.min(...account.scores);
    const highest = Math.max(...account.scores);
    const [week, , quarter] = account.delta;
    fill("history-note", week === null ? null : ["In 7 days ", change(week), ". "], quarter === null ? null : ["In 90 days ", change(quarter), ". "],
      account.slope === null ? null : ["Slope of the last 28 days ", change(account.slope), " points a week. "],
      `${day(names[0])} to ${day(names[names.length - 1])}: lowest ${number(lowest, 1)}, highest ${number(highest, 1)}. `,
      account.uncappedScores ? "Dashed: the score without the cap. " : null,
      byRank ? "Tiers go by the place among the accounts on the scorecard, so there are no bands. " : "Bands: where each tier begins. ",
      "Strip below: the tier in force, which follows once the score has held for some days. ",
      marks.length ? `Lines: ${marks.map((mark) => `${mark.text} from ${day(mark.day)}`).join("; ")}.` : "");
  }

  function showDimensions(account) {
    const rows = account.dimensions.map(([key, score, weight, points, coverage]) => ({ key, label: capital(key), score, weight, points, coverage }));
    board.draw(document.getElementById("dimensions-chart"), "dimensions",
      { rows: rows.map((each) => ({ dimension: each.label, score: each.score, place: each.score ?? 0, text: each.score === null ? "nothing measured" : number(each.score, 1) })) },
      "Score of each dimension; the table beside it has the figures", rows.length);
    const heads = [["Dimension"], ["Score", "num"], ["Weight", "num phone-off"], ["Points", "num"], ["Coverage", "num"]];
    fill("dimensions", table(heads, rows.map((each) => [each.label, number(each.score, 1), share(each.weight), change(each.points), share(each.coverage)])));
  }

  function stateText(metric) {
    const text = STATES[metric.state] || metric.state;
    if (metric.state === "measured" || !metric.weight || metric.score === null) return text;
    return `${text}; counts as ${metric.score === NEUTRAL ? "neutral" : "worst"}`;
  }

  function showMetrics(account, metrics) {
    const heads = [["Metric"], ["Value", "num"], ["28 days ago", "num wide"], ["State", "phone-off"], ["Score", "num phone-off"], ["Weight", "num wide"], ["Points", "num"], ["Ahead of", "num wide"]];
    const group = (title) => groupRow(heads, title);
    const line = (metric) => row(heads, [
      [metric.label, make("span", { class: "quiet wide" }, metric.rule)],
      metric.state === "measured" ? measure(metric.value, metric.unit) : make("span", { class: "phone-only" }, stateText(metric)), measure(metric.before, metric.unit), stateText(metric), number(metric.score, 1), share(metric.weight, 1), change(metric.points, 2),
      metric.place === null ? board.NOTHING : [`${number(metric.place)}%`, make("span", { class: "quiet" }, ` of ${number(metric.peers)}`)],
    ], { class: metric.points === 0 && metric.state !== "measured" ? "no-score" : null });
    const rows = [];
    for (const [key] of account.dimensions) {
      const found = metrics.filter((metric) => metric.dimension === key && !metric.isCap);
      if (found.length) rows.push(group(capital(key)), ...found.map(line));
    }
    const other = metrics.filter((metric) => !metric.isCap && !account.dimensions.some(([key]) => key === metric.dimension));
    if (other.length) rows.push(group("Other"), ...other.map(line));
    const caps = metrics.filter((metric) => metric.isCap);
    if (caps.length) {
      rows.push(group("Caps"));
      for (const cap of caps) {
        rows.push([[cap.label, make("span", { class: "quiet wide" }, cap.rule)], measure(cap.value, cap.unit), "", "Holds", "", "", change(cap.points, 2), ""]);
      }
    }
    fill("metrics", table(heads, rows));
  }

  function showFamily(account) {
    document.getElementById("family").hidden = !account.parent && !account.children.length;
    const parts = [];
    if (account.parent) {
      const [id, name, key, score] = account.parent;
      parts.push(make("p", {}, "Part of ", key ? accountLink(id, name) : make("bdi", {}, name), key ? [" ", tier(key), ` ${number(score, 1)}`] : ", which is not scored", "."));
    }
    if (account.children.length) {
      const [count, mean] = account.group;
      const heads = [["Account"], ["Tier"], ["Score", "num"], ["ARR", "num"]];
      parts.push(make("p", {}, `${counted(count, "account")} belong${count === 1 ? "s" : ""} to it`, mean === null ? "" : `, with a mean score of ${number(mean, 1)} by ARR`, count > account.children.length ? `; the ${account.children.length} weakest:` : ":"),
        make("div", { class: "table-box" }, make("table", { class: "plain" },
          table(heads, account.children.map(([id, name, key, score, arr]) => [accountLink(id, name), tier(key), number(score, 1), number(arr)])))));
    }
    fill("relatives", parts);
  }

  function show(account) {
    const metrics = account.metrics.map((each) => readMetric(account, each));
    document.getElementById("missing").hidden = true;
    document.getElementById("account").hidden = false;
    showHead(account);
    showWhy(account, metrics);
    showActions(account);
    showSure(account, metrics);
    showChanges(account, metrics, 28);
    for (const button of document.querySelectorAll("[data-days]")) button.onclick = () => showChanges(account, metrics, Number(button.dataset.days));
    showHistory(account);
    showDimensions(account);
    showMetrics(account, metrics);
    showFamily(account);
  }

  function showMissing(title, text) {
    document.title = "Customer health";
    document.getElementById("account").hidden = true;
    const place = fill("missing", make("h1", {}, title), make("p", {}, text), make("p", {}, make("a", { href: board.accountsLink({}) }, "All accounts")));
    place.hidden = false;
  }

  function open() {
    let wanted = "";
    try {
      wanted = decodeURIComponent(board.address().id);
    } catch {
      // Not an address that the board has written.
    }
    if (!wanted) {
      showMissing("No account chosen", "The address of an account's page ends in its id.");
      return;
    }
    board.find("accounts", wanted, (account) => (account ? show(account) : showMissing("No such account", `No account with this id was scored${shared.asOf ? ` on ${day(shared.asOf)}` : ""}. It may have left since.`)),
      () => showMissing("This account cannot be read", "A file of the board is missing. If the board was copied, copy its whole folder."));
  }

  board.followOwner(() => {});
  window.addEventListener("hashchange", () => { open(); window.scrollTo(0, 0); });
  open();
})();
